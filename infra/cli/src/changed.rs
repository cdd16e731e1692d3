//! The changes of a user by a plan, as text and as JSON.

use intercom_bulk::domain::patch::{Change, Patch, Target};
use intercom_bulk::domain::user::UserId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The changes of one user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Changed {
    /// Intercom's id of the user.
    pub(crate) user: String,
    /// The changed values.
    pub(crate) changes: Vec<Replaced>,
}

/// One changed value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Replaced {
    /// The target: `attribute`, `field` or `company_name`, with its name or the company's id.
    #[serde(flatten)]
    pub(crate) target: Target,
    /// The value before: left out if missing, null if null.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub(crate) before: Option<Value>,
    pub(crate) after: Value,
}

/// Deserializes null as `Some`: serde would read both null and absent as `None`.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl From<&Patch> for Changed {
    fn from(patch: &Patch) -> Self {
        let changes = patch.changes.iter().map(|change| Replaced {
            target: change.target.clone(),
            before: change.replaced.clone(),
            after: change.new.clone(),
        });
        Self { user: patch.user.to_string(), changes: changes.collect() }
    }
}

impl Changed {
    /// Returns the patch; `None` if the id is none of a user.
    pub(crate) fn into_patch(self) -> Option<Patch> {
        let change = |Replaced { target, before, after }| Change { target, new: after, replaced: before };
        Some(Patch { user: UserId::new(self.user)?, changes: self.changes.into_iter().map(change).collect() })
    }

    /// Returns a line for each value: before → after.
    pub(crate) fn words(&self) -> Vec<String> {
        let words = |change: &Replaced| {
            let target = match &change.target {
                Target::Attribute(name) => format!("{name:?}"),
                Target::Field(name) => name.clone(),
                Target::CompanyName(company) => format!("name of company {company}"),
            };
            let before = change.before.as_ref().map_or_else(|| "(absent)".to_owned(), Value::to_string);
            format!("    {}  {target}: {before} → {}", self.user, change.after)
        };
        self.changes.iter().map(words).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_have_readable_keys() {
        let change = |target, replaced| Change { target, new: json!(49), replaced };
        let patch = Patch {
            user: UserId::new("5714").unwrap(),
            changes: vec![
                change(Target::Attribute("plan price".to_owned()), None),
                change(Target::Field("phone".to_owned()), Some(Value::Null)),
                change(Target::CompanyName("c1".to_owned()), Some(json!("Acme"))),
            ],
        };
        let changed = Changed::from(&patch);
        assert_eq!(
            serde_json::to_value(&changed).unwrap(),
            json!({"user": "5714", "changes": [
                {"attribute": "plan price", "after": 49},
                {"field": "phone", "before": null, "after": 49},
                {"company_name": "c1", "before": "Acme", "after": 49},
            ]})
        );
        let text = serde_json::to_string(&changed).unwrap();
        assert_eq!(serde_json::from_str::<Changed>(&text).unwrap().into_patch(), Some(patch));
        assert_eq!(
            changed.words(),
            [
                "    5714  \"plan price\": (absent) → 49",
                "    5714  phone: null → 49",
                "    5714  name of company c1: \"Acme\" → 49"
            ]
        );
    }
}
