//! The end of a run: its final state, and the reason in words for the operator.
//! [`Accounts::verdict`] ends a run whose parts and jobs have ended; [`past_deadline`] is the reason
//! of a run that did not get there in time. The bounds of a turn are in [`super::decide`].

use super::{Accounts, Cursor, Phase, Run, State, Tally};

/// The verdict on the end of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Some part or job has not ended.
    NotYet,
    /// The run ends in this state, for this reason.
    Ends(State, Option<String>),
}

impl Accounts {
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
                let users = if errors == 1 { "user" } else { "users" };
                let causes: Vec<String> = std::iter::once(format!("{errors} {users} failed")).chain(sharing).collect();
                Verdict::Ends(State::CompleteWithErrors, Some(causes.join("; ")))
            }
        }
    }

    /// Returns the users and jobs that are unaccounted for, by cause, for a run that is ended
    /// early. The parts of a run may be held back.
    pub fn missing(&self, held_back: bool) -> String {
        let (parts, jobs) = (self.parts_open, self.jobs_open());
        let open = if held_back {
            format!("{parts} parts were held back (max_changes) and not sent, and {jobs} jobs have no known end")
        } else {
            format!("{parts} parts and {jobs} jobs have no known end")
        };
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

/// Returns the reason of a run that did not end before its deadline. The caller appends
/// [`Accounts::missing`].
pub fn past_deadline(run: &Run, cursor: &Cursor) -> String {
    let left = match cursor.phase {
        Phase::Settling => ", before its last generation",
        Phase::Turning => ", with pages left to turn",
        Phase::Ended => "",
    };
    format!("past its deadline{left}; {}{}", run.read_so_far(&cursor.tally), cursor.last_wait())
}

impl Run {
    /// Returns how far the present generation got, for the reason of an incomplete run.
    pub fn read_so_far(&self, tally: &Tally) -> String {
        match self.listed.or(self.count) {
            Some(count) => format!("{} of {count} users were read", tally.users),
            None => format!("{} users were read", tally.users),
        }
    }
}

impl Cursor {
    /// Returns the last reason to wait, as a suffix of a run's final reason.
    pub fn last_wait(&self) -> String {
        self.waits.as_ref().map(|waits| format!("; the last: {waits}")).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bucket::{Bucket, Width};
    use crate::domain::job::JobId;
    use crate::domain::run::{OpenJobs, RunId};

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
        let job = JobId::new("job_1").unwrap();
        assert_eq!(verdict(&with(|a| a.parts_open = 1), 0), Verdict::NotYet);
        assert_eq!(
            verdict(&with(|a| OpenJobs::add(&mut a.open, &job, &Bucket::of(0, Width::MINUTE), 0)), 0),
            Verdict::NotYet
        );
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
}
