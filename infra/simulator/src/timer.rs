//! Waits that are on time on average. A runtime's timer fires late, depending on its resolution and
//! the machine's load. Each wait is shortened by the expected lateness, so that the mean latency is
//! the requested one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The maximum lateness that is compensated. A busier machine waits longer.
const LATE_MAX: Duration = Duration::from_millis(3);
/// The weight of one wait in the moving average is 1 / `WEIGHT`.
const WEIGHT: u32 = 8;

/// The average lateness of waits.
#[derive(Debug, Default)]
pub(crate) struct Timer {
    late_us: AtomicU64,
}

impl Timer {
    /// Waits until `end`. Returns at once if that is past.
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

    /// A paused clock moves in whole milliseconds, like the timer, so waits between them end late.
    #[tokio::test(start_paused = true)]
    async fn waits_are_on_time_on_average() {
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
