//! Estimates a run's remaining time and its progress, from the users read and the times of sending.

use std::collections::BTreeMap;
use std::time::Duration;

use intercom_bulk::rate_limit::{MINUTE_MS, WINDOW_MS};

/// Users to read before their share of patches is representative, unless the workspace has fewer.
const READ_LEAST: u64 = 300;
/// Minimum number of full rate windows: pages or another program may have used part of a single
/// one.
const WINDOWS_LEAST: i64 = 2;
/// The same for the minutes of a run with a pace.
const MINUTES_LEAST: i64 = 1;
/// Maximum time, in milliseconds, so that an estimate forgets an outage.
const MOST_MS: i64 = 300_000;

/// The work of a run's current generation at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Work<'a> {
    pub(crate) read: u64,
    /// Users to read; `None` if Intercom gives no count.
    pub(crate) count: Option<u64>,
    /// All users are read.
    pub(crate) all_read: bool,
    /// Nothing is sent before all users are read.
    pub(crate) in_turn: bool,
    /// Users to change among the users read.
    pub(crate) patches: u64,
    /// Time since the first page's request.
    pub(crate) reading: Duration,
    /// Users sent, by rate window (Unix time in units of 10 s).
    pub(crate) sends: &'a BTreeMap<i64, u64>,
    /// The most users per minute, if the run has a pace.
    pub(crate) max_per_minute: Option<u64>,
    /// The present moment, in Unix milliseconds.
    pub(crate) now_ms: i64,
    /// Time from the last bulk request until the ledger records the end of its job.
    pub(crate) tail: Duration,
}

impl Work<'_> {
    /// Users in jobs.
    pub(crate) fn sent(&self) -> u64 {
        self.sends.values().sum()
    }

    /// Returns the share of users that are read, from 0 to 1.
    fn read_share(&self) -> Option<f64> {
        if self.all_read {
            return Some(1.0);
        }
        self.count.map(|count| (self.read as f64 / count.max(1) as f64).min(1.0))
    }

    /// Returns the expected number of patches of the generation: the same share in the unread
    /// users.
    fn patches_in_all(&self, read_share: f64) -> f64 {
        self.patches as f64 / read_share
    }

    /// Returns the progress from 0 to 1, the lesser of reading and sending, or their mean if sending
    /// follows reading; `None` without a count.
    pub(crate) fn done(&self) -> Option<f64> {
        let read = self.read_share()?;
        if self.patches == 0 || read == 0.0 {
            return Some(read);
        }
        let sent = self.sent() as f64 / self.patches_in_all(read);
        Some(if self.in_turn { f64::midpoint(read, sent) } else { read.min(sent) })
    }

    /// Returns the time left; `None` before it can be estimated.
    pub(crate) fn left(&self) -> Option<Duration> {
        let read = self.read_share()?;
        let least = self.count.map_or(READ_LEAST, |count| READ_LEAST.min(count)).max(1);
        if !self.all_read && self.read < least {
            return None;
        }
        let read_left_ms = if self.all_read { 0.0 } else { self.reading.as_millis() as f64 * (1.0 - read) / read };
        let left_ms = if self.patches == 0 {
            read_left_ms
        } else {
            let pace = self.pace()?;
            let backlog = self.patches.saturating_sub(self.sent()) as f64;
            let unit_ms = pace.unit_ms as f64;
            if pace.users == 0.0 {
                // No patch waits and patches are rare, so reading sets the pace.
                (backlog == 0.0).then_some(read_left_ms)?
            } else if !self.all_read && backlog <= pace.users {
                read_left_ms + backlog / pace.users * unit_ms
            } else {
                let to_send = (self.patches_in_all(read) - self.sent() as f64).max(0.0) + pace.since as f64;
                // Users of a window are sent at its start or evenly, so half a window is the mean.
                let send_ms = to_send / pace.users * unit_ms - pace.since_ms - unit_ms / 2.0;
                send_ms.max(read_left_ms)
            }
        };
        let left = Duration::from_millis(left_ms.max(0.0) as u64) + self.tail;
        (left >= Duration::from_secs(1)).then_some(left)
    }

    /// Returns the pace over the last full windows, without the first: the run began within it. If
    /// the run has a pace, users are sent at the begin of each minute, so it is taken over minutes.
    fn pace(&self) -> Option<Pace> {
        let (unit_ms, least) = match self.max_per_minute {
            Some(_) => (MINUTE_MS, MINUTES_LEAST),
            None => (WINDOW_MS, WINDOWS_LEAST),
        };
        let unit_of = |window: i64| (window * WINDOW_MS).div_euclid(unit_ms);
        let (&first, &newest) = (self.sends.keys().next()?, self.sends.keys().next_back()?);
        let present = self.now_ms.div_euclid(unit_ms).max(unit_of(newest));
        let from = (unit_of(first) + 1).max(present - MOST_MS / unit_ms);
        let sent_in = |units: std::ops::Range<i64>| -> u64 {
            let windows = units.start * unit_ms / WINDOW_MS..units.end * unit_ms / WINDOW_MS;
            self.sends.range(windows).map(|(_, users)| users).sum()
        };
        let measured = (present - from >= least).then(|| sent_in(from..present) as f64 / (present - from) as f64);
        let users = match (measured, self.max_per_minute) {
            (Some(measured), _) => measured,
            // The first minutes of a run with a pace are as full as the others.
            (None, Some(pace)) => pace as f64,
            (None, None) => return None,
        };
        let since_ms = (self.now_ms - present * unit_ms).max(0) as f64;
        Some(Pace { unit_ms, users, since: sent_in(present..present + 1), since_ms })
    }
}

/// The pace of sending.
struct Pace {
    /// Length of a window or minute, in milliseconds.
    unit_ms: i64,
    /// Users in a window or minute, on average.
    users: f64,
    /// Users sent in the current one.
    since: u64,
    /// The time since its start, in milliseconds.
    since_ms: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten windows of 60 users after a first one of 20. 5,000 of 20,000 users are read, 4,000
    /// change.
    fn work(sends: &BTreeMap<i64, u64>) -> Work<'_> {
        Work {
            read: 5_000,
            count: Some(20_000),
            all_read: false,
            in_turn: false,
            patches: 4_000,
            reading: Duration::from_secs(100),
            sends,
            max_per_minute: None,
            now_ms: 110_000,
            tail: Duration::from_secs(5),
        }
    }

    fn sends() -> BTreeMap<i64, u64> {
        (0..=10).map(|window| (window, if window == 0 { 20 } else { 60 })).collect()
    }

    #[test]
    fn slower_of_reading_and_sending_sets_the_time_left() {
        let sends = sends();
        let seconds = |work: Work<'_>| work.left().map(|left| left.as_secs());
        // 16,000 in all, of which 620 are sent: 256 windows, minus half of one.
        assert_eq!(seconds(work(&sends)), Some(2_563));
        let all_read = Work { read: 20_000, all_read: true, patches: 1_820, ..work(&sends) };
        assert_eq!(seconds(all_read.clone()), Some(200));
        assert_eq!(seconds(Work { count: None, ..all_read.clone() }), Some(200), "without a count");
        assert_eq!(seconds(Work { now_ms: 114_000, ..all_read }), Some(196), "and none since the window began");
        // Patches are sent at once: 300 s of reading.
        assert_eq!(seconds(Work { patches: 620, ..work(&sends) }), Some(305));
        assert_eq!(seconds(Work { patches: 0, ..work(&BTreeMap::new()) }), Some(305));
    }

    #[test]
    fn pace_of_the_run_sets_the_time_left() {
        // So many users are sent in the first window of each minute, and 60 are allowed.
        let minutes = |begun: i64, users: u64, now_ms| {
            let sends: BTreeMap<i64, u64> = (0..begun).map(|minute| (minute * 6, users)).collect();
            let paced = Work { max_per_minute: Some(60), read: 20_000, all_read: true, patches: 600, ..work(&sends) };
            Work { now_ms, ..paced }.left().map(|left| (left.as_secs() + 30) / 60)
        };
        assert_eq!(minutes(1, 60, 30_000), Some(9), "one minute has begun");
        assert_eq!(minutes(5, 60, 250_000), Some(5));
        assert_eq!(minutes(5, 60, 299_000), Some(5));
        assert_eq!(minutes(5, 30, 250_000), Some(15), "the rate limit allows less");
    }

    #[test]
    fn estimate_needs_enough_data() {
        let sends = sends();
        assert_eq!(Work { count: None, ..work(&sends) }.left(), None);
        assert_eq!(Work { read: 299, ..work(&sends) }.left(), None);
        assert_eq!(work(&BTreeMap::new()).left(), None, "4,000 wait and none is sent");
        let begun = BTreeMap::from([(9, 1_333), (10, 1_333)]);
        assert_eq!(work(&begun).left(), None, "one whole window");
        let stalled = BTreeMap::from([(0, 60)]);
        assert_eq!(work(&stalled).left(), None, "nothing is sent for a long time");
    }

    #[test]
    fn progress_is_full_when_all_is_read_and_sent() {
        let sends = sends();
        let percent = |work: Work<'_>| work.done().map(|done| (done * 100.0) as u64);
        assert_eq!(percent(work(&sends)), Some(3), "620 of 16,000");
        assert_eq!(percent(Work { patches: 0, ..work(&sends) }), Some(25));
        assert_eq!(percent(Work { all_read: true, patches: 1_240, ..work(&sends) }), Some(50));
        assert_eq!(percent(Work { count: None, ..work(&sends) }), None);
        let none = BTreeMap::new();
        let held_back = Work { in_turn: true, ..work(&none) };
        assert_eq!(percent(held_back.clone()), Some(12), "a quarter is read");
        assert_eq!(percent(Work { sends: &sends, all_read: true, patches: 1_240, ..held_back }), Some(75));
    }
}
