//! The knowledge of one process about the rate limit, with its prepaid permits.

use super::limiter::PermitRequest;
use super::pace::PrepaidMinute;
use super::quota::Lane;
use crate::domain::clock::Clock;
use crate::domain::run::RunId;
use crate::intercom::Rate;
use crate::ledger::LimitItem;

/// The knowledge of one process.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The clock of the last caller. Each request follows a call of the limiter in the same
    /// invocation, so this is the clock of the invocation that a reported answer belongs to.
    pub(super) clock: Option<Clock>,
    /// The limit as last read or reported, and the end of the window at that time.
    pub(super) limit: Option<(i64, LimitItem)>,
    /// The end of the window of the last permits, and its counter at that time.
    seen: Option<(i64, u32)>,
    /// The use of a window by a header.
    reported: Option<Reported>,
    /// True after an answer that shows that `X-RateLimit-Remaining` excludes its own request.
    leaves_out_own: bool,
    /// The counts for the invocation's metrics.
    pub(super) usage: Usage,
    /// Prepaid permits of pages, submissions and polls.
    prepaid: [Prepaid; 3],
    /// Permits of a run's minute.
    minute: Option<PrepaidMinute>,
    /// A 429 closed the budget until this time, in Unix milliseconds.
    pub(super) closed_until_ms: i64,
}

/// The rate limit as one invocation met it, for its metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Answers with a 429.
    pub rate_limited: u64,
    /// Our quota's use in the fullest window, in percent.
    pub quota_used_percent: u64,
}

/// Permits of a window that were acquired and are not used.
#[derive(Clone, Copy, Debug, Default)]
struct Prepaid {
    end_ms: i64,
    left: u32,
}

/// A window's use by a header and by the permits since.
#[derive(Clone, Copy, Debug)]
struct Reported {
    end_ms: i64,
    /// The least number of operations: those that the header showed, and this process's permits since.
    least: u32,
}

impl Known {
    fn prepaid(&mut self, lane: Lane) -> &mut Prepaid {
        match lane {
            Lane::Page => &mut self.prepaid[0],
            Lane::Submit { .. } => &mut self.prepaid[1],
            Lane::Check => &mut self.prepaid[2],
        }
    }

    /// Keeps permits of the window that ends at `end_ms` for later requests.
    pub(super) fn keep(&mut self, lane: Lane, end_ms: i64, permits: u32) {
        let prepaid = self.prepaid(lane);
        if prepaid.end_ms > end_ms {
            return;
        }
        let left = if prepaid.end_ms == end_ms { prepaid.left } else { 0 };
        *prepaid = Prepaid { end_ms, left: left + permits };
    }

    /// Takes prepaid permits of the window that ends at `end_ms`, if they cover the request.
    pub(super) fn use_prepaid(&mut self, request: PermitRequest, end_ms: i64) -> Option<u32> {
        let prepaid = self.prepaid(request.lane);
        let permits = prepaid.left.min(request.most);
        if prepaid.end_ms != end_ms || permits < request.least.max(1) {
            return None;
        }
        prepaid.left -= permits;
        Some(permits)
    }

    /// Removes the unused permits of a run's minute.
    pub(super) fn take_minute(&mut self, run: &RunId, end_ms: i64) -> u32 {
        PrepaidMinute::take(&mut self.minute, run, end_ms)
    }

    /// Keeps permits of a run's minute for later requests.
    pub(super) fn keep_minute(&mut self, permits: PrepaidMinute) {
        PrepaidMinute::keep(&mut self.minute, permits);
    }

    /// Closes the budget for this process after a 429, and drops its prepaid permits.
    pub(super) fn close_until(&mut self, until_ms: i64) {
        self.prepaid = Default::default();
        self.usage.rate_limited += 1;
        self.closed_until_ms = self.closed_until_ms.max(until_ms);
    }

    /// Returns the prepaid permits of a window.
    fn unused(&self, end_ms: i64) -> u32 {
        self.prepaid.iter().filter(|prepaid| prepaid.end_ms == end_ms).map(|prepaid| prepaid.left).sum()
    }

    /// Returns the least use of a window by headers and by the permits since; 0 if no header showed more than
    /// this process knew.
    pub(super) fn least_use(&self, end_ms: i64) -> u32 {
        self.reported.filter(|reported| reported.end_ms == end_ms).map_or(0, |reported| reported.least)
    }

    /// Returns the operations of the least use that the ledger may not hold.
    pub(super) fn unstored(&self, end_ms: i64) -> u32 {
        self.least_use(end_ms).saturating_sub(self.seen_of(end_ms))
    }

    /// Records the use that a header showed, before it is written to the ledger. A concurrent
    /// request of this process must not use permits that the header has taken away.
    pub(super) fn reports(&mut self, end_ms: i64, counted: u32) {
        let least = counted.max(self.least_use(end_ms));
        self.reported = Some(Reported { end_ms, least });
    }

    /// Records permits of a window that the ledger granted.
    pub(super) fn took(&mut self, end_ms: i64, operations: u32) {
        if let Some(reported) = self.reported.as_mut().filter(|reported| reported.end_ms == end_ms) {
            reported.least = reported.least.saturating_add(operations);
        }
    }

    /// Records a window's counter as the ledger returned it. Answers to concurrent calls may arrive
    /// out of order, and a counter only grows.
    pub(super) fn sees(&mut self, end_ms: i64, spent: u32) {
        if self.seen.is_none_or(|(of, _)| of <= end_ms) {
            self.seen = Some((end_ms, spent.max(self.seen_of(end_ms))));
        }
    }

    fn seen_of(&self, end_ms: i64) -> u32 {
        self.seen.filter(|(of, _)| *of == end_ms).map_or(0, |(_, spent)| spent)
    }

    /// Returns what a window's counter must be at least according to an answer's headers, if that
    /// is more than this process knows.
    ///
    /// `X-RateLimit-Remaining` shows what Intercom has counted: our requests that it has seen, and
    /// those of other programs. It excludes prepaid permits and, in the recorded form, the answered
    /// request itself. This process's requests in flight are taken as counted. Therefore another
    /// program that does not exist is never inferred, and one that exists shows with the next
    /// answer. The ledger accounts for permits of our other processes.
    pub(super) fn news(&mut self, rate: Rate, operations: u32, end_ms: i64) -> Option<u32> {
        self.leaves_out_own |= rate.used() == 0;
        let own = if self.leaves_out_own { operations } else { 0 };
        let counted = rate.used().saturating_add(own).saturating_add(self.unused(end_ms));
        let seen = self.seen_of(end_ms);
        (counted > seen.saturating_add(slack(rate.limit))).then_some(counted)
    }
}

/// Operations by which a header may exceed this process's knowledge before the ledger is read: a
/// fiftieth of the limit, so that a window costs at most 50 reads, and one for a request that may
/// or may not be counted.
fn slack(limit: u32) -> u32 {
    limit / 50 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reported_use_counts_until_the_ledger_holds_it() {
        let mut known = Known { seen: Some((10_000, 30)), ..Known::default() };
        let unstored = |known: &Known| (known.unstored(10_000), known.unstored(20_000));
        assert_eq!(unstored(&known), (0, 0));
        known.reports(10_000, 46);
        assert_eq!(unstored(&known), (16, 0));
        known.reports(10_000, 40);
        assert_eq!(unstored(&known), (16, 0), "an earlier answer that arrives later");
        known.sees(10_000, 40);
        assert_eq!(unstored(&known), (6, 0), "the ledger holds a part of it");
        known.sees(10_000, 45);
        known.took(10_000, 5);
        assert_eq!((known.least_use(10_000), unstored(&known)), (51, (6, 0)), "permits are used beside it");
        known.sees(10_000, 51);
        known.took(20_000, 9);
        assert_eq!(unstored(&known), (0, 0));
        known.reports(20_000, 5);
        assert_eq!(unstored(&known), (0, 5), "of the next window, nothing is seen yet");
    }

    #[test]
    fn seen_counter_never_falls() {
        let mut known = Known::default();
        for (end_ms, spent, seen) in [
            (10_000, 46, Some((10_000, 46))),
            (10_000, 30, Some((10_000, 46))),
            (20_000, 2, Some((20_000, 2))),
            (10_000, 60, Some((20_000, 2))),
        ] {
            known.sees(end_ms, spent);
            assert_eq!(known.seen, seen, "{end_ms} {spent}");
        }
    }
}
