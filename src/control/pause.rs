//! Pauses a run.

use super::log_state;
use crate::domain::run::{Run, State};
use crate::ledger::{Ledger, LedgerError};

/// Pauses a run that reads or submits. It continues with [`super::resume`]. Returns whether this
/// call paused it, because another writer may have changed the run since it was read.
pub async fn pause(ledger: &Ledger, run: &Run, reason: &str) -> Result<bool, LedgerError> {
    let paused = run.state.submits() && ledger.pause(run, reason).await?;
    if paused {
        log_state(run, State::Paused, Some(reason));
    }
    Ok(paused)
}
