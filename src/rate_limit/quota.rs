//! Our share of Intercom's limit, and what each kind of request may use of it.

use crate::ledger::LimitItem;

/// Polls of jobs get at most a quarter of a window, so that submissions continue.
const POLLS_MAX_OF: u32 = 4;

/// The kind of request. Each window reserves operations for the other lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A page. An exclusive reading expires without one.
    Page,
    /// Users of a write. `reads` reserves operations for pages.
    Submit {
        /// True while the run reads pages.
        reads: bool,
    },
    /// A poll of a job, and other small questions.
    Check,
}

/// The part of Intercom's limit that we may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Operations per window that Intercom last reported.
    pub limit: u32,
    /// `INTERCOM_QUOTA_PERCENT`.
    pub percent: u32,
    /// Due polls of jobs, as check last counted them.
    pub polls: u32,
}

impl Quota {
    /// Returns the quota at `now_ms`; `percent` of the limit is ours.
    pub fn of(item: &LimitItem, percent: u32, now_ms: i64) -> Self {
        let polls = if now_ms < item.polls_until_ms { item.polls } else { 0 };
        Self { limit: item.limit.max(1), percent, polls }
    }

    /// Returns the operations per window that we may use.
    pub fn cap(self) -> u32 {
        (u64::from(self.limit) * u64::from(self.percent.min(100)) / 100).max(1) as u32
    }

    /// Returns the operations per window that are reserved for polls of jobs: the due polls, at
    /// least the number of jobs that a window can create, at most a quarter of the window.
    pub fn polls_kept(self) -> u32 {
        let cap = self.cap();
        self.polls.min(cap / POLLS_MAX_OF).max(cap / 80).max(2)
    }

    /// Returns the operations of a window that this lane may use.
    pub fn reach(self, lane: Lane) -> u32 {
        let cap = self.cap();
        // A small window reserves two operations for pages, a large one a share that pages never
        // fill.
        let (pages, polls) = ((cap / 66).max(2), self.polls_kept());
        let kept = match lane {
            Lane::Submit { reads: true } => pages + polls,
            Lane::Page | Lane::Submit { reads: false } => polls,
            Lane::Check => 0,
        };
        cap.saturating_sub(kept).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_leave_room_for_each_other() {
        let small = Quota { limit: 83, percent: 100, polls: 0 };
        assert_eq!((small.cap(), small.reach(Lane::Submit { reads: true })), (83, 79));
        let large = Quota { limit: 1667, percent: 100, polls: 0 };
        let used = large.reach(Lane::Submit { reads: true });
        assert!(f64::from(used) >= 0.95 * 1667.0, "{used}");
        let tiny = Quota { limit: 1, percent: 1, polls: 9 };
        assert_eq!(tiny.reach(Lane::Submit { reads: true }), 1, "a tiny limit still lets one through");
    }

    #[test]
    fn reserved_polls_grow_with_due_polls() {
        for (limit, polls, kept) in
            [(1667, 0, 16), (1667, 45, 45), (1667, 900, 333), (83, 1, 2), (83, 9, 9), (83, 60, 16)]
        {
            assert_eq!(Quota { limit, percent: 80, polls }.polls_kept(), kept, "{limit} {polls}");
        }
    }

    #[test]
    fn the_reservation_for_polls_expires() {
        let item = LimitItem { polls: 45, polls_until_ms: 20_000, ..LimitItem::default() };
        assert_eq!([19_999, 20_000].map(|now_ms| Quota::of(&item, 80, now_ms).polls), [45, 0]);
    }
}
