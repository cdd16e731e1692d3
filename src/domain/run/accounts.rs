//! The accounts of a run: the outcome of everything it sent. They come from strongly consistent
//! reads only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cursor, NAMED_ALREADY, OpenJobs, ReadBackTotals, Run, Tally};
use crate::domain::part::PartId;
use crate::domain::stored::is_zero;

/// The counted rows of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Parts of the present generation that have not ended.
    pub parts_open: u64,
    /// Open jobs of any generation.
    pub open: Option<OpenJobs>,
    /// Their number by the counts, if no job was read.
    pub open_counted: u64,
    /// The latest time at which a request with an unknown outcome was sent, in Unix milliseconds; 0
    /// if there is none. Its job, if it made one, has no known id.
    pub made_last_ms: i64,
    /// Users of the present generation that are in jobs; a user that is sent again counts once.
    pub sent_now: u64,
    /// Expiry of each lease of an open part, in Unix milliseconds.
    pub leases_until_ms: Vec<i64>,
    /// The reason why the latest request for an open part failed, in words.
    pub held: Option<String>,
    /// Parts of committed pages that may have users of the run's sample, in the order of their pages.
    pub sample_parts: Vec<PartId>,
    /// The totals so far. Each lease counts as a possibly lost job, because no later read corrects
    /// the totals of a final state. [`Accounts::totals_at`] leaves out the valid leases.
    pub totals: Totals,
}

/// The totals of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Users seen in the last generation. A user that Intercom lists on two pages counts twice.
    pub users: u64,
    /// Intercom's own count of users if the run reads all of them: at the end of the pages, or at
    /// the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Items of all jobs of all generations; a user that is sent again counts again.
    pub patches: u64,
    /// Users in jobs of all generations. A retried item and a resubmission count once.
    #[serde(default)]
    pub sent: u64,
    /// Users of closed jobs that Intercom did not refuse, over all generations.
    #[serde(default)]
    pub written: u64,
    /// Users of `written` from earlier generations: the last generation found them unchanged.
    #[serde(default)]
    pub written_before: u64,
    /// Bulk jobs.
    pub jobs: u64,
    /// Jobs by their end.
    pub jobs_by_end: BTreeMap<String, u64>,
    /// Users that ended in an error, each with a row.
    pub errors: u64,
    /// Those of them who failed in two ways: an error of the plan's evaluation, and one of their write.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_twice: u64,
    /// Items of error feeds that name no known user.
    pub unattributed: u64,
    /// Possibly lost jobs: a lease expired between the request and the record of its job.
    pub jobs_possibly_lost: u64,
    /// The latest time at which a request with an unknown outcome was sent, in Unix milliseconds; 0
    /// without one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unknown_sent_ms: i64,
    /// Users in parts that were dropped in the last generation.
    pub dropped: u64,
    /// Users that Intercom does not have any more: deleted, archived or merged during the run.
    #[serde(default)]
    pub gone: u64,
    /// Users of whom something else changed a value between their read and their write.
    #[serde(default)]
    pub changed_since: u64,
    /// Users in jobs with an unknown end.
    pub unknown: u64,
    /// Users in jobs that Intercom reported as failed without naming the users.
    #[serde(default)]
    pub failed_unnamed: u64,
    /// Users skipped because another user's patch names their company.
    #[serde(default)]
    pub sharing: u64,
    /// The check of written values, after the end of a run that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<ReadBackTotals>,
}

/// The users that a run read, each counted once by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Users read by the last generation, including unreadable entries.
    #[serde(skip)]
    pub read: u64,
    /// Users of `written` from earlier generations.
    #[serde(skip)]
    pub before: u64,
    /// Users that this run changed, by Intercom's own report.
    pub written: u64,
    /// Users that already had the plan's values before this run.
    pub unchanged: u64,
    /// Users that the plan's rules skip.
    pub skipped: u64,
    /// Users with an error.
    pub failed: u64,
    /// Users that Intercom does not have any more.
    #[serde(skip_serializing_if = "is_zero")]
    pub gone: u64,
    /// Users of whom something else changed a value between their read and their write.
    #[serde(skip_serializing_if = "is_zero")]
    pub changed_since: u64,
    /// The rest: not sent yet, in an open job, dropped, or in a job with an unknown end.
    pub pending: u64,
}

impl Totals {
    /// Returns the greatest number of users that all closed jobs may have changed; `None` if a request
    /// with an unknown outcome may have made another job. Refused users are not changed.
    pub fn changed_max(&self) -> Option<u64> {
        match (self.jobs_possibly_lost, self.unknown_sent_ms) {
            (0, 0) => Some(self.written + self.unknown + self.failed_unnamed),
            (0, _) => Some(self.patches),
            _ => None,
        }
    }
}

impl Counted {
    /// Returns the number of users with an outcome.
    pub fn known(&self) -> u64 {
        self.written + self.unchanged + self.skipped + self.failed + self.gone + self.changed_since
    }

    /// Counts the users of a run. A user that an earlier generation wrote is unchanged in the last
    /// one.
    pub fn of(tally: &Tally, totals: &Totals) -> Self {
        let read = tally.read();
        let before = totals.written_before.min(tally.same);
        // A user who was written in part counts as failed.
        let partly = tally.partly.saturating_sub(totals.failed_twice);
        let written = (totals.written.saturating_sub(totals.written_before) + before).saturating_sub(partly);
        let (unchanged, skipped, failed) = (tally.same - before, tally.skipped, totals.errors);
        let (gone, changed_since) = (totals.gone, totals.changed_since);
        let counted = Self { read, before, written, unchanged, skipped, failed, gone, changed_since, pending: 0 };
        Self { pending: read.saturating_sub(counted.known()), ..counted }
    }
}

impl Accounts {
    /// Returns the accounts of a run that has sent nothing: the counts of its cursor.
    pub fn begun(run: &Run, cursor: &Cursor) -> Self {
        let mut accounts = Self::default();
        let totals = &mut accounts.totals;
        totals.users = cursor.tally.users;
        totals.count = cursor.count_at_end.or(run.count).filter(|_| run.reads_everybody());
        totals.sharing = cursor.tally.skip_reasons.get(NAMED_ALREADY).copied().unwrap_or_default();
        accounts
    }

    /// Returns the number of open jobs of any generation.
    pub fn jobs_open(&self) -> u64 {
        self.open.as_ref().map_or(self.open_counted, |open| open.count)
    }

    /// Returns whether every part and job has ended.
    pub fn settled(&self) -> bool {
        self.parts_open == 0 && self.jobs_open() == 0
    }

    /// Returns the totals of a run that continues. A part with a valid lease is being submitted, so
    /// its job is not lost.
    pub fn totals_at(&self, now_ms: i64) -> Totals {
        let at_work = self.leases_until_ms.iter().filter(|until_ms| **until_ms >= now_ms).count() as u64;
        let jobs_possibly_lost = self.totals.jobs_possibly_lost.saturating_sub(at_work);
        Totals { jobs_possibly_lost, ..self.totals.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_users_are_not_changed() {
        let known = Totals { patches: 25, written: 3, unknown: 4, failed_unnamed: 5, errors: 13, ..Totals::default() };
        assert_eq!(known.changed_max(), Some(12));
        let unknown_outcome = Totals { unknown_sent_ms: 1, ..known.clone() };
        assert_eq!(unknown_outcome.changed_max(), Some(25));
        assert_eq!(Totals { jobs_possibly_lost: 1, ..known }.changed_max(), None);
    }

    #[test]
    fn each_user_is_counted_once() {
        // Two generations of 2,000 users: the first wrote 1,590, the second the other 84.
        let tally = Tally { users: 2_000, patches: 84, same: 1_916, ..Tally::default() };
        let totals = Totals { written: 1_674, written_before: 1_590, ..Totals::default() };
        let counted = Counted::of(&tally, &totals);
        assert_eq!((counted.read, counted.written, counted.unchanged, counted.pending), (2_000, 1_674, 326, 0));
        // Everything that was sent failed.
        let tally = Tally { users: 208, patches: 208, ..Tally::default() };
        let counted = Counted::of(&tally, &Totals { sent: 208, errors: 208, ..Totals::default() });
        assert_eq!((counted.written, counted.failed, counted.pending), (0, 208, 0));
        // One value of a user is written and another fails. One entry has no id, one user is
        // skipped, one is queued.
        let tally = Tally { users: 4, patches: 3, skipped: 1, errors: 2, partly: 1, unreadable: 1, ..Tally::default() };
        let counted = Counted::of(&tally, &Totals { written: 2, errors: 2, ..Totals::default() });
        let expected = Counted { read: 5, written: 1, skipped: 1, failed: 2, pending: 1, ..Counted::default() };
        assert_eq!(counted, expected);
        // The write of one user fails, whose other value failed before. The other user is written.
        let tally = Tally { users: 2, patches: 2, errors: 1, partly: 1, ..Tally::default() };
        let counted = Counted::of(&tally, &Totals { written: 1, errors: 1, failed_twice: 1, ..Totals::default() });
        assert_eq!(counted, Counted { read: 2, written: 1, failed: 1, ..Counted::default() });
    }

    #[test]
    fn a_part_under_a_valid_lease_is_not_a_lost_job() {
        let totals = Totals { jobs_possibly_lost: 2, ..Totals::default() };
        let accounts = Accounts { leases_until_ms: vec![1_000, 5_000], totals, ..Accounts::default() };
        let lost = |now_ms| accounts.totals_at(now_ms).jobs_possibly_lost;
        assert_eq!((lost(500), lost(2_000), lost(6_000)), (0, 1, 2));
    }
}
