//! Values that the previous run of a plan set and that this run sets again: Intercom did not keep
//! them, or another program resets them.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::kept::is_same;
use crate::domain::patch::{Patch, Target};
use crate::domain::user::UserId;

/// The values that the previous run of the plan set, for the users of its sample.
#[derive(Debug, Default)]
pub struct PreviousValues(HashMap<UserId, Vec<(Target, Value)>>);

impl PreviousValues {
    /// Creates them from the sample of a run.
    pub fn of(sample: Vec<Patch>) -> Self {
        let values = |patch: Patch| {
            let changes = patch.changes.into_iter().map(|change| (change.target, change.new));
            (patch.user, changes.collect())
        };
        Self(sample.into_iter().map(values).collect())
    }

    /// Returns whether the previous run wrote this user, as far as its sample says.
    pub fn has(&self, user: &UserId) -> bool {
        self.0.contains_key(user)
    }

    /// Returns the targets that a patch sets to the value that the previous run set.
    pub fn again<'p>(&self, patch: &'p Patch) -> impl Iterator<Item = &'p Target> {
        let before = self.0.get(&patch.user).map(Vec::as_slice).unwrap_or_default();
        let is_again = |new: &Value, target: &Target| before.iter().any(|(of, was)| of == target && is_same(new, was));
        patch.changes.iter().filter(move |change| is_again(&change.new, &change.target)).map(|change| &change.target)
    }
}

/// Users of the previous run's sample, as counted by a run of the same plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAgain {
    /// Users of the sample that this run read.
    pub users: u64,
    /// Those that it sets again to what the previous run set, by target.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_target: BTreeMap<String, u64>,
}

/// A target that was set again for most users of the sample.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OftenAgain {
    /// The target, as a plan writes it.
    pub target: String,
    /// Users of the sample that this run sets again.
    pub again: u64,
    /// Users of the sample that this run read.
    pub users: u64,
}

impl SetAgain {
    /// Returns whether no user of the sample was read.
    pub fn is_empty(&self) -> bool {
        self.users == 0
    }

    /// Counts the targets of a patch that are set again.
    pub fn count(&mut self, before: &PreviousValues, patch: &Patch) {
        for target in before.again(patch) {
            *self.by_target.entry(target.to_string()).or_default() += 1;
        }
    }

    /// Adds the counts of another page.
    pub fn add(&mut self, other: &Self) {
        self.users += other.users;
        for (target, again) in &other.by_target {
            *self.by_target.entry(target.clone()).or_default() += again;
        }
    }

    /// Returns the targets that were set again for most users of the sample.
    pub fn most(&self) -> Vec<OftenAgain> {
        let most = self.by_target.iter().filter(|(_, again)| **again * 2 > self.users);
        most.map(|(target, again)| OftenAgain { target: target.clone(), again: *again, users: self.users }).collect()
    }
}

impl OftenAgain {
    /// Returns a warning, without a full stop.
    pub fn words(&self, is_preview: bool) -> String {
        let Self { target, again, users } = self;
        let sets = if is_preview { "would be set" } else { "were set" };
        format!(
            "most of the users that the previous run wrote {sets} again to the same value ({again} of {users} in its \
             sample): Intercom does not keep {target} as written, or another program resets it"
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::patch::Change;

    fn patch(user: &str, new: Value) -> Patch {
        let change = Change { target: Target::Attribute("plan price".to_owned()), new, replaced: None };
        Patch { user: UserId::new(user).unwrap(), changes: vec![change] }
    }

    #[test]
    fn most_users_must_be_set_again_to_the_same_value() {
        let before = PreviousValues::of(["a", "b", "c", "d"].map(|user| patch(user, json!(49))).to_vec());
        for (page, most) in [
            (vec![patch("a", json!(49)), patch("b", json!(49.0)), patch("c", json!(49))], true),
            (vec![patch("a", json!(49)), patch("b", json!(49))], false),
            (vec![patch("a", json!(99)), patch("b", json!(99)), patch("c", json!("49"))], false),
            (vec![patch("x", json!(49)), patch("y", json!(49)), patch("z", json!(49))], false),
        ] {
            let mut page_counts = SetAgain { users: 4, ..SetAgain::default() };
            for patch in &page {
                page_counts.count(&before, patch);
            }
            let mut counts = SetAgain::default();
            counts.add(&page_counts);
            assert_eq!(!counts.most().is_empty(), most, "{page:?}");
        }
        assert!(before.has(&UserId::new("a").unwrap()) && !before.has(&UserId::new("x").unwrap()));
    }

    #[test]
    fn warning_names_the_target_and_both_numbers() {
        let often = OftenAgain { target: "custom_attributes.active".to_owned(), again: 5, users: 7 };
        let words = often.words(true);
        assert!(
            words.contains("custom_attributes.active") && words.contains("5 of 7") && words.contains("would be set")
        );
    }
}
