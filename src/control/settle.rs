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
    /// Time-out of all looks. One look may read all parts and jobs of a run.
    pub timeout: Duration,
}

/// Returns `ACTIVE` after a look at each unsettled run whose look is due. Runs that are settled are
/// removed. A look that fails is repeated later.
///
/// The first looks count all parts and jobs of the run. The others read the oldest open job alone
/// while it is open.
pub async fn unsettled(ledger: &Ledger, looking: &Looking, clock: Clock) -> Result<Active, LedgerError> {
    let mut active = with_last(ledger).await?;
    active.unsettled.sort_by_key(|run| run.due_ms);
    let until_ms = clock.now_ms() + looking.timeout.as_millis() as i64;
    let (mut left, mut visible_at_ms) = (Vec::new(), active.visible_at_ms);
    for run in active.unsettled {
        let left_ms = until_ms - clock.now_ms();
        if run.due_ms > clock.now_ms() || left_ms <= 0 {
            left.push(run);
            continue;
        }
        let timeout = Duration::from_millis(left_ms.unsigned_abs());
        let why = match tokio::time::timeout(timeout, look(ledger, &run, &looking.times, clock)).await {
            Ok(Ok(Looked::Settled)) => {
                visible_at_ms = visible_at_ms.max(run.visible_at_ms(clock.now_ms()).unwrap_or_default());
                continue;
            }
            Ok(Ok(Looked::Waits(run))) => {
                left.push(run);
                continue;
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the look takes too long".to_owned(),
        };
        // The other runs, and the caller's work, do not depend on this look.
        tracing::error!(run = run.id.as_str(), why, "cannot look at a run that is not settled");
        let next = run.clone().not_looked(&looking.times, clock.now_ms());
        if let Err(error) = ledger.put_unsettled(&run, &next).await {
            tracing::warn!(run = run.id.as_str(), %error, "cannot defer the next look");
        }
        left.push(next);
    }
    Ok(Active { unsettled: left, visible_at_ms, ..active })
}

/// Reads `ACTIVE`. If the version before this one wrote the end of the last run, that run counts as
/// not settled unless it ended well, and so does the run that it waited for.
async fn with_last(ledger: &Ledger) -> Result<Active, LedgerError> {
    let active = ledger.active().await?;
    let last = active.last.as_ref().filter(|last| active.recorded.as_ref() != Some(*last));
    let Some(last) = last else { return Ok(active) };
    let (mut unsettled, mut next) = (Vec::new(), Some(last.clone()));
    while let Some(id) = next.take().filter(|_| unsettled.len() < 2) {
        if let Some((run, cursor)) = ledger.run(&id).await?.zip(ledger.cursor(&id).await?) {
            unsettled.push(Unsettled::at_end(&run, &cursor));
            next = cursor.after;
        }
    }
    ledger.record_last(&active, unsettled.into_iter().flatten()).await?;
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
        _ if run.is_over_without_a_look(clock.now_ms()) => Looked::Settled,
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
                run.after_look(&ended, &ledger.unfinished(&ended, &cursor).await?, times, now_ms)
            }
            // Its items have expired.
            None => Looked::Settled,
        },
    };
    match &looked {
        Looked::Settled => {
            if ledger.remove_unsettled(run, run.visible_at_ms(clock.now_ms())).await? {
                tracing::info!(run = run.id.as_str(), "the ended run is settled: it can change no value any more");
            }
        }
        Looked::Waits(next) => {
            ledger.put_unsettled(run, next).await?;
        }
    }
    Ok(looked)
}
