//! Schedules: a function invoked at every full period of wall time, as EventBridge Scheduler does with `rate` and `cron`.

use std::future::Future;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Invokes `handler` at each multiple of `period` in Unix time, until `stop` turns true or its sender is gone.
///
/// `now` is the wall time of this call; from then on tokio's clock counts. `input` makes the event from the scheduled
/// time, which is on the period even where the invocation is late. Unlike the Scheduler this starts no invocation while
/// the one before is running: times that passed meanwhile are left out. An error is logged, the next period tries
/// again. A stop lets a running invocation finish.
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

/// The wall time by tokio's clock, given that it was `now` at `start`.
fn wall(now: Timestamp, start: Instant) -> Timestamp {
    let passed = SignedDuration::try_from(start.elapsed()).unwrap_or(SignedDuration::MAX);
    now.checked_add(passed).unwrap_or(Timestamp::MAX)
}

/// The first multiple of `period` in Unix time after `now`; none at the end of time, or with a period of zero.
pub fn next(period: Duration, now: Timestamp) -> Option<Timestamp> {
    let period_ns = i128::try_from(period.as_nanos()).ok()?;
    let passed_ns = now.as_nanosecond().checked_rem_euclid(period_ns)?;
    Timestamp::from_nanosecond(now.as_nanosecond() - passed_ns + period_ns).ok()
}

#[cfg(test)]
mod tests;
