//! The speed of a run's writes: our share of the rate limit, and the run's own pace. The deadline and
//! the end of the reading follow from it.

use std::num::NonZeroU32;

use super::Run;

/// A run's shortest deadline, in milliseconds.
pub const DEADLINE_LEAST_MS: i64 = 24 * 3600 * 1000;
/// A run's longest deadline, in milliseconds. Rows of a run expire long after it.
pub const DEADLINE_MOST_MS: i64 = 40 * DEADLINE_LEAST_MS;
/// Length of a window of the rate limit, in milliseconds.
const WINDOW_MS: i64 = 10_000;
const MINUTE_MS: i64 = 60_000;
/// Time from the last bulk request to the end of the run, in milliseconds: the life of its job
/// (15 minutes), and as long again for polls.
const JOBS_END_MS: i64 = 30 * 60 * 1000;
/// A deadline is extended by at least this time, so that it does not move with each page.
const EXTENDED_BY_MS: i64 = 3600 * 1000;

/// The speed at which a run may write users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speed {
    /// Our operations per window of the rate limit.
    pub operations_per_10s: u32,
    /// The most users per minute, if the run has a pace.
    pub max_per_minute: Option<NonZeroU32>,
}

impl Speed {
    /// Returns the time that writing so many users takes, in milliseconds: at least one window, and
    /// with a pace one minute.
    pub fn time_ms(self, users: u64) -> i64 {
        let last_ms = if self.max_per_minute.is_some() { MINUTE_MS } else { WINDOW_MS };
        self.least_ms(users) + last_ms
    }

    /// Returns the time in milliseconds before which so many users cannot be written.
    pub fn least_ms(self, users: u64) -> i64 {
        let windows = users / u64::from(self.operations_per_10s.max(1));
        let minutes = self.max_per_minute.map_or(0, |pace| users / u64::from(pace.get()));
        let ms = |units: u64, unit_ms: i64| i64::try_from(units).unwrap_or(i64::MAX).saturating_mul(unit_ms);
        // A quarter of the range, so that callers can add to it.
        ms(windows, WINDOW_MS).max(ms(minutes, MINUTE_MS)).min(i64::MAX / 4)
    }
}

/// Returns the deadline of a run that began at `started_ms`: 24 hours later, or twice the time that
/// patches of so many users need at this speed.
pub fn deadline_ms(started_ms: i64, users: u64, speed: Speed) -> i64 {
    let twice_ms = speed.time_ms(users).saturating_mul(2);
    started_ms.saturating_add(twice_ms.clamp(DEADLINE_LEAST_MS, DEADLINE_MOST_MS))
}

/// Returns the deadline of a run of listed users, each of whom is also read by a request of its own.
pub fn deadline_of_list_ms(started_ms: i64, users: u64, speed: Speed) -> i64 {
    let reading_ms = Speed { max_per_minute: None, ..speed }.least_ms(users);
    let twice_ms = (speed.time_ms(users) + reading_ms).saturating_mul(2);
    started_ms.saturating_add(twice_ms.clamp(DEADLINE_LEAST_MS, DEADLINE_MOST_MS))
}

impl Run {
    /// Returns the speed of the run's writes with so many operations per window.
    pub fn speed(&self, operations_per_10s: u32) -> Speed {
        Speed { operations_per_10s, max_per_minute: self.limits.max_per_minute }
    }

    /// Returns the later deadline of a run that read more users than Intercom counted, or whose
    /// limit fell. `None` if the deadline does not change. A deadline is never moved forward.
    pub fn extended_deadline_ms(&self, read: u64, speed: Speed) -> Option<i64> {
        let until_ms = match self.listed {
            Some(listed) => deadline_of_list_ms(self.started_ms, listed.max(read), speed),
            None => deadline_ms(self.started_ms, self.count.unwrap_or_default().max(read), speed),
        };
        let until_ms = until_ms.saturating_add(self.paused_ms);
        (until_ms > self.deadline_ms.saturating_add(EXTENDED_BY_MS)).then_some(until_ms)
    }

    /// Returns the time after which no page is read, in Unix milliseconds, if so many users are
    /// queued: the deadline less the time that they need.
    pub fn reading_ends_ms(&self, queued: u64, speed: Speed) -> i64 {
        self.deadline_ms.saturating_sub(speed.time_ms(queued) + JOBS_END_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::tests::run;

    const DAY: i64 = DEADLINE_LEAST_MS;
    const HOUR: i64 = 3600 * 1000;

    fn at(operations_per_10s: u32, per_minute: u32) -> Speed {
        Speed { operations_per_10s, max_per_minute: NonZeroU32::new(per_minute) }
    }

    #[test]
    fn slower_of_limit_and_pace_determines_the_time() {
        assert_eq!((at(60, 0).time_ms(600), at(60, 0).least_ms(599)), (110_000, 90_000));
        assert_eq!((at(60, 60).time_ms(600), at(60, 60).least_ms(59)), (660_000, 0));
        assert_eq!(at(60, 10_000).least_ms(600), 100_000);
        assert!(at(0, 1).time_ms(u64::MAX) > 0);
    }

    #[test]
    fn the_deadline_grows_with_the_work() {
        assert_eq!(deadline_ms(5, 10_000, at(83, 0)), 5 + DAY);
        // A million users at 66 per 10 s need 42 hours of submissions; the deadline is twice that.
        assert!(deadline_ms(0, 1_000_000, at(66, 0)) > 3 * DAY);
        assert_eq!(deadline_ms(0, 0, at(0, 0)), DAY);
        assert_eq!(deadline_ms(0, 100_000, at(1_333, 60)) / HOUR, 55, "twice 27.8");
        assert_eq!(deadline_ms(0, 1_000_000, at(1_333, 1)), DEADLINE_MOST_MS);
    }

    #[test]
    fn the_deadline_of_a_list_has_time_for_a_read_of_each_user() {
        assert_eq!(deadline_of_list_ms(5, 10_000, at(83, 0)), 5 + DAY);
        let (list, writes) = (deadline_of_list_ms(0, 400_000, at(66, 0)), deadline_ms(0, 400_000, at(66, 0)));
        assert_eq!((list / HOUR, writes / HOUR), (67, 33));
        let paced = deadline_of_list_ms(0, 100_000, at(1_333, 60));
        assert_eq!(paced / HOUR, 55, "reads do not wait for the minutes of the writes: {paced}");
        let listed = Run { listed: Some(400_000), ..run(None) };
        assert_eq!(listed.extended_deadline_ms(100, at(66, 0)), Some(list));
    }

    #[test]
    fn the_deadline_without_a_count_grows_with_users_read() {
        assert_eq!(run(None).extended_deadline_ms(290_000, at(66, 0)), None, "a day is enough for them");
        let grown = run(None).extended_deadline_ms(570_000, at(66, 0)).unwrap();
        assert!((DAY + 1..3 * DAY).contains(&grown), "{grown}");
        let extended = Run { deadline_ms: grown, ..run(None) };
        assert_eq!(extended.extended_deadline_ms(570_100, at(66, 0)), None, "not with each page");
    }

    #[test]
    fn the_deadline_grows_when_the_limit_falls() {
        let counted = Run { deadline_ms: deadline_ms(0, 570_000, at(133, 0)), ..run(Some(570_000)) };
        assert_eq!(counted.extended_deadline_ms(100, at(133, 0)), None, "it rests on the count");
        assert_eq!(counted.extended_deadline_ms(100, at(1_333, 0)), None, "a higher limit does not move it forward");
        let grown = counted.extended_deadline_ms(100, at(66, 0));
        assert_eq!(grown, Some(deadline_ms(0, 570_000, at(66, 0))));
        assert!(counted.extended_deadline_ms(1_200_000, at(133, 0)).is_some(), "more users than counted");
    }

    #[test]
    fn reading_leaves_time_for_what_is_queued() {
        let left = |queued, speed| (DAY - run(None).reading_ends_ms(queued, speed)) / 60_000;
        assert_eq!(left(0, at(60, 0)), 30);
        assert_eq!(left(36_000, at(60, 0)), 100 + 30, "600 windows");
        assert_eq!(left(36_000, at(60, 60)), 601 + 30, "600 minutes, and the present one");
        assert!(run(None).reading_ends_ms(u64::MAX, at(1, 1)) < 0);
    }
}
