//! The check of written values: the progress of reading some of the written users back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod failing;

pub use self::failing::FailedReads;
use self::failing::Failing;
use super::{SAMPLE_MAX, State};
use crate::domain::kept::Fate;
use crate::domain::part::PartId;
use crate::domain::patch::Target;
use crate::domain::user::UserId;

/// The most users that are read back.
pub const READ_BACK_MAX: usize = 100;
/// The most ids that a reason names for one target.
const NAMED_MAX: usize = 5;
/// Failed reads of one user after which it is left out, while reads of other users work.
const TRIES_MAX: u32 = 5;
/// The most parts from which a sample is made. Usually a part of the sample has one of its users.
const PARTS_MAX: usize = 2 * SAMPLE_MAX;

/// The result of one read of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The user's written targets, each with its fate.
    Values(Vec<(Target, Fate)>),
    /// Intercom does not return the user.
    Gone,
    /// The read failed. It is repeated at this time, in Unix milliseconds.
    Failed {
        /// The time of the next read.
        again_ms: i64,
        /// True if reads of other users worked, so that the failure is about this user.
        alone: bool,
    },
}

/// A user that is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Again {
    /// The place in the sample.
    place: u32,
    /// The time of the read, in Unix milliseconds.
    due_ms: i64,
    /// Failed reads.
    tries: u32,
    /// True if the first read showed a value that is not kept.
    differs: bool,
}

/// Users whose value of one target Intercom did not keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotKept {
    /// Their number.
    pub users: u32,
    /// Those of them that have the value from before the write.
    #[serde(default)]
    pub old: u32,
    /// Some of their ids.
    pub some: Vec<UserId>,
}

/// The progress of reading users back, stored after each few reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBack {
    /// Format version.
    pub v: u32,
    /// The generation whose users are read.
    pub generation: u32,
    /// The number of writes of this item.
    pub version: u64,
    /// The parts of which the sample is made; empty once it is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartId>,
    /// Users to read: the first ones of the sample.
    pub users: u32,
    /// Users of them that were read once, or failed.
    next: u32,
    #[serde(default)]
    again: Vec<Again>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failing: Option<Failing>,
    /// Users whose values are there.
    pub kept: u32,
    /// Users of whom another value is there.
    pub changed_since: u32,
    /// Users that Intercom does not return.
    pub gone: u32,
    /// Users that could not be read.
    pub unread: u32,
    /// Users of whom a value was not kept.
    pub not_kept: u32,
    /// Those users by target, as a plan writes it.
    #[serde(default)]
    by_target: BTreeMap<String, NotKept>,
}

/// The counts of a run's read-back, for its totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadBackTotals {
    /// Users that were read back.
    pub users: u32,
    /// Users whose values are there.
    pub kept: u32,
    /// Users of whom a value was not kept.
    pub not_kept: u32,
    /// Users of whom something else changed a value since the write.
    pub changed_since: u32,
    /// Users that Intercom does not return any more.
    pub gone: u32,
    /// Users that were to be read and could not be.
    pub unread: u32,
}

impl ReadBack {
    /// Creates the progress of a generation of a run of format `v`, whose sample is made of these parts.
    pub fn begin(v: u32, generation: u32, mut parts: Vec<PartId>) -> Self {
        parts.truncate(PARTS_MAX);
        Self {
            v,
            generation,
            version: 1,
            parts,
            users: 0,
            next: 0,
            again: Vec::new(),
            failing: None,
            kept: 0,
            changed_since: 0,
            gone: 0,
            unread: 0,
            not_kept: 0,
            by_target: BTreeMap::new(),
        }
    }

    /// Records that the sample is made, and has so many users.
    pub fn sampled(&mut self, users: usize) {
        self.parts.clear();
        self.users = users.min(READ_BACK_MAX) as u32;
    }

    /// Returns whether each user was read.
    pub fn is_done(&self) -> bool {
        self.parts.is_empty() && self.next == self.users && self.again.is_empty()
    }

    /// Returns the places of at most `most` users to read now: due repetitions first.
    pub fn due(&self, now_ms: i64, most: usize) -> Vec<usize> {
        let again = self.again.iter().filter(|again| again.due_ms <= now_ms).map(|again| again.place);
        again.chain(self.next..self.users).take(most).map(|place| place as usize).collect()
    }

    /// Returns a user that was read before, if all of these places failed before. The read of that user
    /// shows whether the failures are about those users alone.
    pub fn witness(&self, places: &[usize]) -> Option<usize> {
        let again = |place: u32| self.again.iter().find(|again| again.place == place);
        let failed = |place: &usize| again(*place as u32).is_some_and(|of| of.tries > 0 || self.failing.is_some());
        let read: Vec<u32> = (0..self.next).filter(|place| again(*place).is_none()).collect();
        let is_wanted = !read.is_empty() && places.iter().all(failed);
        // Another one each time: this one may have been left out itself.
        is_wanted.then(|| read[self.version as usize % read.len()] as usize)
    }

    /// Returns whether no user is to be read at this time, in Unix milliseconds.
    pub fn is_waiting(&self, now_ms: i64) -> bool {
        !self.is_done() && self.due(now_ms, 1).is_empty()
    }

    /// Returns the number of users that are read again because a value differs, and the time of the
    /// last of these reads, in Unix milliseconds.
    pub fn differing(&self) -> Option<(usize, i64)> {
        let differing = || self.again.iter().filter(|again| again.differs);
        differing().map(|again| again.due_ms).max().map(|until_ms| (differing().count(), until_ms))
    }

    /// Records what the read of a user showed. `again_ms` is the time at which a value that is not
    /// kept is read a second time, in Unix milliseconds: an answer may lag behind a write. Users
    /// are recorded in the order of their places. A user that was not due is not counted.
    pub fn record(&mut self, place: usize, user: &UserId, seen: Seen, again_ms: i64) {
        let place = place as u32;
        let before = self.again.iter().position(|again| again.place == place).map(|at| self.again.remove(at));
        if before.is_none() && place < self.next {
            return;
        }
        self.next = self.next.max(place + 1);
        let first = Again { place, due_ms: again_ms, tries: 0, differs: false };
        let before = before.unwrap_or(first);
        match seen {
            Seen::Gone => self.gone += 1,
            Seen::Failed { alone, .. } if before.tries + u32::from(alone) >= TRIES_MAX => self.unread += 1,
            Seen::Failed { again_ms, alone } => {
                self.again.push(Again { due_ms: again_ms, tries: before.tries + u32::from(alone), ..before });
            }
            Seen::Values(values) => {
                let lacking: BTreeMap<&Target, bool> = lacking(&values).collect();
                let changed = values.iter().any(|(_, fate)| *fate == Fate::ChangedSince);
                match (lacking.is_empty(), before.differs) {
                    (true, _) if changed => self.changed_since += 1,
                    (true, _) => self.kept += 1,
                    (false, false) => self.again.push(Again { differs: true, due_ms: again_ms, ..before }),
                    (false, true) => self.lacks(user, &lacking),
                }
            }
        }
    }

    fn lacks(&mut self, user: &UserId, targets: &BTreeMap<&Target, bool>) {
        self.not_kept += 1;
        for (target, is_old) in targets {
            let of = self.by_target.entry(target.to_string()).or_default();
            of.users += 1;
            of.old += u32::from(*is_old);
            if of.some.len() < NAMED_MAX {
                of.some.push(user.clone());
            }
        }
    }

    /// Returns the counts.
    pub fn totals(&self) -> ReadBackTotals {
        let Self { users, kept, not_kept, changed_since, gone, .. } = *self;
        let unread = users - kept - not_kept - changed_since - gone;
        ReadBackTotals { users: users - unread, kept, not_kept, changed_since, gone, unread }
    }

    /// Returns how a run ends after the read-back, whose accounts end it in `state`. `stopped` is the
    /// reason why not all users were read.
    pub fn end(&self, state: State, reason: Option<String>, stopped: Option<&str>) -> (State, Option<String>) {
        let read = self.kept + self.changed_since + self.not_kept;
        let lost = self.by_target.iter().map(|(target, of)| {
            let some: Vec<&str> = of.some.iter().map(UserId::as_str).collect();
            let more = if of.users as usize > some.len() { ", …" } else { "" };
            let or = if of.old > 0 { ", or another program set it back," } else { "" };
            format!(
                "Intercom did not keep {target} as written{or} for {} of {read} users that were read back ({}{more})",
                of.users,
                some.join(", ")
            )
        });
        let none = (read == 0 && self.users > 0).then_some("Intercom returned none of them");
        let unchecked = stopped.or(none).map(|why| {
            format!(
                "the written values were not all checked: {read} of {} users were read back, because {why}",
                self.users
            )
        });
        // The second read that would confirm it was not made.
        let differing = self.again.iter().filter(|again| again.differs).count();
        let unconfirmed =
            (differing > 0).then(|| format!("the values of {differing} users differed at their only read"));
        let reasons: Vec<String> = reason.into_iter().chain(lost).chain(unchecked).chain(unconfirmed).collect();
        let is_contradicted = self.not_kept > 0 || differing > 0;
        let state = if is_contradicted && state == State::Complete { State::CompleteWithErrors } else { state };
        (state, (!reasons.is_empty()).then(|| reasons.join("; ")))
    }
}

/// Returns the targets that lack the written value, and whether each has the old one.
fn lacking(values: &[(Target, Fate)]) -> impl Iterator<Item = (&Target, bool)> {
    values
        .iter()
        .filter(|(_, fate)| matches!(fate, Fate::Old | Fate::Altered))
        .map(|(target, fate)| (target, *fate == Fate::Old))
}

#[cfg(test)]
mod tests;
