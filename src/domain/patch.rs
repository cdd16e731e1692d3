//! A patch: a user's id, new values, and the values they replace.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::user::UserId;

/// The target of a change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// `custom_attributes.<name>` of the user.
    Attribute(String),
    /// A standard field of the user, from the plan language's list of allowed fields.
    Field(String),
    /// `name` of the company with this `company_id`, which the user already belongs to.
    CompanyName(String),
}

impl Target {
    /// Returns whether the target is the name of a person or a company.
    pub fn is_name(&self) -> bool {
        matches!(self, Self::CompanyName(_)) || matches!(self, Self::Field(field) if field == "name")
    }
}

/// The path of the target, as a plan writes it.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(f, "custom_attributes.{}", spell_key(name)),
            Self::Field(name) => f.write_str(name),
            Self::CompanyName(_) => f.write_str("company.name"),
        }
    }
}

/// Returns a key as a plan writes it, in quotes if it needs them.
pub fn spell_key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { name.to_owned() } else { format!("{name:?}") }
}

/// One value to set. Absent, null and a value are three different things: `replaced` is `None` if
/// the user had no such key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The target.
    #[serde(rename = "t")]
    pub target: Target,
    /// The new value; a scalar.
    #[serde(rename = "n")]
    pub new: Value,
    /// The value that it replaces.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub replaced: Option<Value>,
}

/// Deserializes null as `Some`: serde would read both null and absent as `None`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The changes of one user. A patch of a plan is never empty.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    /// The user.
    #[serde(rename = "u")]
    pub user: UserId,
    /// The changes.
    #[serde(rename = "c")]
    pub changes: Vec<Change>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn absent_null_and_a_value_survive_the_queue() {
        for replaced in [None, Some(Value::Null), Some(json!(49))] {
            let change = Change { target: Target::Attribute("plan price".into()), new: json!(99), replaced };
            let text = serde_json::to_string(&change).unwrap();
            assert_eq!(serde_json::from_str::<Change>(&text).unwrap(), change, "{text}");
        }
    }
}
