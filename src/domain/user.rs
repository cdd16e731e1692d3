//! One user of the workspace, as the API sent it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Intercom's id of a user: 24 hexadecimal digits in every sample, treated as opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct UserId(String);

impl UserId {
    /// The longest id that is believed: a longer one is not an id, and would be copied into queues and the ledger.
    pub const LENGTH_MAX: usize = 128;

    /// Takes an id that is not empty, not longer than [`Self::LENGTH_MAX`] and made of letters, digits, `_` and `-`.
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        let fits = (1..=Self::LENGTH_MAX).contains(&id.len());
        let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        (fits && plain).then_some(Self(id))
    }

    /// The id as Intercom writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ids are checked wherever they are read, since any program can send a message.
impl TryFrom<String> for UserId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(id).ok_or("no id of a user")
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A user: its id, and of its body what the plan reads, or all.
#[derive(Clone, PartialEq)]
pub struct User {
    id: UserId,
    body: Value,
}

impl User {
    /// Takes a user object; `None` without a usable `id`.
    pub fn new(body: Value) -> Option<Self> {
        let id = UserId::new(body.get("id")?.as_str()?)?;
        Some(Self { id, body })
    }

    /// Intercom's id.
    pub fn id(&self) -> &UserId {
        &self.id
    }

    /// The object as the API sent it, or what was kept of it.
    pub fn body(&self) -> &Value {
        &self.body
    }
}

/// Only the id: a body is personal data and must not reach a log by way of `{:?}`.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_plain_and_short() {
        assert!(UserId::new("5714dd359a3fd47136000001").is_some());
        for bad in ["", "a b", "../jobs", "é", &"x".repeat(129)] {
            assert!(UserId::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let user = User::new(serde_json::json!({"id": "a1", "email": "ann@example.com"})).unwrap();
        assert_eq!(format!("{user:?}"), r#"User { id: UserId("a1"), .. }"#);
    }
}
