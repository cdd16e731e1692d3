//! The undo of a run, as a pure function: what is restored for a user, by the changes that the run made and
//! by a read of the user.
//!
//! A run may have written a user several times: in several generations, or in a retry. The user gets the
//! oldest value back. A request without a known end may have been carried out or not, so the oldest value may
//! be one of two. Null and absent are equal.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use crate::domain::kept::{Fate, fate, is_same, is_same_name};
use crate::domain::patch::{Change, Patch, Target};
use crate::domain::user::UserId;

/// A change that a run made or may have made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// The change, with the value that the run read before.
    #[serde(flatten)]
    pub change: Change,
    /// Intercom reported that it carried the change out. Otherwise the end of its request is not known. A
    /// change that was refused or never sent is not made.
    #[serde(rename = "d", default, skip_serializing_if = "std::ops::Not::not")]
    pub is_done: bool,
}

/// The reason why a value stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Stays {
    /// The value from before the run is there: it was not written, or is restored already.
    NotWritten,
    /// Another value is there: something else set it after the run.
    ChangedSince,
    /// The run's value is there, and the value before it is not known: a request without a known end had
    /// another one.
    Unsure,
    /// Intercom does not have the user any more.
    Gone,
}

impl Stays {
    /// Returns whether a read that does not show the latest writes would give this reason, too.
    pub fn may_be_too_early(self) -> bool {
        self == Self::NotWritten
    }

    /// Returns the word for counts and lists.
    pub fn word(self) -> &'static str {
        self.into()
    }
}

/// The effect of an undo on one value.
#[derive(Clone, Debug, PartialEq)]
pub enum Undone {
    /// The value from before the run is set.
    Restored(Change),
    /// The value stays.
    Stays(Stays),
}

/// The effect of an undo on a user.
#[derive(Clone, Debug, PartialEq)]
pub struct UndoneUser {
    /// The values to restore, if there are some.
    pub patch: Option<Patch>,
    /// The targets whose values stay, each with the reason.
    pub stays: Vec<(Target, Stays)>,
}

/// A value that stays, with the reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StayingValue {
    /// The target.
    #[serde(flatten)]
    pub target: Target,
    /// The reason.
    pub why: Stays,
}

/// A user of an undo with values that stay.
#[derive(Clone, Debug, PartialEq)]
pub struct StayingUser {
    /// The user.
    pub user: UserId,
    /// The values.
    pub stays: Vec<StayingValue>,
}

/// Decides about all values that a run changed of a user. `made` has the changes, oldest first. `found`
/// returns the present value of a target; `None` if the user is not in its company any more. `alike` says
/// whether the API shows two values of a target as the same one.
pub fn undo_user<'v>(
    user: &UserId,
    made: &[Made],
    found: impl Fn(&Target) -> Option<Option<&'v Value>>,
    alike: impl Fn(&Target, &Value, &Value) -> bool,
) -> UndoneUser {
    let mut targets: Vec<&Target> = Vec::new();
    for Made { change, .. } in made {
        if !targets.contains(&&change.target) {
            targets.push(&change.target);
        }
    }
    let (mut changes, mut stays) = (Vec::new(), Vec::new());
    for target in targets {
        let of_target: Vec<&Made> = made.iter().filter(|made| made.change.target == *target).collect();
        let undone = match found(target) {
            Some(value) => undo(&of_target, value, |one, other| alike(target, one, other)),
            // Something else removed the user from the company.
            None => Some(Undone::Stays(Stays::ChangedSince)),
        };
        match undone {
            Some(Undone::Restored(change)) => changes.push(change),
            Some(Undone::Stays(why)) => stays.push((target.clone(), why)),
            None => {}
        }
    }
    let patch = (!changes.is_empty()).then(|| Patch { user: user.clone(), changes });
    UndoneUser { patch, stays }
}

/// Decides about one value, by its changes, oldest first; `None` without a change.
pub fn undo(made: &[&Made], found: Option<&Value>, alike: impl Fn(&Value, &Value) -> bool) -> Option<Undone> {
    let target = &made.first()?.change.target;
    let present = found.unwrap_or(&Value::Null);
    let is_equal = |one: &Value, other: &Value| {
        is_same(one, other) || alike(one, other) || target.is_name() && is_same_name(one, other)
    };
    let is_there = |value: &Value| is_equal(value, present);
    // The value now is that of the last change that was carried out, or of one behind it that may have been.
    let last = made.iter().rposition(|made| made.is_done).unwrap_or_default();
    let ours = made[last..].iter().position(|made| is_kept(&made.change, found, &alike)).map(|place| last + place);
    // The value before the run is that of the first change that was carried out, or of one before it that may
    // have been.
    let first = made.iter().position(|made| made.is_done).or(ours).unwrap_or(made.len() - 1);
    let mut before: Vec<&Value> = Vec::new();
    for made in &made[..=first] {
        let value = made.change.replaced.as_ref().unwrap_or(&Value::Null);
        if !before.iter().any(|other| is_equal(other, value)) {
            before.push(value);
        }
    }
    let is_before = before.iter().any(|value| is_there(value));
    Some(match before[..] {
        _ if ours.is_none() && is_before => Undone::Stays(Stays::NotWritten),
        _ if ours.is_none() => Undone::Stays(Stays::ChangedSince),
        [_] if is_before => Undone::Stays(Stays::NotWritten),
        [value] => Undone::Restored(Change { target: target.clone(), new: value.clone(), replaced: found.cloned() }),
        _ => Undone::Stays(Stays::Unsure),
    })
}

/// Returns whether the value that is there is that of the change, as Intercom kept it. A null and an empty text
/// are no form of another value: something may have cleared it.
fn is_kept(change: &Change, found: Option<&Value>, alike: impl Fn(&Value, &Value) -> bool) -> bool {
    let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
    let is_cleared = found.is_none_or(is_empty) && !is_empty(&change.new);
    match fate(change, found, alike) {
        Fate::Kept => true,
        Fate::Altered => !is_cleared,
        Fate::Old | Fate::ChangedSince => false,
    }
}

#[cfg(test)]
mod tests;
