//! The rule for an expression without a value.

use serde_json::Value as Json;

use super::compile::scalar;
use super::error::{Fault, PlanError};
use super::nearest::distance;
use super::node::Data;
use super::scanner::Scanner;
use super::value::ValueType;

/// The rule. The default is keep: a rule without a value for a user writes nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Otherwise {
    Keep,
    Clear,
    Error,
    Value(Json),
}

pub(super) const WORDS: [&str; 3] = ["keep", "clear", "error"];

impl Otherwise {
    /// Reads the words keep, clear and error. Any other scalar is the value; `{ value = "keep" }`
    /// is the text of a word.
    pub(super) fn read(cursor: &Scanner<'_>, kind: ValueType, clearable: bool) -> Result<Self, PlanError> {
        match &cursor.node.data {
            Data::Text(text) => match text.as_str() {
                "keep" => Ok(Self::Keep),
                "error" => Ok(Self::Error),
                "clear" if clearable => Ok(Self::Clear),
                "clear" => Err(cursor.refuse(Fault::NotClearable)),
                text => match WORDS.into_iter().find(|word| distance(&text.trim().to_lowercase(), word) <= 1) {
                    Some(word) => Err(cursor.refuse(Fault::AlmostWord { text: text.to_owned(), word })),
                    None => Self::value(cursor, kind, clearable),
                },
            },
            Data::Table(_) => {
                let [value] = cursor.known_entries(["value"], "a value")?;
                let value = value.ok_or_else(|| cursor.missing("value", "otherwise = { value = \"…\" }"))?;
                Self::value(&value, kind, clearable)
            }
            _ => Self::value(cursor, kind, clearable),
        }
    }

    fn value(cursor: &Scanner<'_>, kind: ValueType, clearable: bool) -> Result<Self, PlanError> {
        let value =
            scalar(&cursor.node.data).ok_or_else(|| cursor.wrong_type("\"keep\", \"clear\", \"error\" or a value"))?;
        let words = if clearable { "keep, clear, error" } else { "keep, error" };
        let needed = match kind {
            ValueType::Bool => "true or false",
            ValueType::Int => "a whole number",
            ValueType::Float => "a number",
            ValueType::Text => "a text of at most 255 characters",
            ValueType::Date => "Unix seconds, as 1479945600",
        };
        let value = kind.accept(&value).map_err(|_| cursor.refuse(Fault::Otherwise { words, value: needed }))?;
        Ok(Self::Value(value))
    }
}
