//! Settles an ended run by hand.

use super::settle::look;
use crate::domain::clock::Clock;
use crate::domain::run::{Looked, RunId, SettleTimes, State};
use crate::ledger::{Ledger, LedgerError};

/// The result of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Released {
    /// Later runs do not wait for this run's jobs any more. They wait for its requests until
    /// `until_ms` (Unix milliseconds). `why` is what they waited for, in words.
    Now {
        /// The latest time at which a request of the run can take effect.
        until_ms: i64,
        /// The reason of the wait.
        why: String,
    },
    /// It was released before; later runs wait until then (Unix milliseconds).
    Before {
        /// The latest time at which a request of the run can take effect.
        until_ms: i64,
    },
    /// It is settled: no run waits for it.
    Settled,
    /// It has not ended: cancel it first.
    NotEnded(State),
    /// There is no such run.
    Unknown,
}

/// Releases an ended run: later runs do not wait for its jobs. A job that Intercom carries out after
/// this may overwrite a newer value by an older one, and the run's reason says so. The requests of
/// the run are still waited for, because that takes minutes.
pub async fn release(ledger: &Ledger, id: &RunId, times: &SettleTimes, clock: Clock) -> Result<Released, LedgerError> {
    let Some(run) = ledger.run(id).await? else { return Ok(Released::Unknown) };
    if !run.state.ended() {
        return Ok(Released::NotEnded(run.state));
    }
    loop {
        let entry = ledger.active().await?.unsettled.into_iter().find(|entry| entry.id == *id);
        let Some(entry) = entry else { return Ok(Released::Settled) };
        if entry.released_ms.is_some() {
            return Ok(Released::Before { until_ms: entry.writes_until_ms });
        }
        if entry.looks == 0 {
            // The times of its requests are estimates before the first look.
            if look(ledger, &entry, times, clock).await? == Looked::Settled {
                return Ok(Released::Settled);
            }
            continue;
        }
        let (why, now_ms) = (entry.why(), clock.now_ms());
        let released = entry.clone().released(now_ms);
        let until_ms = released.writes_until_ms;
        let note = format!("an operator released it while {why}; an older value may come later");
        // A look in between changes the item, and the next try reads it.
        if ledger.release(&entry, &released, &run, &note).await? {
            tracing::warn!(run = id.as_str(), why, "an operator released the run: an older value may come later");
            return Ok(Released::Now { until_ms, why });
        }
    }
}
