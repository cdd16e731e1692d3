//! The accounts of a run: the outcome of everything it sent, and the verdict on its end. They come
//! from strongly consistent reads only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cursor, Run, State, Tally};

/// The counted rows of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Parts of the present generation that have not ended.
    pub parts_open: u64,
    /// Open jobs of any generation.
    pub jobs_open: u64,
    /// Creation time of the youngest job whose outcome is unknown, in Unix milliseconds; 0 if there
    /// is none. For a possibly lost job it is the latest possible time.
    pub made_last_ms: i64,
    /// Users of the present generation that are in jobs; a user that is sent again counts once.
    pub sent_now: u64,
    /// Expiry of each lease of an open part, in Unix milliseconds.
    pub leases_until_ms: Vec<i64>,
    /// The reason why the latest request for an open part failed, in words.
    pub held: Option<String>,
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
    /// Items of error feeds that name no known user.
    pub unattributed: u64,
    /// Possibly lost jobs: a lease expired between the request and the record of its job.
    pub jobs_possibly_lost: u64,
    /// Users in parts that were dropped in the last generation.
    pub dropped: u64,
    /// Users in jobs with an unknown end.
    pub unknown: u64,
    /// Users in jobs that Intercom reported as failed without naming the users.
    #[serde(default)]
    pub failed_unnamed: u64,
    /// Users skipped because another user's patch names their company.
    #[serde(default)]
    pub sharing: u64,
}

/// The users that a run read, each counted once by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// Users read by the last generation, including unreadable entries.
    #[serde(skip)]
    pub read: u64,
    /// Users that this run changed, by Intercom's own report.
    pub written: u64,
    /// Users that already had the plan's values before this run.
    pub unchanged: u64,
    /// Users that the plan's rules skip.
    pub skipped: u64,
    /// Users with an error.
    pub failed: u64,
    /// The rest: not sent yet, in an open job, dropped, or in a job with an unknown end.
    pub pending: u64,
}

impl Counted {
    /// Counts the users of a run. A user that an earlier generation wrote is unchanged in the last
    /// one.
    pub fn of(tally: &Tally, totals: &Totals) -> Self {
        let read = tally.users + tally.unreadable;
        let before = totals.written_before.min(tally.same);
        let written = (totals.written.saturating_sub(totals.written_before) + before).saturating_sub(tally.partly);
        let (unchanged, skipped, failed) = (tally.same - before, tally.skipped, totals.errors);
        let pending = read.saturating_sub(written + unchanged + skipped + failed);
        Self { read, written, unchanged, skipped, failed, pending }
    }
}

/// The verdict on the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some part or job has not ended.
    NotYet,
    /// The run ends in this state, for this reason.
    Ends(State, Option<String>),
}

impl Accounts {
    /// Returns whether every part and job has ended.
    pub fn settled(&self) -> bool {
        self.parts_open == 0 && self.jobs_open == 0
    }

    /// Returns the totals of a run that continues. A part with a valid lease is being submitted, so
    /// its job is not lost.
    pub fn totals_at(&self, now_ms: i64) -> Totals {
        let at_work = self.leases_until_ms.iter().filter(|until_ms| **until_ms >= now_ms).count() as u64;
        let jobs_possibly_lost = self.totals.jobs_possibly_lost.saturating_sub(at_work);
        Totals { jobs_possibly_lost, ..self.totals.clone() }
    }

    /// Decides how a draining run ends, if it does. `cursor` has the pages of the last generation
    /// that may be lost, and why it did not reach its end.
    pub fn verdict(&self, run: &Run, cursor: &Cursor) -> Verdict {
        if !self.settled() {
            return Verdict::NotYet;
        }
        let mut causes: Vec<String> = cursor.cut.iter().cloned().collect();
        let gaps = cursor.gaps.len() as u64;
        if gaps > 0 {
            causes.push(format!("up to {} users on {gaps} pages may be unseen", gaps * run.users_of_page()));
        }
        causes.extend(self.unheard());
        // The ledger does not store whose patch names a company. If one user fails, any user who
        // shares a company may lack its name.
        let sharing = format!(
            "up to {} users may lack their company's name, which a failed user had to set",
            self.totals.sharing
        );
        let sharing = (self.totals.sharing > 0).then_some(sharing);
        if !causes.is_empty() {
            causes.extend(sharing);
            return Verdict::Ends(State::Incomplete, Some(causes.join("; ")));
        }
        match self.totals.errors {
            0 => Verdict::Ends(State::Complete, None),
            errors => {
                let causes: Vec<String> = std::iter::once(format!("{errors} users failed")).chain(sharing).collect();
                Verdict::Ends(State::CompleteWithErrors, Some(causes.join("; ")))
            }
        }
    }

    /// Returns the users and jobs that are unaccounted for, by cause, for a run that is ended
    /// early.
    pub fn missing(&self) -> String {
        let open = format!("{} parts and {} jobs have no known end", self.parts_open, self.jobs_open);
        std::iter::once(open).chain(self.unheard()).collect::<Vec<_>>().join("; ")
    }

    /// Returns the users whose outcome stays unknown, by cause.
    fn unheard(&self) -> Vec<String> {
        let mut causes = Vec::new();
        if self.totals.dropped > 0 {
            causes.push(format!("{} users were in parts that were dropped", self.totals.dropped));
        }
        if self.totals.unknown > 0 {
            causes.push(format!("{} users are in jobs whose end Intercom did not report", self.totals.unknown));
        }
        if self.totals.failed_unnamed > 0 {
            let users = self.totals.failed_unnamed;
            causes.push(format!("{users} users are in jobs that Intercom reported as failed without naming them"));
        }
        if self.totals.unattributed > 0 {
            causes.push(format!("{} failed items name no user", self.totals.unattributed));
        }
        causes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::RunId;

    fn with(change: impl FnOnce(&mut Accounts)) -> Accounts {
        let mut accounts = Accounts::default();
        change(&mut accounts);
        accounts
    }

    /// The verdict after a generation with this many gaps.
    fn verdict(accounts: &Accounts, gaps: u32) -> Verdict {
        let stored = serde_json::json!({"v": 1, "run": "p.1", "plan": "p", "state": "draining", "generation": 1,
            "started_ms": 0, "deadline_ms": 0});
        let mut cursor = Cursor::first(RunId::of("p", 0), 0, 0);
        cursor.gaps = (1..=gaps).collect();
        accounts.verdict(&serde_json::from_value(stored).unwrap(), &cursor)
    }

    #[test]
    fn a_run_ends_after_every_part_and_job() {
        assert_eq!(verdict(&with(|a| a.parts_open = 1), 0), Verdict::NotYet);
        assert_eq!(verdict(&with(|a| a.jobs_open = 1), 0), Verdict::NotYet);
    }

    #[test]
    fn complete_means_that_nothing_is_missing() {
        let state = |accounts: Accounts, gaps| match verdict(&accounts, gaps) {
            Verdict::Ends(state, _) => state,
            Verdict::NotYet => panic!("not settled"),
        };
        assert_eq!(state(Accounts::default(), 0), State::Complete);
        assert_eq!(state(Accounts::default(), 1), State::Incomplete);
        let unseen = "up to 200 users on 2 pages may be unseen";
        let ends = Verdict::Ends(State::Incomplete, Some(unseen.to_owned()));
        assert_eq!(verdict(&Accounts::default(), 2), ends);
        assert_eq!(state(with(|a| a.totals.errors = 1), 0), State::CompleteWithErrors);
        assert_eq!(state(with(|a| a.totals.sharing = 7), 0), State::Complete, "who named the company had no error");
        let shared = verdict(&with(|a| (a.totals.errors, a.totals.sharing) = (1, 7)), 0);
        assert!(matches!(shared, Verdict::Ends(State::CompleteWithErrors, Some(why)) if why.contains("up to 7 users")));
        assert_eq!(state(with(|a| a.totals.dropped = 1), 0), State::Incomplete);
        assert_eq!(state(with(|a| a.totals.unknown = 1), 0), State::Incomplete);
        assert_eq!(state(with(|a| a.totals.unattributed = 1), 0), State::Incomplete);
        let failed = verdict(&with(|a| a.totals.failed_unnamed = 83), 0);
        assert!(matches!(failed, Verdict::Ends(State::Incomplete, Some(why)) if why.contains("reported as failed")));
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
        let expected = Counted { read: 5, written: 1, unchanged: 0, skipped: 1, failed: 2, pending: 1 };
        assert_eq!(counted, expected);
    }

    #[test]
    fn a_part_under_a_valid_lease_is_not_a_lost_job() {
        let accounts = with(|a| {
            a.leases_until_ms = vec![1_000, 5_000];
            a.totals.jobs_possibly_lost = 2;
        });
        let lost = |now_ms| accounts.totals_at(now_ms).jobs_possibly_lost;
        assert_eq!((lost(500), lost(2_000), lost(6_000)), (0, 1, 2));
    }
}
