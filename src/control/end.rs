//! Ends a run, and logs its new state. Each function returns whether this call ended it, because
//! another writer may have changed the run since it was read.

use super::pause::TRIES_MAX;
use super::{Acted, find};
use crate::domain::run::{Run, RunId, State, Totals};
use crate::ledger::{Ledger, LedgerError};
use crate::runtime::event::Target;

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

impl RunEnd {
    /// Creates an end without totals, for a run whose rows are not counted.
    pub fn uncounted(state: State, reason: impl Into<String>) -> Self {
        Self { state, reason: Some(reason.into()), totals: None }
    }
}

/// Ends a run that is done, or that a bound stops.
pub async fn end(ledger: &Ledger, run: &Run, end: &RunEnd, now_ms: i64) -> Result<bool, LedgerError> {
    let RunEnd { state, reason, totals } = end;
    let ended = ledger.end(run, *state, reason.as_deref(), totals.as_ref(), now_ms).await?;
    if ended {
        log_state(run, *state, reason.as_deref());
    }
    Ok(ended)
}

/// Logs the new state of a run, after it was stored: an end, a pause, or the end of its pages.
pub fn log_state(run: &Run, state: State, reason: Option<&str>) {
    let run = run.id.as_str();
    match state {
        State::Failed | State::Incomplete | State::Paused => {
            tracing::error!(run, state = state.as_str(), reason, "run changed its state");
        }
        _ => tracing::info!(run, state = state.as_str(), reason, "run changed its state"),
    }
}

/// Cancels a run. Jobs that Intercom has accepted go on.
pub async fn cancel(ledger: &Ledger, run: &Run, reason: &str, now_ms: i64) -> Result<bool, LedgerError> {
    end(ledger, run, &RunEnd::uncounted(State::Cancelled, reason), now_ms).await
}

/// Cancels a run for an operator. Jobs that Intercom has accepted go on.
pub async fn stop(ledger: &Ledger, target: &Target, reason: &str, now_ms: i64) -> Result<Option<Acted>, LedgerError> {
    let mut tries = 0;
    while let Some(run) = find(ledger, target).await? {
        let changed = !run.state.ended() && cancel(ledger, &run, reason, now_ms).await?;
        tries += 1;
        if run.state.ended() || !changed && tries == TRIES_MAX {
            return Ok(Some(Acted { run, changed: false }));
        }
        if changed {
            let run = ledger.run(&run.id).await?.unwrap_or(run);
            return Ok(Some(Acted { run, changed: true }));
        }
    }
    Ok(None)
}

/// Returns the active run if it is paused.
pub async fn paused(ledger: &Ledger) -> Result<Option<Run>, LedgerError> {
    Ok(find(ledger, &Target::Active).await?.filter(|run| run.state == State::Paused))
}

/// Cancels a paused run in favor of a later start `by`.
pub async fn supersede(ledger: &Ledger, run: &Run, by: &RunId, now_ms: i64) -> Result<(), LedgerError> {
    let reason = format!("a later start, {by}, replaced it while it was paused");
    cancel(ledger, run, &reason, now_ms).await.map(drop)
}

/// Fails a run in every state that is not final. The state may change between the read and the end.
pub async fn fail(ledger: &Ledger, run: &Run, reason: &str, now_ms: i64) -> Result<bool, LedgerError> {
    let failed = RunEnd::uncounted(State::Failed, reason);
    let mut run = run.clone();
    loop {
        if end(ledger, &run, &failed, now_ms).await? {
            return Ok(true);
        }
        let now = ledger.run(&run.id).await?.filter(|now| now.state.may_become(State::Failed));
        let Some(now) = now.filter(|now| (now.state, now.generation) != (run.state, run.generation)) else {
            return Ok(false);
        };
        run = now;
    }
}
