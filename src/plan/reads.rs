//! The parts of a user that a plan's expressions read. The engine gets only these, so that a wide
//! user costs no more than a narrow one.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::Value;
use serde_json::Value as Json;

use super::paths::{Segment, attribute};

const ATTRIBUTES: &str = "custom_attributes";

/// The fields and custom attributes that expressions read.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    pub(super) fields: BTreeSet<String>,
    pub(super) attributes: BTreeSet<String>,
    /// True if the object `user.custom_attributes` itself is read, for instance by `in`.
    pub(super) all_attributes: bool,
    /// True if `today` is read: the plan can give other values on another day.
    pub(super) today: bool,
    /// The tables that are read with a result of `| domain`.
    pub(super) by_domain: BTreeSet<String>,
    /// Every path that is read, for [`super::Plan::unseen`].
    pub(super) paths: BTreeSet<Vec<Segment>>,
}

impl Reads {
    pub(super) fn record(&mut self, path: &[Segment]) {
        self.paths.insert(path.to_vec());
        match (attribute(path), path.first()) {
            (Some(name), _) => {
                self.attributes.insert(name.to_owned());
            }
            (None, Some(Segment::Field(field))) if field == ATTRIBUTES => self.all_attributes = true,
            (None, Some(Segment::Field(field))) => {
                self.fields.insert(field.clone());
            }
            (None, _) => {}
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.fields.extend(other.fields.iter().cloned());
        self.attributes.extend(other.attributes.iter().cloned());
        self.all_attributes |= other.all_attributes;
        self.today |= other.today;
        self.by_domain.extend(other.by_domain.iter().cloned());
        self.paths.extend(other.paths.iter().cloned());
    }

    pub(super) fn reads_attribute(&self, name: &str) -> bool {
        self.all_attributes || self.attributes.contains(name)
    }

    /// Returns the part of the user that expressions can see.
    pub(super) fn project(&self, body: &Json) -> Value {
        let field = |name: &str| Some((name.to_owned(), engine_value(body.get(name)?)));
        let mut seen: BTreeMap<String, Value> = self.fields.iter().filter_map(|name| field(name)).collect();
        if self.all_attributes {
            seen.extend(field(ATTRIBUTES));
        } else if let Some(Json::Object(all)) = body.get(ATTRIBUTES) {
            let wanted = self.attributes.iter().filter_map(|name| {
                let value = all.get(name)?;
                Some((name.clone(), engine_value(value)))
            });
            let wanted: BTreeMap<String, Value> = wanted.collect();
            seen.insert(ATTRIBUTES.to_owned(), Value::from(wanted));
        }
        Value::from(seen)
    }
}

/// Converts a JSON value to a value of the engine.
fn engine_value(value: &Json) -> Value {
    match value {
        Json::Null => Value::from(()),
        Json::Bool(value) => Value::from(*value),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::from(int),
            (None, Some(int)) => Value::from(int),
            (None, None) => number.as_f64().map_or(Value::UNDEFINED, Value::from),
        },
        Json::Array(items) => Value::from(items.iter().map(engine_value).collect::<Vec<_>>()),
        Json::Object(entries) => Value::from(
            entries.iter().map(|(key, value)| (key.clone(), engine_value(value))).collect::<BTreeMap<_, _>>(),
        ),
    }
}
