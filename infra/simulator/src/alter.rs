//! Custom attributes that the workspace accepts and does not keep as written, and values that
//! another program sets after a write.

use serde_json::{Map, Number, Value};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::html;

/// The form in which the workspace stores a written value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Alteration {
    /// The old value stays.
    Ignore,
    /// Null in place of the value.
    Null,
    /// A text without whitespace at its ends.
    Trim,
    /// The first 10 characters of a text.
    Cut,
    /// A text as HTML.
    Escape,
    /// A number or a boolean as a text.
    Text,
    /// A number without its fraction, rounded; true as 1 and false as 0.
    Whole,
}

/// Characters of a cut text.
const CUT_CHARS: usize = 32;

/// The value that another program sets.
const OF_OTHERS: i64 = -1_234_567;

impl Alteration {
    /// Returns the value to store; `None` if the old one stays.
    pub(crate) fn of(self, value: &Value) -> Option<Value> {
        Some(match (self, value) {
            (Self::Ignore, _) => return None,
            (Self::Null, _) => Value::Null,
            (Self::Trim, Value::String(text)) => text.trim().into(),
            (Self::Cut, Value::String(text)) => text.chars().take(CUT_CHARS).collect::<String>().into(),
            (Self::Escape, Value::String(text)) => html::escaped(text).into(),
            (Self::Text, Value::Number(_) | Value::Bool(_)) => value.to_string().into(),
            (Self::Whole, Value::Bool(is)) => i64::from(*is).into(),
            (Self::Whole, Value::Number(number)) => {
                number.as_f64().and_then(|number| Number::from_f64(number.round())).map_or(Value::Null, Value::Number)
            }
            _ => value.clone(),
        })
    }
}

/// Sets the custom attributes that were just written to another value, as another program does.
pub(crate) fn overwrite(attributes: &mut Map<String, Value>, written: &Map<String, Value>) {
    for name in written.keys() {
        attributes.insert(name.clone(), OF_OTHERS.into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_stored_in_the_altered_form() {
        for (how, value, stored) in [
            (Alteration::Ignore, json!(1), None),
            (Alteration::Null, json!(1), Some(json!(null))),
            (Alteration::Trim, json!(" a "), Some(json!("a"))),
            (Alteration::Trim, json!(1), Some(json!(1))),
            (Alteration::Cut, json!("é".repeat(33)), Some(json!("é".repeat(32)))),
            (Alteration::Escape, json!("a & b"), Some(json!("a &amp; b"))),
            (Alteration::Text, json!(49.5), Some(json!("49.5"))),
            (Alteration::Text, json!(true), Some(json!("true"))),
            (Alteration::Whole, json!(49.5), Some(json!(50.0))),
            (Alteration::Whole, json!(true), Some(json!(1))),
        ] {
            assert_eq!(how.of(&value), stored, "{how:?} {value}");
        }
    }
}
