//! The time of an invocation.

use std::time::SystemTime;

use tokio::time::Instant;

/// The wall time at the start of an invocation plus tokio's elapsed time. Steps read the time only
/// from here, so that a test can pause it.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall_ms: i64,
    since: Instant,
}

impl Clock {
    /// Returns a clock with the machine's time. The functions' mains and the command create one.
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's time is read")]
    pub fn of_the_machine() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }

    /// Returns a clock that shows `wall_ms` (Unix milliseconds) now and advances with tokio's
    /// clock.
    pub fn starting_at(wall_ms: i64) -> Self {
        Self { wall_ms, since: Instant::now() }
    }

    /// Returns the time in Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        let elapsed_ms = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.wall_ms.saturating_add(elapsed_ms)
    }

    /// Returns the time in Unix seconds.
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_advances_with_tokio() {
        let clock = Clock::starting_at(1_000_500);
        tokio::time::advance(std::time::Duration::from_millis(2_600)).await;
        assert_eq!((clock.now_ms(), clock.now_s()), (1_003_100, 1003));
    }
}
