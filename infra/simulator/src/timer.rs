//! Waits that are on time on average. A runtime's timer fires late, by a part of its step and by what the machine has to do;
//! what it was late by is taken off the next wait, so that a latency that is asked for is the one that is met.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A machine that is busy for longer is not made up for.
const LATE_MAX: Duration = Duration::from_millis(3);
/// A wait counts such a part of what is expected of the next.
const WEIGHT: u32 = 8;

/// How late waits are found to be.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    late_us: AtomicU64,
}

impl Timer {
    /// Waits until `end`, at once where that is past.
    pub(crate) async fn wait(&self, end: Instant) {
        let expected = Duration::from_micros(self.late_us.load(Ordering::Relaxed));
        let asked = end.checked_sub(expected).unwrap_or(end);
        if asked <= Instant::now() {
            return;
        }
        sleep_until(asked).await;
        let late = (Instant::now() - asked).min(LATE_MAX);
        let next = (expected * (WEIGHT - 1) + late) / WEIGHT;
        self.late_us.store(next.as_micros() as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A paused clock goes by whole milliseconds, as the timer does: between them it is late.
    #[tokio::test(start_paused = true)]
    async fn waits_are_on_time_on_average_and_exactly_where_they_can_be() {
        let timer = Timer::default();
        let began = Instant::now();
        timer.wait(began + Duration::from_millis(20)).await;
        assert_eq!(began.elapsed(), Duration::from_millis(20));
        let mut late_us = 0;
        for _ in 0..1_000 {
            let end = Instant::now() + Duration::from_micros(20_300);
            timer.wait(end).await;
            late_us += Instant::now().saturating_duration_since(end).as_micros() as i64;
            late_us -= end.saturating_duration_since(Instant::now()).as_micros() as i64;
        }
        assert!(late_us.abs() / 1_000 < 100, "{late_us} µs in a thousand waits");
    }
}
