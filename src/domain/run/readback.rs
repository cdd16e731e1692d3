//! The check of written values: a sample of the users that a run wrote, and the progress of reading
//! some of them back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::State;
use crate::domain::kept::Fate;
use crate::domain::patch::{Patch, Target};
use crate::domain::user::UserId;

/// The most users of a run's sample.
pub const SAMPLE_MAX: usize = 1_000;
/// The most bytes of a run's sample, as JSON.
const SAMPLE_BYTES_MAX: usize = 1 << 20;
/// The most users that are read back.
pub const READ_BACK_MAX: usize = 100;
/// The most ids that a reason names for one target.
const NAMED_MAX: usize = 5;
/// Failed reads of one user after which it is left out.
const TRIES_MAX: u32 = 5;

/// Returns a user's place in the order of samples: a hash of its id, the same in every build.
fn rank(user: &UserId) -> u64 {
    let digest = user
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // Ids of one hour differ in their last digits only, which FNV leaves in the low bits.
    let mixed = (digest ^ (digest >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Returns the lowest rank of a part's users. It says whether a user of the part may belong to the
/// sample.
pub fn lowest_rank(patches: &[Patch]) -> u64 {
    patches.iter().map(|patch| rank(&patch.user)).min().unwrap_or(u64::MAX)
}

/// Returns the highest rank in the sample of a generation that has made so many patches. About
/// [`SAMPLE_MAX`] users are below it.
fn bound(patches: u64) -> u64 {
    if patches <= SAMPLE_MAX as u64 { u64::MAX } else { u64::MAX / patches * SAMPLE_MAX as u64 }
}

/// Collects a sample: the users with the lowest ranks, each with its last patch.
#[derive(Debug)]
pub struct Sampler {
    bound: u64,
    best: BTreeMap<(u64, UserId), Patch>,
}

impl Sampler {
    /// Creates a sampler for a generation that made `patches` patches.
    pub fn of(patches: u64) -> Self {
        Self { bound: bound(patches), best: BTreeMap::new() }
    }

    /// Returns whether a part with this lowest rank may have users of the sample.
    pub fn wants(&self, lowest_rank: u64) -> bool {
        lowest_rank <= self.bound
    }

    /// Adds a patch of a later part than those before it.
    pub fn add(&mut self, patch: Patch) {
        let rank = rank(&patch.user);
        if rank > self.bound {
            return;
        }
        self.best.insert((rank, patch.user.clone()), patch);
        if self.best.len() > SAMPLE_MAX {
            self.best.pop_last();
        }
    }

    /// Returns the ids of the sample.
    pub fn users(&self) -> BTreeSet<&str> {
        self.best.values().map(|patch| patch.user.as_str()).collect()
    }

    /// Returns the sample without these users, ordered by rank and of a bounded size.
    pub fn without(self, failed: &BTreeSet<String>) -> Vec<Patch> {
        let mut bytes = 0;
        let sample = self.best.into_values().filter(|patch| !failed.contains(patch.user.as_str()));
        sample
            .take_while(|patch| {
                bytes += serde_json::to_vec(patch).map_or(0, |json| json.len());
                bytes <= SAMPLE_BYTES_MAX
            })
            .collect()
    }
}

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
    /// Users to read: the first ones of the sample.
    pub users: u32,
    /// Users of them that were read once, or failed.
    next: u32,
    #[serde(default)]
    again: Vec<Again>,
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
    /// Begins to read the first users of a sample back.
    pub fn begin(generation: u32, sample: usize) -> Self {
        Self {
            v: super::FORMAT,
            generation,
            version: 1,
            users: sample.min(READ_BACK_MAX) as u32,
            next: 0,
            again: Vec::new(),
            kept: 0,
            changed_since: 0,
            gone: 0,
            unread: 0,
            not_kept: 0,
            by_target: BTreeMap::new(),
        }
    }

    /// Returns whether each user was read.
    pub fn is_done(&self) -> bool {
        self.next == self.users && self.again.is_empty()
    }

    /// Returns the places of at most `most` users to read now: due repetitions first.
    pub fn due(&self, now_ms: i64, most: usize) -> Vec<usize> {
        let again = self.again.iter().filter(|again| again.due_ms <= now_ms).map(|again| again.place);
        again.chain(self.next..self.users).take(most).map(|place| place as usize).collect()
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
    /// kept is read a second time, in Unix milliseconds: an answer may lag behind a write.
    pub fn record(&mut self, place: usize, user: &UserId, seen: Seen, again_ms: i64) {
        let place = place as u32;
        self.next = self.next.max(place + 1);
        let before = self.again.iter().position(|again| again.place == place).map(|at| self.again.remove(at));
        let first = Again { place, due_ms: again_ms, tries: 0, differs: false };
        let before = before.unwrap_or(first);
        match seen {
            Seen::Gone => self.gone += 1,
            Seen::Failed { alone, .. } if before.tries + u32::from(alone) >= TRIES_MAX => self.unread += 1,
            Seen::Failed { again_ms, alone } => {
                self.again.push(Again { due_ms: again_ms, tries: before.tries + u32::from(alone), ..before });
            }
            Seen::Values(values) => {
                let lacking: BTreeSet<&Target> = lacking(&values).collect();
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

    fn lacks(&mut self, user: &UserId, targets: &BTreeSet<&Target>) {
        self.not_kept += 1;
        for target in targets {
            let of = self.by_target.entry(target.to_string()).or_default();
            of.users += 1;
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

    /// Returns how a run ends after the read-back, whose accounts end it in `state`. `unchecked` is
    /// the reason why not all users were read.
    pub fn end(&self, state: State, reason: Option<String>, unchecked: Option<&str>) -> (State, Option<String>) {
        let read = self.kept + self.changed_since + self.not_kept;
        let lost = self.by_target.iter().map(|(target, of)| {
            let some: Vec<&str> = of.some.iter().map(UserId::as_str).collect();
            let more = if of.users as usize > some.len() { ", …" } else { "" };
            format!(
                "Intercom did not keep {target} as written for {} of {read} users that were read back ({}{more})",
                of.users,
                some.join(", ")
            )
        });
        let unchecked = unchecked.map(|why| {
            let ReadBackTotals { users, unread, .. } = self.totals();
            format!(
                "the written values were not all checked: {users} of {} users were read back, because {why}",
                users + unread
            )
        });
        let reasons: Vec<String> = reason.into_iter().chain(lost).chain(unchecked).collect();
        let state = if self.not_kept > 0 && state == State::Complete { State::CompleteWithErrors } else { state };
        (state, (!reasons.is_empty()).then(|| reasons.join("; ")))
    }
}

fn lacking(values: &[(Target, Fate)]) -> impl Iterator<Item = &Target> {
    values.iter().filter(|(_, fate)| matches!(fate, Fate::NotKept(_))).map(|(target, _)| target)
}

#[cfg(test)]
mod tests;
