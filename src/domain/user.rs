//! One user of the workspace, as the API sent it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::domain::text_newtype::text_newtype;

/// Intercom's id of a user: 24 hexadecimal digits in every sample, treated as opaque.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct UserId(String);

impl UserId {
    /// The most characters of an id. Longer texts are not ids, and would be copied into queues and
    /// the ledger.
    pub const LENGTH_MAX: usize = 128;

    /// Accepts 1 to [`Self::LENGTH_MAX`] letters, digits, `_` and `-`; `None` for anything else.
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        let fits = (1..=Self::LENGTH_MAX).contains(&id.len());
        let plain = id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        (fits && plain).then_some(Self(id))
    }
}

// Ids are checked on every read, since any program can send a message.
text_newtype!(UserId, UserId::new, "not a valid user id");

/// The contacts that a plan is about, by their role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Contacts {
    /// Users.
    #[default]
    Users,
    /// Leads.
    Leads,
    /// Both.
    All,
}

impl Contacts {
    /// The results of [`Self::skip`].
    pub const ROLES: &[&str] = &["lead", "user"];

    /// Returns the role of a user that the plan is not about, as the reason to skip it.
    pub fn skip(self, user: &User) -> Option<&'static str> {
        match (self, user.is_lead()) {
            (Self::Users, true) => Some("lead"),
            (Self::Leads, false) => Some("user"),
            (Self::Users, false) | (Self::Leads, true) | (Self::All, _) => None,
        }
    }
}

/// A user: the id, and the body or a projection of it.
#[derive(Clone, PartialEq)]
pub struct User {
    id: UserId,
    body: Value,
    relationships: Vec<String>,
}

impl User {
    /// Creates a user from an object; `None` without a usable `id`.
    pub fn new(body: Value) -> Option<Self> {
        let id = UserId::new(body.get("id")?.as_str()?)?;
        Some(Self { id, body, relationships: Vec::new() })
    }

    /// Returns the user with the names of its relationship attributes. Their values are not in the body.
    #[must_use]
    pub fn with_relationships(self, relationships: Vec<String>) -> Self {
        Self { relationships, ..self }
    }

    /// Returns the names of the custom attributes that are relationships with custom objects.
    pub fn relationships(&self) -> &[String] {
        &self.relationships
    }

    /// Returns Intercom's id.
    pub fn id(&self) -> &UserId {
        &self.id
    }

    /// Returns whether it is a lead. Only API 2.x lists leads among the users.
    pub fn is_lead(&self) -> bool {
        self.body.get("role").and_then(Value::as_str) == Some("lead")
    }

    /// Returns the object as the API sent it, or its projection.
    pub fn body(&self) -> &Value {
        &self.body
    }
}

/// Shows the id only: a body is personal data and must not reach a log through `{:?}`.
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
    fn contacts_are_chosen_by_their_role() {
        let [user, lead] = [serde_json::json!({"id": "a"}), serde_json::json!({"id": "a", "role": "lead"})]
            .map(|body| User::new(body).unwrap());
        for (contacts, of_user, of_lead) in
            [("users", None, Some("lead")), ("leads", Some("user"), None), ("all", None, None)]
        {
            let contacts: Contacts = contacts.parse().unwrap();
            assert_eq!((contacts.skip(&user), contacts.skip(&lead)), (of_user, of_lead), "{contacts:?}");
        }
    }

    #[test]
    fn debug_shows_no_personal_data() {
        let user = User::new(serde_json::json!({"id": "a1", "email": "ann@example.com"})).unwrap();
        assert_eq!(format!("{user:?}"), r#"User { id: UserId("a1"), .. }"#);
    }
}
