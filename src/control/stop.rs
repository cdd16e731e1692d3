//! Stops a run. Each function returns whether this call stopped it, because another writer may have
//! changed the run since it was read.

use crate::domain::clock::Clock;
use crate::domain::run::{Run, RunId, State, Totals};
use crate::ledger::{Ledger, LedgerError};

/// The reason of a run that fails because of `max_errors`.
pub const OVER_MAX_ERRORS: &str = "more users are in error than max_errors allows; `errors` lists them";

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct RunEnd {
    /// A final state.
    pub state: State,
    /// The reason, for the operator.
    pub reason: Option<String>,
    /// The exact totals, if they were counted.
    pub totals: Option<Totals>,
}

/// Pauses a run that reads or submits. It continues with [`super::resume`].
pub async fn pause(ledger: &Ledger, run: &Run, reason: &str) -> Result<bool, LedgerError> {
    let paused = run.state.submits() && ledger.pause(run, reason).await?;
    if paused {
        tracing::error!(run = run.id.as_str(), reason, "run is paused");
    }
    Ok(paused)
}

/// Cancels a run. Jobs that Intercom has accepted go on.
pub async fn cancel(ledger: &Ledger, run: &Run, reason: &str, now_ms: i64) -> Result<bool, LedgerError> {
    ledger.end(run, State::Cancelled, Some(reason), None, now_ms).await
}

/// Cancels the active run in favor of a later start `by`, if it is paused. A paused run waits for
/// an operator's decision, and the start counts as one.
pub async fn supersede_paused(ledger: &Ledger, by: &RunId, clock: Clock) -> Result<bool, LedgerError> {
    let Some(active) = ledger.active().await?.run else { return Ok(false) };
    let Some(run) = ledger.run(&active).await? else { return Ok(false) };
    if run.state != State::Paused || active == *by {
        return Ok(false);
    }
    let reason = format!("a later start, {by}, replaced it while it was paused");
    cancel(ledger, &run, &reason, clock.now_ms()).await
}

/// Fails a run in every state that is not final. The state may change between the read and the end.
pub async fn fail(ledger: &Ledger, run: &Run, reason: &str, now_ms: i64) -> Result<bool, LedgerError> {
    let mut run = run.clone();
    loop {
        if ledger.end(&run, State::Failed, Some(reason), None, now_ms).await? {
            tracing::error!(run = run.id.as_str(), reason, "run failed");
            return Ok(true);
        }
        let now = ledger.run(&run.id).await?.filter(|now| now.state.may_become(State::Failed));
        let Some(now) = now.filter(|now| (now.state, now.generation) != (run.state, run.generation)) else {
            return Ok(false);
        };
        run = now;
    }
}

/// Ends a run that is done, or that a bound stops.
pub async fn end(ledger: &Ledger, run: &Run, end: &RunEnd, now_ms: i64) -> Result<bool, LedgerError> {
    let RunEnd { state, reason, totals } = end;
    ledger.end(run, *state, reason.as_deref(), totals.as_ref(), now_ms).await
}
