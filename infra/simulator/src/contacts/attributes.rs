//! The workspace's attributes of contacts: those that some user has, and those of the options.

use std::str::FromStr;

use serde_json::{Map, Value};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::contacts::options::{ContactOptions, Verdict};
use crate::people::People;
use crate::wire::Refusal;

/// The id of the first attribute.
const FIRST_ID: u64 = 8_104_117;

/// The type of an attribute's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum DataType {
    /// Text, or one of a list's options.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Float,
    /// True or false.
    Boolean,
    /// A Unix time in seconds, of which the day counts.
    Date,
    /// A Unix time in seconds.
    Datetime,
}

/// A custom attribute of contacts. It is parsed from `name:type`, and `name:type:archived`,
/// `name:type:read-only` or, for a list, `name:string:A|B`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attribute {
    /// The name.
    pub name: String,
    /// The type of its values.
    pub data_type: DataType,
    /// Archived: writes are accepted and dropped.
    pub archived: bool,
    /// The API cannot write it.
    pub read_only: bool,
    /// The values of a list attribute; empty for others.
    pub options: Vec<String>,
}

/// An attribute as the workspace knows it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: u64,
    pub(crate) attribute: Attribute,
    pub(crate) description: Option<String>,
    pub(crate) created_at_s: i64,
    /// Until then, neither lists nor writes know it.
    pub(crate) exists_at_ms: i64,
    /// It was removed, and no longer exists.
    pub(crate) removed: bool,
}

/// All attributes, in the order of their creation.
#[derive(Default)]
pub(crate) struct Attributes {
    pub(crate) list: Vec<Entry>,
    /// The number of names that users and leads have, at the last comparison.
    compared: usize,
}

impl DataType {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }

    /// Returns the type that fits a value. A name that ends with `_at` makes a number a date.
    fn of(name: &str, value: &Value) -> Self {
        match value {
            Value::Bool(_) => Self::Boolean,
            Value::Number(number) if number.is_i64() && name.ends_with("_at") => Self::Date,
            Value::Number(number) if number.is_i64() => Self::Integer,
            Value::Number(_) => Self::Float,
            _ => Self::String,
        }
    }

    fn fits(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Boolean => value.is_boolean(),
            Self::Float => value.is_number(),
            Self::Integer | Self::Date | Self::Datetime => value.is_i64(),
        }
    }
}

impl Attributes {
    pub(crate) fn new(options: &ContactOptions, now_ms: i64) -> Self {
        let mut attributes = Self::default();
        for attribute in &options.attributes {
            attributes.add(attribute.clone(), None, now_ms, now_ms);
        }
        attributes
    }

    /// Adds an attribute, and returns its index.
    pub(crate) fn add(
        &mut self,
        attribute: Attribute,
        description: Option<String>,
        now_ms: i64,
        exists_at_ms: i64,
    ) -> usize {
        self.list.push(Entry {
            id: FIRST_ID + self.list.len() as u64,
            attribute,
            description,
            created_at_s: now_ms.div_euclid(1000),
            exists_at_ms,
            removed: false,
        });
        self.list.len() - 1
    }

    /// Adds the attributes that users of these groups have and the list does not.
    pub(crate) fn compare(&mut self, groups: [&People; 2], now_ms: i64) {
        let names = groups[0].attributes.len() + groups[1].attributes.len();
        if names == self.compared {
            return;
        }
        self.compared = names;
        let mut new: Vec<&String> = groups.into_iter().flat_map(|people| &people.attributes).collect();
        new.sort();
        new.dedup();
        for name in new {
            if self.list.iter().all(|entry| entry.attribute.name != *name) {
                let value = groups.iter().find_map(|people| people.example(name));
                let data_type = value.map_or(DataType::String, |value| DataType::of(name, value));
                self.add(Attribute { name: name.clone(), data_type, ..Attribute::default() }, None, now_ms, now_ms);
            }
        }
    }

    /// Removes an attribute. Returns whether it existed.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let entry = self.list.iter_mut().find(|entry| entry.attribute.name == name && !entry.removed);
        entry.map(|entry| entry.removed = true).is_some()
    }

    pub(crate) fn find(&self, name: &str, now_ms: i64) -> Option<&Entry> {
        let is = |entry: &&Entry| entry.attribute.name == name && !entry.removed && now_ms >= entry.exists_at_ms;
        self.list.iter().find(is)
    }

    /// Returns the values that a write may store: without archived attributes.
    pub(crate) fn accept(
        &self,
        given: &Map<String, Value>,
        options: &ContactOptions,
        now_ms: i64,
    ) -> Result<Map<String, Value>, Refusal> {
        let mut accepted = Map::new();
        for (name, value) in given {
            let invalid = |message: String| Refusal::Other { status: 400, code: "parameter_invalid", message };
            let Some(entry) = self.find(name, now_ms) else {
                return Err(invalid(format!("Custom attribute '{name}' does not exist")));
            };
            let attribute = &entry.attribute;
            if attribute.archived {
                continue;
            }
            if attribute.read_only {
                return Err(invalid(format!("Custom attribute '{name}' is not writable through the API")));
            }
            if value.is_object() || value.is_array() {
                return Err(Refusal::ValueType);
            }
            let known =
                |text: &str| attribute.options.is_empty() || attribute.options.iter().any(|known| known == text);
            if options.list_option == Verdict::Refused && value.as_str().is_some_and(|text| !known(text)) {
                return Err(invalid(format!("Custom attribute '{name}' does not have this option")));
            }
            let fits = value.is_null() || attribute.data_type.fits(value);
            if options.value_type == Verdict::Refused && !fits {
                let expected = attribute.data_type.name();
                return Err(invalid(format!("Custom attribute '{name}' must be of type {expected}")));
            }
            accepted.insert(name.clone(), value.clone());
        }
        Ok(accepted)
    }
}

impl FromStr for Attribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str = "NAME:TYPE, and :archived, :read-only or, for a list, :A|B";
        let mut parts = text.splitn(3, ':');
        let (Some(name), Some(data_type)) = (parts.next(), parts.next()) else { return Err(EXPECTED.to_owned()) };
        let data_type = data_type.parse().map_err(|_| format!("a type of {}", DataType::VARIANTS.join(", ")))?;
        let mut attribute = Self { name: name.to_owned(), data_type, ..Self::default() };
        match parts.next() {
            None => {}
            Some("archived") => attribute.archived = true,
            Some("read-only") => attribute.read_only = true,
            Some(options) => attribute.options = options.split('|').map(str::to_owned).collect(),
        }
        Ok(attribute)
    }
}
