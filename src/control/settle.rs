//! Settles ended runs: looks whether one of their jobs or requests may still change values.

use std::time::Duration;

use crate::domain::clock::Clock;
use crate::domain::run::{Looked, REQUEST_MOST_MS, SettleTimes, Unsettled};
use crate::intercom::CALL_TIMEOUT;
use crate::ledger::{Active, Ledger, LedgerError};

const _: () = assert!(CALL_TIMEOUT.as_millis() == REQUEST_MOST_MS as u128, "the domain states the same time-out");

/// Looks at a run that count its parts and jobs, even if its oldest open job is still open. Most
/// jobs end within their time.
const COUNTED_LOOKS: u32 = 5;

/// How a caller looks at runs that are not settled.
#[derive(Clone, Copy, Debug)]
pub struct Looking {
    /// The times that decide.
    pub times: SettleTimes,
    /// Time-out of one look, which may read all parts and jobs of a run. After it the run stays as
    /// it is, for a caller with more time.
    pub timeout: Duration,
}

/// Returns `ACTIVE` after a look at each unsettled run whose look is due. Runs that are settled are
/// removed.
///
/// The first looks count all parts and jobs of the run. The others read the oldest open job alone
/// while it is open.
pub async fn unsettled(ledger: &Ledger, looking: &Looking, clock: Clock) -> Result<Active, LedgerError> {
    let active = with_last(ledger).await?;
    let mut left = Vec::new();
    for run in active.unsettled {
        if run.due_ms > clock.now_ms() {
            left.push(run);
            continue;
        }
        match tokio::time::timeout(looking.timeout, look(ledger, &run, &looking.times, clock)).await {
            Ok(Ok(Looked::Settled)) => {}
            Ok(Ok(Looked::Waits(run))) => left.push(run),
            // The other runs, and the caller's work, do not depend on this look.
            Ok(Err(error)) => {
                tracing::error!(run = run.id.as_str(), %error, "cannot look at a run that is not settled");
                left.push(run);
            }
            Err(_) => {
                tracing::warn!(run = run.id.as_str(), "a look at a run that is not settled takes too long");
                left.push(run);
            }
        }
    }
    Ok(Active { unsettled: left, ..active })
}

/// Reads `ACTIVE`. If the version before this one wrote the end of the last run, that run counts as
/// not settled unless it ended well.
async fn with_last(ledger: &Ledger) -> Result<Active, LedgerError> {
    let active = ledger.active().await?;
    let last = active.last.as_ref().filter(|last| active.recorded.as_ref() != Some(*last));
    let Some(last) = last else { return Ok(active) };
    let unsettled = match ledger.run(last).await?.zip(ledger.cursor(last).await?) {
        Some((run, cursor)) => Unsettled::at_end(&run, &cursor),
        None => None,
    };
    ledger.record_last(&active, unsettled.as_ref()).await?;
    ledger.active().await
}

/// Looks at one run, and stores the result.
pub(super) async fn look(
    ledger: &Ledger,
    run: &Unsettled,
    times: &SettleTimes,
    clock: Clock,
) -> Result<Looked, LedgerError> {
    let looked = match &run.jobs {
        _ if run.is_over_after_release(clock.now_ms()) => Looked::Settled,
        Some(jobs)
            if run.looks >= COUNTED_LOOKS
                && run.released_ms.is_none()
                && ledger.is_open(&jobs.bucket, &jobs.oldest).await? =>
        {
            Looked::Waits(run.clone().looked(times, clock.now_ms()))
        }
        _ => match ledger.run(&run.id).await?.zip(ledger.cursor(&run.id).await?) {
            Some((ended, cursor)) => {
                // The time before the read: a lease that begins during the read is not missed.
                let now_ms = clock.now_ms();
                run.after_look(&ledger.accounts(&ended, &cursor).await?, times, now_ms)
            }
            // Its items have expired.
            None => Looked::Settled,
        },
    };
    match &looked {
        Looked::Settled => {
            if ledger.remove_unsettled(run).await? {
                tracing::info!(run = run.id.as_str(), "the ended run is settled: it can change no value any more");
            }
        }
        Looked::Waits(next) => {
            ledger.put_unsettled(run, next).await?;
        }
    }
    Ok(looked)
}
