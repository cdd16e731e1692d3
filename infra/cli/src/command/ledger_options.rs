//! The options of the commands that read a ledger, and the ledger or the run that they name.

use std::path::PathBuf;

use clap::Args;
use intercom_bulk::domain::run::{Run, RunId};
use intercom_bulk::ledger::Ledger;

use super::CommandError;
use super::completions::runs;
use super::local::{last_folder, ledger_in, state_option};
use super::stack_options::StackOptions;
use crate::state_dir::PlaceError;

/// The ledger that a command reads, and the form of its output.
#[derive(Debug, Args)]
pub(super) struct LedgerOptions {
    /// Folder of the runs' state [default: the one that `run` used last]
    #[arg(long, value_name = "DIR", conflicts_with = "stack")]
    state: Option<PathBuf>,
    /// Print JSON on standard output
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    deployed: StackOptions,
}

/// The run that a command reads.
#[derive(Debug, Args)]
pub(super) struct RunOptions {
    /// The run [default: the last]
    #[arg(long = "run", value_name = "ID", add = runs())]
    pub(super) name: Option<String>,
    #[command(flatten)]
    pub(super) from: LedgerOptions,
}

/// A start that has not begun.
pub(super) struct Waiting {
    /// The id of its future run.
    pub(super) id: RunId,
    /// The active run whose end it waits for.
    pub(super) behind: Option<RunId>,
    /// The reason of a wait without an active run.
    why: Option<String>,
    /// An operator paused that run.
    pub(super) held: bool,
}

impl LedgerOptions {
    /// Returns the deployed stack whose ledger it is; `None` for a local ledger.
    pub(super) fn deployed(&self) -> Option<&StackOptions> {
        // `--state` is a flag only; LEDGER_TABLE may be left over in the environment.
        (self.state.is_none() && self.deployed.is_named()).then_some(&self.deployed)
    }

    /// Returns the options of further commands on this ledger; `None` for a table without its stack, which some
    /// commands need.
    pub(super) fn options(&self) -> Option<String> {
        match (&self.state, &self.deployed.stack) {
            (Some(state), _) => Some(state_option(state)),
            (None, Some(stack)) => Some(format!(" --stack {stack}")),
            (None, None) => (!self.deployed.is_named()).then(String::new),
        }
    }

    /// Opens the ledger.
    pub(super) async fn ledger(&self) -> Result<Ledger, CommandError> {
        self.ledger_and_folder().await.map(|(ledger, _)| ledger)
    }

    /// Opens the ledger. The folder is that of a local ledger.
    pub(super) async fn ledger_and_folder(&self) -> Result<(Ledger, Option<PathBuf>), CommandError> {
        if let Some(deployed) = self.deployed() {
            return Ok((deployed.ledger().await?, None));
        }
        let path = last_folder(self.state.as_deref())?;
        Ok((ledger_in(&path)?, Some(path)))
    }
}

impl RunOptions {
    /// Reads the named run, or the last one.
    pub(super) async fn find(&self, ledger: &Ledger) -> Result<Run, CommandError> {
        let id = match &self.name {
            Some(name) => RunId::parse(name),
            None => ledger.runs(1).await?.into_iter().next(),
        };
        let nothing = || match &self.name {
            Some(name) => {
                CommandError::Usage(format!("there is no run {name} in this state; `history` lists its runs"))
            }
            None => CommandError::Place(PlaceError::Nothing),
        };
        let id = id.ok_or_else(nothing)?;
        if let Some(run) = ledger.run(&id).await? {
            return Ok(run);
        }
        match self.waiting(ledger).await? {
            Some(waiting) => Err(CommandError::Usage(waiting.words())),
            None => Err(nothing()),
        }
    }

    /// Returns the named start, if it waits.
    pub(super) async fn waiting(&self, ledger: &Ledger) -> Result<Option<Waiting>, CommandError> {
        let Some(id) = self.name.as_deref().and_then(RunId::parse) else { return Ok(None) };
        let Some(waiting) = ledger.waiting().await?.into_iter().find(|waiting| waiting.start.run() == id) else {
            return Ok(None);
        };
        let active = ledger.active().await?;
        let (behind, why) = (active.run.clone(), active.is_full().or(waiting.waits));
        let active = match &behind {
            Some(active) => ledger.run(active).await?,
            None => None,
        };
        Ok(Some(Waiting { id, behind, why, held: active.is_some_and(|run| run.hold().is_some()) }))
    }
}

impl Waiting {
    /// Returns the start's state as text, without a full stop.
    pub(super) fn words(&self) -> String {
        match (&self.behind, &self.why) {
            (Some(active), _) => {
                let held = if self.held { ", which an operator paused" } else { "" };
                format!("run {} has not begun: it waits for the end of {active}{held}", self.id)
            }
            (None, Some(why)) => format!("run {} has not begun: {why}", self.id),
            (None, None) => format!("run {} has not begun: it waits for the next tick", self.id),
        }
    }
}
