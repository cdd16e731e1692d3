//! What became of everything a run sent, and the verdict that follows. Made from strongly read rows only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::State;

/// What the rows of a run say, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Parts that the present generation sent and that have no end yet.
    pub parts_open: u64,
    /// Jobs of any generation that are not closed.
    pub jobs_open: u64,
    /// When the youngest job of any generation was made whose end is not known, open or not, in Unix milliseconds; for one
    /// that may exist and whose id was lost, the latest time at which that can have been. 0 if there is none.
    pub made_last_ms: i64,
    /// The totals so far.
    pub totals: Totals,
}

/// The totals of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Users seen in the last generation.
    pub users: u64,
    /// Patches that jobs took, over all generations.
    pub patches: u64,
    /// Bulk jobs.
    pub jobs: u64,
    /// Jobs by how they ended.
    pub jobs_by_end: BTreeMap<String, u64>,
    /// Users that ended in an error, each with a row.
    pub errors: u64,
    /// Items of error feeds that name no user we know.
    pub unattributed: u64,
    /// Jobs that may exist and whose ids were lost: a claim expired between the request and its record.
    pub jobs_possibly_lost: u64,
    /// Users in parts that were dropped in the last generation.
    pub dropped: u64,
    /// Users in jobs whose end is not known.
    pub unknown: u64,
    /// Users left alone because another user's patch names their company.
    #[serde(default)]
    pub sharing: u64,
}

/// What the accounts say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Something is under way.
    NotYet,
    /// The run ends in this state, for this reason.
    Ends(State, Option<String>),
}

impl Accounts {
    /// Whether nothing is under way any more.
    pub fn settled(&self) -> bool {
        self.parts_open == 0 && self.jobs_open == 0
    }

    /// How a draining run ends, if it does: `holes` are pages of the last generation that may be lost, `cut` says why
    /// it did not reach its end.
    pub fn verdict(&self, holes: usize, cut: Option<&str>) -> Verdict {
        if !self.settled() {
            return Verdict::NotYet;
        }
        let mut causes: Vec<String> = cut.map(ToOwned::to_owned).into_iter().collect();
        if holes > 0 {
            causes.push(format!("up to {} users on {holes} pages may be unseen", holes * 100));
        }
        causes.extend(self.unheard());
        // Whose patch names a company is not kept: if one user's fails, any who share a company may lack its name.
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
                let causes: Vec<String> =
                    std::iter::once(format!("{errors} users ended in an error")).chain(sharing).collect();
                Verdict::Ends(State::CompleteWithErrors, Some(causes.join("; ")))
            }
        }
    }

    /// What is not accounted for, by cause, for a run that is ended before its time.
    pub fn missing(&self) -> String {
        let open = format!("{} parts and {} jobs have no known end", self.parts_open, self.jobs_open);
        std::iter::once(open).chain(self.unheard()).collect::<Vec<_>>().join("; ")
    }

    /// Users of whom it is known that nobody will tell what became of them.
    fn unheard(&self) -> Vec<String> {
        let mut causes = Vec::new();
        if self.totals.dropped > 0 {
            causes.push(format!("{} users were in parts that were dropped", self.totals.dropped));
        }
        if self.totals.unknown > 0 {
            causes.push(format!("{} users are in jobs whose end Intercom did not tell", self.totals.unknown));
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

    fn with(change: impl FnOnce(&mut Accounts)) -> Accounts {
        let mut accounts = Accounts::default();
        change(&mut accounts);
        accounts
    }

    #[test]
    fn an_end_waits_for_every_part_and_job() {
        assert_eq!(with(|a| a.parts_open = 1).verdict(0, None), Verdict::NotYet);
        assert_eq!(with(|a| a.jobs_open = 1).verdict(0, None), Verdict::NotYet);
    }

    #[test]
    fn complete_means_that_nothing_is_missing() {
        let state = |accounts: Accounts, holes| match accounts.verdict(holes, None) {
            Verdict::Ends(state, _) => state,
            Verdict::NotYet => panic!("not settled"),
        };
        assert_eq!(state(Accounts::default(), 0), State::Complete);
        assert_eq!(state(Accounts::default(), 1), State::Incomplete);
        assert_eq!(state(with(|a| a.totals.errors = 1), 0), State::CompleteWithErrors);
        assert_eq!(state(with(|a| a.totals.sharing = 7), 0), State::Complete, "who named the company had no error");
        let shared = with(|a| (a.totals.errors, a.totals.sharing) = (1, 7)).verdict(0, None);
        assert!(matches!(shared, Verdict::Ends(State::CompleteWithErrors, Some(why)) if why.contains("up to 7 users")));
        assert_eq!(state(with(|a| a.totals.dropped = 1), 0), State::Incomplete);
        assert_eq!(state(with(|a| a.totals.unknown = 1), 0), State::Incomplete);
        assert_eq!(state(with(|a| a.totals.unattributed = 1), 0), State::Incomplete);
    }
}
