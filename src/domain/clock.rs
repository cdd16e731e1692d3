//! The time of an invocation.

use std::time::SystemTime;

use tokio::time::Instant;

/// Wall time at the start of an invocation, and tokio's clock since: steps read time nowhere else, so that a test can
/// hold both.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall_ms: i64,
    since: Instant,
}

impl Clock {
    /// A clock that shows the machine's time; the functions' mains and the command begin with one.
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's time is read")]
    pub fn of_the_machine() -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
    }

    /// A clock that shows `wall_ms` (Unix milliseconds) now and goes on with tokio's clock.
    pub fn starting_at(wall_ms: i64) -> Self {
        Self { wall_ms, since: Instant::now() }
    }

    /// Unix milliseconds.
    pub fn now_ms(&self) -> i64 {
        let elapsed_ms = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.wall_ms.saturating_add(elapsed_ms)
    }

    /// Unix seconds.
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_clock_goes_on_with_tokio() {
        let clock = Clock::starting_at(1_000_500);
        tokio::time::advance(std::time::Duration::from_millis(2_600)).await;
        assert_eq!((clock.now_ms(), clock.now_s()), (1_003_100, 1003));
    }
}
