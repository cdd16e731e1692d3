//! A run of a saved preview: it writes the changes that the preview showed, and no others.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The code of a user that is not written because a value of it is not as in the preview.
pub const CHANGED_SINCE_PREVIEW: &str = "changed_since_preview";

/// A preview whose changes a run writes. They are in the ledger, under the run's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPreview {
    /// The digest of its file.
    pub digest: String,
    /// The users that it would change.
    pub users: u64,
    /// The time of the preview, in Unix seconds.
    pub at_s: i64,
}

impl SavedPreview {
    /// Returns the preview in words, such as `a preview of 2026-11-27T17:05:00Z with changes of 12 users`.
    pub fn words(&self) -> String {
        let at = Timestamp::from_second(self.at_s).unwrap_or(Timestamp::UNIX_EPOCH);
        let s = if self.users == 1 { "" } else { "s" };
        format!("a preview of {at} with changes of {} user{s}", self.users)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_named_by_its_time_and_users() {
        let preview = SavedPreview { digest: "1".to_owned(), users: 1, at_s: 1_479_981_900 };
        assert_eq!(preview.words(), "a preview of 2016-11-24T10:05:00Z with changes of 1 user");
        let twelve = SavedPreview { users: 12, ..preview };
        assert!(twelve.words().ends_with("of 12 users"), "{}", twelve.words());
    }
}
