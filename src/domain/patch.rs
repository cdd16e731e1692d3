//! A patch: one user's id, what to set, and what that replaces.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::user::UserId;

/// What a change writes to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// `custom_attributes.<name>` of the user.
    Attribute(String),
    /// A standard field of the user, from the plan's list of allowed ones.
    Field(String),
    /// `name` of the company with this `company_id`, which the user is already in.
    CompanyName(String),
}

impl Target {
    /// Whether it is the name of a person or a company.
    pub fn is_name(&self) -> bool {
        matches!(self, Self::CompanyName(_)) || matches!(self, Self::Field(field) if field == "name")
    }
}

/// One value to set. `replaced` is `None` where the user had no such key: absent, null and a value are three things.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Where the value goes.
    #[serde(rename = "t")]
    pub target: Target,
    /// The value to set; a scalar.
    #[serde(rename = "n")]
    pub new: Value,
    /// The value that is there now.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub replaced: Option<Value>,
}

/// Keeps null apart from absent: serde would read both as `None`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What one user is to get. Never empty when it comes from a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Patch {
    /// Whose.
    #[serde(rename = "u")]
    pub user: UserId,
    /// What.
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
