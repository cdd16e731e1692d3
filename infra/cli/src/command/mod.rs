//! The command line: one module per command.
//!
//! `access`, `bounds`, `ledger_options` and `stack_options` declare options of several commands.
//! `local` opens the ledger on this machine and works on its runs. `workspace` identifies the workspace of a token, and `choice` the version of its API.

mod access;
mod bounds;
mod changes;
mod choice;
mod completions;
mod control;
mod demo;
mod earlier;
mod emulate;
mod errors;
mod history;
mod jobs;
mod ledger_options;
mod local;
mod preview;
mod probe;
mod put;
mod release;
mod resume;
mod retry;
mod run;
mod saved;
mod simulate;
mod stack_options;
mod start;
mod status;
mod try_user;
mod undo;
mod validate;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use intercom_bulk::domain::api::{Api, ApiRefusal};
use intercom_bulk::plan::PlanError;
use intercom_bulk::runtime::config::{ConfigError, environment};

use self::access::Access;
pub use self::completions::complete_if_asked;
use crate::output;
use crate::saved::SavedError;
use crate::stack::StackError;
use crate::state_dir::PlaceError;
use intercom_bulk_emulator::engine::EngineError;

/// The exit code of wrong usage (sysexits' `EX_USAGE`).
pub const WRONG_USAGE: u8 = 64;

/// The exit code of a paused run.
const PAUSED: u8 = 4;

/// The exit code after Ctrl-C, SIGTERM or SIGHUP (a shell's own for the first).
const INTERRUPTED: u8 = 130;

/// The exit codes of `run` and `demo`, for their help.
const RUN_CODES: &str = "Exit codes: 0 complete · 1 failed or cancelled · 2 complete_with_errors: users failed, and `errors` \
    lists them · 3 incomplete: users may be missing · 4 paused: the run waits for a decision · 64 wrong usage, nothing was \
    started · 130 interrupted by Ctrl-C, SIGTERM or SIGHUP";

/// The default log filter: errors only, because the progress line shows the rest. The summary shows
/// the run's last state and its reason, which `control` logs.
const DEFAULT_FILTER: &str = "off,intercom_bulk=error,intercom_bulk::control=off,intercom_bulk_local=error";

/// Bulk-update the users of an Intercom workspace safely.
#[derive(Debug, Parser)]
#[command(name = "intercom-bulk", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done · 1 failed · 2 complete_with_errors, or a preview would change something · 3 incomplete · \
    4 paused · 64 wrong usage (an argument, a setting or a plan that is missing or refused; nothing was started) · \
    130 interrupted (Ctrl-C, SIGTERM, SIGHUP)\n\
    Start with `cargo bulk demo`: it needs no account and no token."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a plan on a simulated workspace; needs no configuration
    Demo(demo::Demo),
    /// Dry run: the users that a plan would change, skip or fail on, and how long it takes
    Preview(preview::Preview),
    /// Check a plan and run its test cases; needs no network
    Validate(validate::Validate),
    /// Show how a plan treats one user; writes nothing
    Try(try_user::Try),
    /// Run a plan on a workspace; to resume after Ctrl-C or a crash, run the same command again
    Run(run::RunPlan),
    /// Show a run's progress, rate, and the reason of a wait
    Status(status::Status),
    /// List a run's bulk jobs, by bucket
    Jobs(jobs::Jobs),
    /// List the failed users of a run, and the reasons
    Errors(errors::Errors),
    /// List the old and new values of a run, by user
    Changes(changes::Changes),
    /// List the runs in the ledger, newest first
    History(history::History),
    /// Pause a run: it keeps its place until `resume`
    Pause(control::Pause),
    /// Continue a run that is paused, or that was stopped on this machine
    Resume(resume::ResumeRun),
    /// End a run for good; users that are changed stay changed
    Cancel(control::Cancel),
    /// Let later runs begin before the jobs of an ended run are closed
    Release(release::Release),
    /// Retry the users of a run that failed
    Retry(retry::RetryRun),
    /// Restore the values from before a run
    Undo(undo::UndoRun),
    /// Check the access of a token, with reads only
    Probe(probe::Probe),
    /// Serve a simulated Intercom workspace on this machine
    Simulate(simulate::Simulate),
    /// Serve DynamoDB and SQS for functions in other processes, and invoke them as AWS does
    Emulate(emulate::Emulate),
    /// Upload a plan to a deployed stack
    Put(put::Put),
    /// Start a stored plan on a deployed stack
    Start(start::Start),
    /// Print a script that completes the command line in a shell
    Completions(completions::Completions),
}

/// A failure of a command; each message names the remedy.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Plan(#[from] PlanError),
    #[error("cannot read the plan {path}: {source}")]
    PlanFile { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    PlanTests(validate::FailedTests),
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Saved(#[from] SavedError),
    #[error("the output cannot be written: {0}")]
    Output(#[from] std::io::Error),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Step(String),
    #[error(transparent)]
    Ledger(#[from] intercom_bulk::ledger::LedgerError),
    #[error(transparent)]
    Setup(#[from] intercom_bulk::http::SetupError),
    #[error("{error}. {advice}")]
    Intercom { error: Box<intercom_bulk::intercom::Error>, advice: &'static str },
    #[error(
        "{error}. {advice} Without its answer the workspace and the folder of its runs are unknown, so \
         nothing was started. Run the command again, or name the folder with --state DIR"
    )]
    Whose { error: Box<intercom_bulk::intercom::Error>, advice: &'static str },
    #[error("no version of Intercom's API can be chosen: {0}")]
    Api(ApiRefusal),
    /// Wrong usage that the argument parser cannot see.
    #[error("{0}")]
    Usage(String),
    #[error(
        "run {run} is paused by an operator and keeps its place: `intercom-bulk resume` continues it, `intercom-bulk cancel` \
         ends it, and --supersede ends it and begins this run"
    )]
    Held { run: intercom_bulk::domain::run::RunId },
    #[error(transparent)]
    Stack(#[from] StackError),
    #[error("cannot listen on {address}: {source}")]
    Listen { address: String, source: std::io::Error },
}

impl CommandError {
    /// An error of Intercom, with the remedy in this family of its API.
    fn intercom(api: Api, error: intercom_bulk::intercom::Error) -> Self {
        let advice = intercom_bulk::intercom::advice(api, &error);
        Self::Intercom { error: Box::new(error), advice }
    }

    /// Wrong usage: another command line, environment or plan corrects it, and nothing was started.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) | Self::Plan(_) | Self::PlanFile { .. }
            // Credentials and a region are settings, too.
            | Self::Stack(StackError::Access { .. }) => WRONG_USAGE,
            Self::Held { .. } => PAUSED,
            Self::Saved(error) => error.exit_code(),
            _ => 1,
        }
    }
}

/// Returns the log filter. If it is invalid, prints a warning and uses the default.
fn filter(asked: Option<String>) -> tracing_subscriber::EnvFilter {
    let usual = || tracing_subscriber::EnvFilter::new(DEFAULT_FILTER);
    let Some(asked) = asked.filter(|text| !text.trim().is_empty()) else { return usual() };
    tracing_subscriber::EnvFilter::try_new(&asked).unwrap_or_else(|error| {
        output::note(
            false,
            &format!("RUST_LOG={asked} is not a filter ({error}); an example is RUST_LOG=intercom_bulk=info"),
        );
        usual()
    })
}

/// Runs a command and returns its exit code.
pub fn main(arguments: Arguments) -> ExitCode {
    tracing_subscriber::fmt().with_env_filter(filter(environment("RUST_LOG"))).with_writer(output::log).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::error(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Demo(demo) => demo.run().await,
            Command::Preview(preview) => preview.run().await,
            Command::Validate(validate) => Ok(validate.run()),
            Command::Try(user) => user.run().await,
            Command::Run(run) => run.run().await,
            Command::Status(status) => status.run().await,
            Command::Jobs(jobs) => jobs.run().await,
            Command::Errors(errors) => errors.run().await,
            Command::Changes(changes) => changes.run().await,
            Command::History(history) => history.run().await,
            Command::Pause(pause) => pause.run().await,
            Command::Resume(resume) => resume.run().await,
            Command::Cancel(cancel) => cancel.run().await,
            Command::Release(release) => release.run().await,
            Command::Retry(retry) => retry.run().await,
            Command::Undo(undo) => undo.run().await,
            Command::Probe(probe) => probe.run().await,
            Command::Simulate(simulate) => simulate.run().await,
            Command::Emulate(emulate) => emulate.run().await,
            Command::Put(put) => put.run().await,
            Command::Start(start) => start.run().await,
            Command::Completions(completions) => completions.run(),
        }
    });
    runtime.shutdown_background();
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::error(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
