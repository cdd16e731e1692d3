//! Values that API 1.x shows otherwise than they were written, by its own rules. A read that shows
//! them has kept them.

use serde_json::Value;

use crate::domain::patch::Target;

/// A rule: the fields, the written value and the shown one, in either direction.
struct Rule {
    fields: &'static [&'static str],
    one: fn(&Value) -> bool,
    other: fn(&Value) -> bool,
}

/// Custom attributes have no rule: a null is stored as null or removed, and both read as no value.
/// Names of people and companies are shown as HTML and decoded when they are read.
const RULES: [Rule; 2] = [
    // A standard text without a value is an empty text or null.
    Rule { fields: &["name", "phone"], one: Value::is_null, other: is_empty },
    // A user is subscribed unless it is set otherwise, so a cleared value is shown as false.
    Rule { fields: &["unsubscribed_from_emails"], one: Value::is_null, other: is_false },
];

fn is_empty(value: &Value) -> bool {
    value == ""
}

fn is_false(value: &Value) -> bool {
    *value == Value::Bool(false)
}

/// Returns whether the API shows both values of a target alike.
pub(in crate::intercom) fn shows_alike(target: &Target, one: &Value, other: &Value) -> bool {
    let Target::Field(field) = target else { return false };
    RULES.iter().filter(|rule| rule.fields.contains(&field.as_str())).any(|rule| {
        let pair = |one, other| (rule.one)(one) && (rule.other)(other);
        pair(one, other) || pair(other, one)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_listed_values_of_standard_fields_are_shown_alike() {
        let field = |name: &str| Target::Field(name.to_owned());
        let attribute = Target::Attribute("name".to_owned());
        for (target, one, other, alike) in [
            (field("name"), json!(null), json!(""), true),
            (field("phone"), json!(""), json!(null), true),
            (field("phone"), json!("1"), json!(null), false),
            (field("unsubscribed_from_emails"), json!(null), json!(false), true),
            (field("unsubscribed_from_emails"), json!(null), json!(true), false),
            (field("signed_up_at"), json!(null), json!(0), false),
            (attribute, json!(null), json!(""), false),
            (Target::CompanyName("1".to_owned()), json!(""), json!(null), false),
        ] {
            assert_eq!(shows_alike(&target, &one, &other), alike, "{target} {one} {other}");
        }
    }
}
