//! A digest of each part of a plan, so that a refusal names the parts that differ.

use std::collections::{BTreeMap, BTreeSet};

use intercom_bulk::domain::fnv::Fnv;
use intercom_bulk::domain::patch::spell_key;
use intercom_bulk::plan::Plan;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The tables of a plan whose entries are parts of their own.
const DIVIDED: [&str; 4] = ["set", "tables", "set.custom_attributes", "set.company"];

/// The digests of a plan's parts, by their keys: `where`, `tables.price`, `set.custom_attributes.plan_price`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PlanParts(BTreeMap<String, String>);

impl PlanParts {
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut parts = Self::default();
        parts.add("", &plan.to_json());
        parts
    }

    fn add(&mut self, key: &str, value: &Value) {
        match value {
            Value::Object(entries) if key.is_empty() || DIVIDED.contains(&key) => {
                for (name, entry) in entries {
                    let name = spell_key(name);
                    self.add(&if key.is_empty() { name } else { format!("{key}.{name}") }, entry);
                }
            }
            // The keys of an object are sorted, so equal plans in TOML and JSON have equal digests.
            _ => {
                self.0.insert(key.to_owned(), format!("{:016x}", Fnv::of(&value.to_string())));
            }
        }
    }

    /// Returns the parts in which a plan differs from that of the preview, in words.
    pub(crate) fn differ_from(&self, now: &Self) -> Option<String> {
        let keys: BTreeSet<&String> = self.0.keys().chain(now.0.keys()).collect();
        let differing = keys.into_iter().filter_map(|key| match (self.0.get(key), now.0.get(key)) {
            (Some(then), Some(now)) if then == now => None,
            (Some(_), Some(_)) => Some(format!("{key} differs")),
            (None, _) => Some(format!("{key} is new")),
            (_, None) => Some(format!("{key} is missing")),
        });
        let differing: Vec<String> = differing.collect();
        (!differing.is_empty()).then(|| differing.join(", "))
    }
}
