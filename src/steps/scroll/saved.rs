//! A run of a saved preview: compares each user's patch with the changes that the preview showed.

use std::collections::HashMap;

use crate::domain::kept::{is_same, is_same_name};
use crate::domain::patch::{Change, Patch, Target};
use crate::domain::run::{Source, Start};
use crate::domain::user::{User, UserId};
use crate::plan::present;
use crate::runtime::clients::{Clients, StepError};
use serde_json::Value;

/// The changes that the preview showed for the users of a page.
pub(super) struct Approved(HashMap<UserId, Vec<Change>>);

/// Checks that all changes of the preview are in the ledger, if the start is for one.
///
/// # Errors
/// [`StepError::ListGone`] if they are not.
pub(super) async fn check(clients: &Clients, start: &Start) -> Result<(), StepError> {
    let Source::Saved(saved) = &start.source else { return Ok(()) };
    match clients.ledger.saved(&start.run()).await? {
        Some(stored) if stored == *saved => Ok(()),
        stored => Err(StepError::ListGone { listed: saved.users, found: stored.map_or(0, |stored| stored.users) }),
    }
}

impl Approved {
    pub(super) fn of(patches: impl Iterator<Item = Patch>) -> Self {
        Self(patches.map(|patch| (patch.user, patch.changes)).collect())
    }

    /// Returns why a user is not written, if a value of it is not as in the preview. `patch` is what the plan
    /// gives now. A value that the user has by now is no difference.
    pub(super) fn difference(&self, user: &User, patch: Option<&Patch>) -> Option<String> {
        let approved = self.0.get(user.id()).map(Vec::as_slice).unwrap_or_default();
        let now = patch.map(|patch| patch.changes.as_slice()).unwrap_or_default();
        let of_preview = approved.iter().filter_map(|change| {
            let found = now.iter().find(|found| found.target == change.target);
            difference(change, found, user)
        });
        let is_new = |change: &&Change| approved.iter().all(|known| known.target != change.target);
        let further = now.iter().filter(is_new).map(|change| format!("the preview did not change {}", change.target));
        let differences: Vec<String> = of_preview.chain(further).collect();
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

/// Compares a change of the preview with what the plan gives now.
fn difference(approved: &Change, found: Option<&Change>, user: &User) -> Option<String> {
    let Change { target, new, replaced } = approved;
    match found {
        Some(found) if !is_equal(target, new, &found.new) => Some(format!("the plan gives {target} another value")),
        Some(found) if !is_equal(target, or_null(replaced.as_ref()), or_null(found.replaced.as_ref())) => {
            Some(format!("{target} had another value"))
        }
        Some(_) => None,
        None => {
            let value = present(user, target).map(or_null);
            let is_set = value.is_some_and(|value| is_equal(target, new, value));
            (!is_set).then(|| format!("the plan does not set {target} any more"))
        }
    }
}

/// A missing value and null are equal.
fn or_null(value: Option<&Value>) -> &Value {
    value.unwrap_or(&Value::Null)
}

fn is_equal(target: &Target, one: &Value, other: &Value) -> bool {
    is_same(one, other) || target.is_name() && is_same_name(one, other)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(name: &str, replaced: Option<Value>, new: Value) -> Change {
        Change { target: Target::Attribute(name.to_owned()), new, replaced }
    }

    #[test]
    fn user_is_written_only_if_each_value_is_as_in_the_preview() {
        let user = User::new(json!({"id": "u1", "custom_attributes": {"a": 1, "b": 5}})).unwrap();
        let id = user.id().clone();
        let one = || change("a", Some(json!(1)), json!(2));
        let is = |approved: Vec<Change>, now: Vec<Change>| {
            let patch = |changes| Patch { user: id.clone(), changes };
            let now = (!now.is_empty()).then(|| patch(now));
            Approved::of([patch(approved)].into_iter()).difference(&user, now.as_ref())
        };
        let says = |approved, now, words: &str| {
            let said = is(approved, now).unwrap_or_default();
            assert!(said.contains(words), "{said:?}: {words}");
        };
        assert_eq!(is(vec![one()], vec![one()]), None);
        assert_eq!(is(vec![one()], vec![change("a", Some(json!(1.0)), json!(2.0))]), None);
        assert_eq!(is(vec![change("x", None, json!(2))], vec![change("x", Some(Value::Null), json!(2))]), None);
        says(vec![one()], vec![change("a", Some(json!(3)), json!(2))], "custom_attributes.a had another value");
        says(vec![one()], vec![change("a", Some(json!(1)), json!(3))], "the plan gives custom_attributes.a another");
        says(vec![one()], vec![], "the plan does not set custom_attributes.a any more");
        says(vec![one()], vec![one(), change("c", None, json!(1))], "the preview did not change custom_attributes.c");
        says(vec![], vec![one()], "the preview did not change custom_attributes.a");
        // The user has the value already, also a cleared one.
        let done = change("b", Some(json!(4)), json!(5));
        assert_eq!(is(vec![one(), done.clone()], vec![one()]), None);
        assert_eq!(is(vec![done, change("x", Some(json!(1)), Value::Null)], vec![]), None);
        let company = Change { target: Target::CompanyName("c".to_owned()), ..one() };
        says(vec![company], vec![], "the plan does not set company.name any more");
    }
}
