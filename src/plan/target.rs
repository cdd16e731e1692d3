//! The targets of a plan. None of them creates a user or changes its identity: never id, `user_id`
//! or email.

use super::error::{Fault, Instead};
use super::nearest::nearest;
use super::value::ValueType;

/// The standard fields that a bulk post of API 1.x writes. `last_request_at` is left out: Intercom
/// sets it at every visit, so a plan would send it in every run.
pub(super) const FIELDS: &[(&str, ValueType)] = &[
    ("name", ValueType::Text),
    ("phone", ValueType::Text),
    ("signed_up_at", ValueType::Date),
    ("unsubscribed_from_emails", ValueType::Bool),
];

/// Returns the field's type.
pub(super) fn field_type(name: &str) -> Result<ValueType, Fault> {
    let found = FIELDS.iter().find(|(field, _)| *field == name);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let names = FIELDS.iter().map(|(field, _)| *field).chain(["custom_attributes", "company"]);
        Fault::Field {
            field: name.to_owned(),
            allowed: FIELDS.iter().map(|(field, _)| *field).collect::<Vec<_>>().join(", "),
            instead: Instead::nearest(nearest(name, names)),
        }
    })
}

/// Checks that Intercom accepts an attribute of this name (the character rules of its help article
/// on custom attributes).
pub(super) fn check_attribute_name(name: &str) -> Result<(), Fault> {
    const REFUSED: &str = ".$`~!@#%^&*'{}|\"\\";
    const CHARS_MAX: usize = 190;
    let why = if name.is_empty() {
        "it is empty"
    } else if name.trim() != name {
        "it begins or ends with a space"
    } else if name.chars().count() > CHARS_MAX {
        "it is longer than 190 characters"
    } else if name.chars().any(char::is_control) {
        "it has a control character"
    } else if name.chars().any(|c| REFUSED.contains(c)) {
        "it has one of . $ ` ~ ! @ # % ^ & * ' { } | \" \\"
    } else {
        return Ok(());
    };
    Err(Fault::AttributeName { why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_names_that_intercom_refuses_are_refused() {
        for good in ["has avatar", "plan_price", "größe", "a-b"] {
            assert!(check_attribute_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a.b", "$set", "a\0b", " a", "it's", "{x}", "a\"b", "a\\b", "100%"] {
            assert!(check_attribute_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn identifying_fields_cannot_be_written() {
        for field in ["id", "user_id", "email", "last_request_at", "custom_attributes"] {
            assert!(field_type(field).is_err(), "{field}");
        }
    }
}
