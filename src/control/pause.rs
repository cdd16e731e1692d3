//! Pauses a run.

use super::{Acted, find, log_state};
use crate::domain::run::{Pause, PausedBy, Run, State};
use crate::ledger::{Ledger, LedgerError};
use crate::runtime::event::Target;

/// Tries to change a run while its state changes in between.
pub(super) const TRIES_MAX: u32 = 5;

/// The reason of a run that an operator paused.
const BY_AN_OPERATOR: &str = "paused by an operator";

/// Pauses a run on which the steps work, because of a fact that an operator must decide on. It
/// continues with [`super::resume`], and gives way to a later start. The state may change between the
/// read and the pause: the last page is read, for instance. Returns whether this call paused the run. It
/// does not pause one that another writer paused or ended, or whose generation is another one.
pub async fn pause(ledger: &Ledger, run: &Run, reason: &str, now_ms: i64) -> Result<bool, LedgerError> {
    let mut run = run.clone();
    for _ in 0..TRIES_MAX {
        if !run.state.works() {
            break;
        }
        let pause = Pause { by: PausedBy::Step, from: run.state, since_ms: now_ms };
        if ledger.pause(&run, pause, reason).await? {
            log_state(&run, State::Paused, Some(reason));
            return Ok(true);
        }
        match ledger.run(&run.id).await? {
            Some(now) if now.generation == run.generation => run = now,
            _ => break,
        }
    }
    Ok(false)
}

/// Pauses a run for an operator: it keeps its place, and its deadline stands still. The page and
/// the job under way are finished. A run that a step paused keeps its place from now on, too.
pub async fn hold(ledger: &Ledger, target: &Target, now_ms: i64) -> Result<Option<Acted>, LedgerError> {
    let mut tries = 0;
    while let Some(run) = find(ledger, target).await? {
        let from = match run.pause() {
            Some(pause) if pause.by == PausedBy::Operator => return Ok(Some(Acted { run, changed: false })),
            Some(pause) => pause.from,
            None if run.state.works() => run.state,
            None => return Ok(Some(Acted { run, changed: false })),
        };
        let reason = run.reason.clone().unwrap_or_else(|| BY_AN_OPERATOR.to_owned());
        let pause = Pause { by: PausedBy::Operator, from, since_ms: now_ms };
        if ledger.pause(&run, pause.clone(), &reason).await? {
            tracing::info!(run = run.id.as_str(), state = State::Paused.as_str(), reason, "run changed its state");
            return Ok(Some(Acted { run: run.with_pause(pause, &reason), changed: true }));
        }
        tries += 1;
        if tries == TRIES_MAX {
            return Ok(Some(Acted { run, changed: false }));
        }
    }
    Ok(None)
}

/// Pauses a run whose canary is over, as its start requested, after the check of the written values:
/// an operator decides about the other users. The run keeps its place, as one that [`hold`] pauses.
/// Returns whether this call paused it.
pub async fn pause_after_canary(ledger: &Ledger, run: &Run, reason: &str, now_ms: i64) -> Result<bool, LedgerError> {
    let over = Run { canary_ended: Some(run.generation), ..run.clone() };
    let pause = Pause { by: PausedBy::Operator, from: run.state, since_ms: now_ms };
    let all_read = matches!(run.state, State::Draining | State::Verifying);
    let paused = all_read && ledger.pause(&over, pause, reason).await?;
    if paused {
        tracing::info!(run = run.id.as_str(), state = State::Paused.as_str(), reason, "run changed its state");
    }
    Ok(paused)
}
