//! The limits of a run, which stop it before it does more than intended, and its pace.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Users of which a percentage of failed users is taken at least. Otherwise the first error among
/// three users would stop a run that allows 5 %.
const ERRORS_OF_LEAST: u64 = 100;
/// The greatest percentage.
pub const PERCENT_MAX: u8 = 100;

/// Limits that stop a run before it does more than intended, and its pace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Limits {
    /// Read only the first users of the workspace, at most this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// Change nothing if the run would change more users than this. The parts are held back until
    /// all users are read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_changes: Option<AtMost>,
    /// Fail after more users than this ended in an error.
    #[serde(skip_serializing_if = "Option::is_none", with = "number_or_share")]
    pub max_errors: Option<AtMost>,
    /// Evaluate only: nothing is sent, and a sample of changes is stored.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Store all changes of a dry run, not only a sample.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keep_changes: bool,
    /// Continue although none of the first 1,000 users has a path that the plan reads.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_unseen: bool,
    /// Pause when the users of `limit` are done. A resume continues with all users.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub then_pause: bool,
    /// Write at most this many users per minute. Each write may trigger webhooks and messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_minute: Option<NonZeroU32>,
    /// Read lists at once, although they may not show the latest writes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_wait: bool,
    /// Create the custom attributes of the plan that the workspace does not have, if a write does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub create_attributes: bool,
}

impl Limits {
    /// Returns whether a run with these limits does all that the plan asks for, at whatever pace and
    /// begin.
    pub fn do_all(&self) -> bool {
        Self { max_per_minute: None, no_wait: false, create_attributes: false, ..self.clone() } == Self::default()
    }

    /// Returns whether the parts of a run are held back until all users are read.
    pub fn hold_back(&self) -> bool {
        self.max_changes.is_some() && !self.dry_run
    }

    /// Returns the most users that may fail in a run that has read this many.
    pub fn errors_max(&self, read: u64) -> Option<u64> {
        self.max_errors.map(|most| most.of(read.max(ERRORS_OF_LEAST)))
    }

    /// Returns an error for values that mean nothing, in words for the sender of a start.
    pub fn check(&self) -> Result<(), &'static str> {
        let is_too_much = |most: &AtMost| matches!(most, AtMost::Percent(percent) if *percent > PERCENT_MAX);
        match () {
            () if [self.max_changes, self.max_errors].iter().flatten().any(is_too_much) => {
                Err("a percentage is 0 to 100: more than all users cannot change or fail")
            }
            () if self.then_pause && self.limit.is_none() => {
                Err("`then_pause` needs `limit`, the number of users after which the run pauses")
            }
            () if self.keep_changes && !self.dry_run => {
                Err("`keep_changes` needs `dry_run`: a run that writes keeps its changes")
            }
            () => Ok(()),
        }
    }
}

/// A bound on users.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AtMost {
    /// A number of users.
    Users(u64),
    /// A percentage of the users that the run reads.
    Percent(u8),
}

impl AtMost {
    /// Returns the bound in users for this many users read. A part of a user does not count.
    pub fn of(self, read: u64) -> u64 {
        match self {
            Self::Users(users) => users,
            Self::Percent(percent) => read.saturating_mul(percent.into()) / 100,
        }
    }
}

/// The stored form of `max_errors`: a number is one of users, as in earlier versions.
pub(crate) mod number_or_share {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::AtMost;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged, expecting = "a number of users, or {\"percent\": 5}")]
    enum Stored {
        Number(u64),
        Share(AtMost),
    }

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(most: &Option<AtMost>, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = most.map(|most| match most {
            AtMost::Users(users) => Stored::Number(users),
            share @ AtMost::Percent(_) => Stored::Share(share),
        });
        stored.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AtMost>, D::Error> {
        let stored = Option::<Stored>::deserialize(deserializer)?;
        Ok(stored.map(|stored| match stored {
            Stored::Number(users) => AtMost::Users(users),
            Stored::Share(most) => most,
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bound_is_a_number_or_a_share_of_the_users_read() {
        let bounds = [AtMost::Users(5), AtMost::Percent(10), AtMost::Percent(0), AtMost::Percent(100)];
        assert_eq!(bounds.map(|most| most.of(329)), [5, 32, 0, 329]);
        assert_eq!(AtMost::Percent(100).of(u64::MAX), u64::MAX / 100);
    }

    #[test]
    fn share_of_failed_users_is_of_a_hundred_at_least() {
        let most = |most| Limits { max_errors: Some(most), ..Limits::default() };
        let five = most(AtMost::Percent(5));
        assert_eq!([3, 100, 199, 1_000].map(|read| five.errors_max(read)), [Some(5), Some(5), Some(9), Some(50)]);
        assert_eq!(most(AtMost::Percent(0)).errors_max(3), Some(0), "no error is allowed");
        assert_eq!(most(AtMost::Users(7)).errors_max(3), Some(7));
        assert_eq!(Limits::default().errors_max(3), None);
    }

    #[test]
    fn limits_keep_their_stored_form() {
        for (stored, most) in [
            (json!({"max_errors": 100}), AtMost::Users(100)),
            (json!({"max_errors": {"percent": 5}}), AtMost::Percent(5)),
        ] {
            let limits: Limits = serde_json::from_value(stored.clone()).unwrap();
            assert_eq!(limits.max_errors, Some(most));
            assert_eq!(serde_json::to_value(&limits).unwrap(), stored, "the name of a run has its digest");
        }
        let users = json!({"max_changes": {"users": 3}, "max_errors": {"users": 3}});
        let limits: Limits = serde_json::from_value(users).unwrap();
        assert_eq!(limits.max_changes, limits.max_errors);
        assert_eq!(serde_json::from_value::<Limits>(json!({})).unwrap(), Limits::default());
        assert!(serde_json::from_value::<Limits>(json!({"max_errors": "many"})).is_err());
    }

    #[test]
    fn limits_without_a_meaning_are_refused() {
        let check = |limits| serde_json::from_value::<Limits>(limits).unwrap().check().is_ok();
        assert!(check(json!({"max_changes": {"percent": 100}, "limit": 3, "then_pause": true})));
        assert!(!check(json!({"max_changes": {"percent": 101}})) && !check(json!({"max_errors": {"percent": 101}})));
        assert!(!check(json!({"then_pause": true})));
    }
}
