//! The `intercom-bulk` command.

use std::process::ExitCode;

use clap::Parser;
use intercom_bulk_cli::command::{Arguments, WRONG_USAGE, complete_if_asked};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if complete_if_asked() {
        return ExitCode::SUCCESS;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Clap returns `--help` and `--version` as errors; they are not failures.
            let code = if error.use_stderr() { WRONG_USAGE } else { 0 };
            return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::from(code));
        }
    };
    intercom_bulk_cli::command::main(arguments)
}
