//! Begins the check of written values, and returns from it.

use super::log_state;
use crate::domain::run::{ReadBack, Run, State};
use crate::ledger::{Ledger, LedgerError};

/// Changes a draining run, whose parts and jobs have ended, to `verifying`. Returns the run, or
/// `None` if another writer changed it since it was read.
pub async fn verify(ledger: &Ledger, run: &Run, progress: &ReadBack) -> Result<Option<Run>, LedgerError> {
    if !ledger.verify(run, progress).await? {
        return Ok(None);
    }
    log_state(run, State::Verifying, None);
    Ok(Some(Run { state: State::Verifying, reason: None, ..run.clone() }))
}

/// Changes a run that is verified back to draining, because a job was recorded late. The progress of
/// the check stays. Returns whether this call changed it.
pub async fn drain(ledger: &Ledger, run: &Run) -> Result<bool, LedgerError> {
    let drains = ledger.drain_again(run).await?;
    if drains {
        log_state(run, State::Draining, None);
    }
    Ok(drains)
}
