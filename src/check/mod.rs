//! The check step: finds out how each bulk job ended, sends refused items that may be tried again back, and decides the
//! end of a run once everything is accounted for.

mod finish;
mod look;
mod metrics;

use serde::Serialize;
use serde_json::Value;

use crate::clients::{Clients, StepError};
use crate::event;
use crate::invocation::Invocation;
use crate::ledger::{Grant, Share};
use crate::meter::Ask;

/// Jobs listed at once.
const LISTED: i32 = 50;
/// Items of an ended run that get their time to live in one tick.
const EXPIRED_AT_ONCE: i32 = 500;
/// Kept of the invocation's time for one job: its state, its feed, and the writes.
const FOR_A_LOOK_MS: i64 = 60_000;
/// Jobs in a row whose look failed, from which on the rest waits for the next tick.
const FAILURES_MAX: u32 = 3;

/// What an invocation did, for the log line and the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Jobs looked at.
    pub looked: u64,
    /// Jobs closed.
    pub closed: u64,
    /// Users refused for good.
    pub failed: u64,
    /// Users sent again.
    pub again: u64,
    /// Closed jobs in which users were refused.
    pub with_errors: u64,
    /// Closed jobs whose end nobody knows.
    pub unknown: u64,
    /// Refused items that belong to no user of their job.
    pub unattributed: u64,
    /// Jobs and runs of a newer format, left to the newer version of the function.
    pub newer: u64,
    /// Answers that said 429.
    pub rate_limited: u64,
    /// How much of our quota the fullest window had spent, in percent.
    pub quota_used_percent: u64,
    /// The run that ended, and its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<(String, String)>,
}

/// Handles one tick.
pub async fn handle(clients: &Clients, event: &Value, at: &Invocation) -> Result<Outcome, StepError> {
    event::check(event)?;
    StepError::unless_time("check", at, FOR_A_LOOK_MS)?;
    let mut outcome = Outcome::default();
    let (mut failures, mut clean_looks, mut failure) = (0, 0, None);
    'ticks: loop {
        let due = clients.ledger.due(at.clock.now_ms(), LISTED).await?;
        if due.is_empty() {
            break;
        }
        let (count, looks) = (due.len() as u32, clients.meter.quota(at).await?.looks());
        for (index, row) in (0..).zip(due) {
            if failures >= FAILURES_MAX || !pay(clients, (count - index).min(looks), at).await? {
                break 'ticks;
            }
            outcome.looked += 1;
            let clean = match look::look(clients, &row, at, &mut outcome).await {
                Ok(clean) => clean,
                Err(error) if error.is_newer() => {
                    tracing::error!(job.id = row.job.as_str(), %error, "a job is left to a newer version of the function");
                    look::put_off(clients, &row, at, &mut outcome).await?;
                    outcome.newer += 1;
                    true
                }
                // One job's rows are no reason to leave the others alone: its turn comes again later.
                Err(error) => {
                    tracing::error!(job.id = row.job.as_str(), %error, "a look at a job failed");
                    look::put_off(clients, &row, at, &mut outcome).await?;
                    failure = Some(error);
                    false
                }
            };
            clean_looks += u32::from(clean);
            failures = if clean { 0 } else { failures + 1 };
        }
    }
    (outcome.rate_limited, outcome.quota_used_percent) = clients.meter.told();
    match finish::finish(clients, at, &mut outcome).await {
        Err(error) if error.is_newer() => {
            tracing::error!(%error, "the active run is left to a newer version of the function");
            outcome.newer += 1;
        }
        done => done?,
    }
    clients.ledger.expire(EXPIRED_AT_ONCE).await?;
    match failure {
        // No look went well: an error, so that the function's alarm sees it.
        Some(error) if clean_looks == 0 => Err(error),
        _ => Ok(outcome),
    }
}

/// Pays for one request of `ahead`, waiting within the invocation for a window that has it; `false` when the time is up.
async fn pay(clients: &Clients, ahead: u32, at: &Invocation) -> Result<bool, StepError> {
    loop {
        if at.left_ms() < FOR_A_LOOK_MS || at.is_stopping() {
            return Ok(false);
        }
        match clients.meter.take(Ask { ahead, ..Ask::one(Share::Check) }, at).await? {
            Grant::Granted { .. } => return Ok(true),
            Grant::Wait(until_ms) => {
                let wait_ms = (until_ms - at.clock.now_ms()).max(1);
                if wait_ms + FOR_A_LOOK_MS > at.left_ms() {
                    return Ok(false);
                }
                at.rest(wait_ms).await;
            }
        }
    }
}
