//! Schedules like EventBridge Scheduler's `rate` and `cron`: one invocation per period of wall
//! time.

use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Invokes `handler` at each multiple of `period` in Unix time, until `stop` turns true or its
/// sender is dropped.
///
/// `now` is the wall time of this call; after it, tokio's clock counts. `input` creates the event
/// from the scheduled time, which is a multiple of the period even if the invocation is late.
/// Unlike the Scheduler, this skips times at which the previous invocation still runs. An error is
/// logged, and the next period tries again. A stop lets a running invocation finish.
pub async fn every<I, H, F>(period: Duration, now: Timestamp, input: I, handler: H, mut stop: watch::Receiver<bool>)
where
    I: Fn(Timestamp) -> Value,
    H: Fn(Value) -> F,
    F: Future<Output = Result<Value, String>>,
{
    let start = Instant::now();
    let mut last = now;
    while let Some(scheduled) = next(period, last.max(wall(now, start))) {
        let wait = Duration::try_from(scheduled.duration_since(now)).unwrap_or_default();
        tokio::select! {
            biased;
            _ = stop.wait_for(|stopped| *stopped) => return,
            () = sleep_until(start + wait) => {}
        }
        if let Err(error) = handler(input(scheduled)).await {
            tracing::warn!(%scheduled, error, "scheduled invocation failed");
        }
        last = scheduled;
    }
}

/// Returns the wall time by tokio's clock, given that it was `now` at `start`.
fn wall(now: Timestamp, start: Instant) -> Timestamp {
    let passed = SignedDuration::try_from(start.elapsed()).unwrap_or(SignedDuration::MAX);
    now.checked_add(passed).unwrap_or(Timestamp::MAX)
}

/// Returns the first multiple of `period` after `now`, if the period is positive and it exists.
pub fn next(period: Duration, now: Timestamp) -> Option<Timestamp> {
    let period_ns = i128::try_from(period.as_nanos()).ok()?;
    let passed_ns = now.as_nanosecond().checked_rem_euclid(period_ns)?;
    Timestamp::from_nanosecond(now.as_nanosecond() - passed_ns + period_ns).ok()
}

#[cfg(test)]
mod tests;
