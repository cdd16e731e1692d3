//! The sample of the users that a run wrote.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::fnv::Fnv;
use crate::domain::patch::Patch;
use crate::domain::user::UserId;

/// The most users of a run's sample.
pub const SAMPLE_MAX: usize = 1_000;
/// The most bytes of a run's sample, as JSON.
const SAMPLE_BYTES_MAX: usize = 1 << 20;

/// Returns a user's place in the order of samples: a hash of its id, the same in every build.
pub(super) fn rank(user: &UserId) -> u64 {
    let digest = Fnv::of(user.as_str());
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::patch::{Change, Target};

    fn user(number: u64) -> UserId {
        UserId::new(format!("5714dd359a3fd47136{number:06x}")).unwrap()
    }

    fn patch(number: u64, new: u64) -> Patch {
        let change = Change { target: Target::Attribute("x".to_owned()), new: json!(new), replaced: None };
        Patch { user: user(number), changes: vec![change] }
    }

    /// Samples `users` users in parts of 100. Returns the sample and the number of parts that are read.
    fn sample(users: u64) -> (Vec<Patch>, usize) {
        let all: Vec<Patch> = (0..users).map(|number| patch(number, 1)).collect();
        let mut sampler = Sampler::of(users);
        let parts: Vec<&[Patch]> = all.chunks(100).filter(|part| sampler.wants(lowest_rank(part))).collect();
        parts.iter().flat_map(|part| part.iter().cloned()).for_each(|patch| sampler.add(patch));
        (sampler.without(&BTreeSet::new()), parts.len())
    }

    #[test]
    fn sample_is_bounded_for_any_size_of_run() {
        for users in [1, 100, 1_000] {
            let (sample, _) = sample(users);
            assert_eq!(sample.len() as u64, users, "a small run is its own sample");
        }
        for users in [1_001, 5_000, 100_000] {
            let (sample, parts) = sample(users);
            assert!((900..=SAMPLE_MAX).contains(&sample.len()), "{users}: {}", sample.len());
            assert!(parts <= SAMPLE_MAX, "{users}: {parts}");
        }
    }

    #[test]
    fn sample_is_the_same_for_any_order_and_unbiased() {
        let (sample, _) = sample(50_000);
        let number = |patch: &Patch| u64::from_str_radix(&patch.user.as_str()[18..], 16).unwrap();
        let early = sample.iter().filter(|patch| number(patch) < 25_000).count();
        assert!((early as f64 - sample.len() as f64 / 2.0).abs() < 80.0, "{early} of {}", sample.len());
        assert!(sample.is_sorted_by_key(|patch| rank(&patch.user)));
        let mut backwards = Sampler::of(50_000);
        (0..50_000).rev().for_each(|number| backwards.add(patch(number, 1)));
        assert_eq!(backwards.without(&BTreeSet::new()), sample);
        assert_eq!(rank(&user(1)), RANK_OF_ONE, "stored samples are compared by this order");
    }

    /// Computed independently of this code.
    const RANK_OF_ONE: u64 = 0xf958_7ea0_8afe_333c;

    #[test]
    fn later_patch_of_a_user_replaces_the_earlier_one_and_failed_users_are_left_out() {
        let mut sampler = Sampler::of(3);
        for patch in [patch(1, 1), patch(2, 1), patch(1, 2)] {
            sampler.add(patch);
        }
        assert_eq!(sampler.users().len(), 2);
        assert_eq!(sampler.without(&BTreeSet::from([user(2).to_string()])), [patch(1, 2)]);
        let mut large = Sampler::of(100);
        for number in 0..100 {
            let mut patch = patch(number, 1);
            patch.changes[0].new = json!("x".repeat(20_000));
            large.add(patch);
        }
        assert_eq!(large.without(&BTreeSet::new()).len(), 52, "a megabyte");
    }
}
