//! The earlier run of a `retry` or an `undo`.

use std::path::{Path, PathBuf};

use intercom_bulk::domain::run::{Run, RunId, State};
use intercom_bulk::ledger::{Active, Ledger};

use super::local::{Worker, last_folder, ledger_in};
use super::{Access, CommandError};
use crate::output;
use crate::state_dir::PlaceError;

/// Runs among which the last one is searched that is no preview.
const RUNS_SEARCHED: usize = 100;

/// The ledger of this machine, with the runs that have not ended.
pub(super) struct Here {
    path: PathBuf,
    pub(super) ledger: Ledger,
    pub(super) active: Active,
}

impl Here {
    /// Opens the ledger of the named folder, or of the one that `run` used last.
    pub(super) async fn open(state: Option<&Path>) -> Result<Self, CommandError> {
        let path = last_folder(state)?;
        let ledger = ledger_in(&path)?;
        let active = ledger.active().await?;
        Ok(Self { path, ledger, active })
    }

    /// Returns the run to resume: the active one, if it is what the command asks for and not paused.
    ///
    /// # Errors
    /// [`CommandError::Usage`] if another run is active.
    pub(super) async fn resumed(
        &self,
        is_asked_for: impl Fn(&Run) -> bool,
        json: bool,
    ) -> Result<Option<Run>, CommandError> {
        let Some(id) = &self.active.run else { return Ok(None) };
        let Some(run) = self.ledger.run(id).await? else { return Ok(None) };
        if run.state == State::Paused || !is_asked_for(&run) {
            let words = format!(
                "run {id} has not ended: it is {}. `intercom-bulk resume` finishes it, and `intercom-bulk cancel` ends it",
                run.state
            );
            return Err(CommandError::Usage(words));
        }
        output::note(json, &format!("Run {id} has not ended; resuming it."));
        Ok(Some(run))
    }

    /// Takes the ledger for this process.
    pub(super) async fn worker(&self, access: &Access) -> Result<Worker, CommandError> {
        Worker::take(&self.path, access).await
    }
}

/// Returns the named run, or the last one that is no preview.
pub(super) async fn named_or_last(named: Option<&RunId>, ledger: &Ledger) -> Result<RunId, CommandError> {
    if let Some(run) = named {
        return Ok(run.clone());
    }
    for id in ledger.runs(RUNS_SEARCHED).await? {
        if ledger.run(&id).await?.is_some_and(|run| !run.limits.dry_run) {
            return Ok(id);
        }
    }
    Err(CommandError::Place(PlaceError::Nothing))
}
