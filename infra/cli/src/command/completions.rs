//! `completions`: a script that completes the command line in a shell. The script calls the command, which knows
//! the runs of this machine.

use std::env::args_os;
use std::ffi::OsStr;
use std::io::Write;

use clap::builder::StyledStr;
use clap::{Args, CommandFactory};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};
use intercom_bulk::domain::run::Run;

use super::local::ledger_in;
use super::{Arguments, CommandError};
use crate::state_dir::Place;

/// The name of the command.
const NAME: &str = "intercom-bulk";
/// The variable with the shell's name, by which the script asks for completions.
const VARIABLE: &str = "INTERCOM_BULK_COMPLETE";
/// The latest runs that are completed.
const RUNS: usize = 50;

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk completions <SHELL>")]
#[command(
    long_about = "Print a script that completes the command line in a shell: commands, options, their fixed values, and \
    the runs of this machine, as `history` lists them.\n\n\
    It does not complete the runs of a stack. Print it again after an update."
)]
#[command(after_help = "Examples:\n  \
    bash:       intercom-bulk completions bash > ~/.local/share/bash-completion/completions/intercom-bulk\n  \
    zsh:        intercom-bulk completions zsh > ~/.zfunc/_intercom-bulk     # with ~/.zfunc in fpath, before compinit\n  \
    fish:       intercom-bulk completions fish > ~/.config/fish/completions/intercom-bulk.fish\n  \
    PowerShell: intercom-bulk completions powershell >> $PROFILE")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<u8, CommandError> {
        let (mut script, shells) = (Vec::new(), Shells::builtins());
        if let Some(shell) = shells.completer(&self.shell.to_string()) {
            shell.write_registration(VARIABLE, NAME, NAME, NAME, &mut script)?;
        }
        super::errors::ended(std::io::stdout().write_all(&script))?;
        Ok(0)
    }
}

/// Prints completions of the command line that follows, if the script asks for them. Returns whether it did.
pub fn complete_if_asked() -> bool {
    let complete = CompleteEnv::with_factory(Arguments::command).var(VARIABLE).bin(NAME).completer(NAME);
    match complete.try_complete(args_os(), std::env::current_dir().ok().as_deref()) {
        Ok(was_asked) => was_asked,
        Err(error) => error.exit(),
    }
}

/// Returns the completer of an argument that names a run.
pub(super) fn runs() -> ArgValueCompleter {
    ArgValueCompleter::new(|begun: &OsStr| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        // Without a state there is nothing to complete, and a message would disturb the command line.
        runtime.ok().and_then(|runtime| runtime.block_on(begun_with(begun.to_str()?))).unwrap_or_default()
    })
}

/// Returns the latest runs of this machine whose names begin so, the last one first.
async fn begun_with(begun: &str) -> Option<Vec<CompletionCandidate>> {
    let ledger = ledger_in(&Place::last(None).ok()?).ok()?;
    let mut found = Vec::new();
    for id in ledger.runs(RUNS).await.ok()? {
        if id.as_str().starts_with(begun)
            && let Some(run) = ledger.run(&id).await.ok()?
        {
            found.push(candidate(&run, found.len()));
        }
    }
    Some(found)
}

fn candidate(run: &Run, place: usize) -> CompletionCandidate {
    let what = if run.limits.dry_run { " (preview)" } else { "" };
    CompletionCandidate::new(run.id.as_str())
        .help(Some(StyledStr::from(format!("{}{what}", run.state))))
        .display_order(Some(place))
}
