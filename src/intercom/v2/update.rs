//! The body that writes a patch, and the comparison of the answer with it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::super::transport::error::Invalid;
use crate::domain::kept::is_same_name;
use crate::domain::partial_json::Projection;
use crate::domain::patch::{Change, Patch, Target};

/// Fields that identify a contact or contain other targets.
const RESERVED: [&str; 6] = ["id", "external_id", "role", "type", "custom_attributes", "companies"];

/// Builds the body.
pub(super) fn body(patch: &Patch) -> Result<Vec<u8>, Invalid> {
    Ok(json!(contact_fields(0, patch)?).to_string().into_bytes())
}

/// Returns the changes of patch number `index` as fields of a contact. A contact's company cannot be
/// renamed through the contact.
pub(in crate::intercom) fn contact_fields(index: usize, patch: &Patch) -> Result<Map<String, Value>, Invalid> {
    if patch.changes.is_empty() {
        return Err(Invalid::NoChanges { index });
    }
    let mut fields = Map::new();
    let mut attributes = Map::new();
    for Change { target, new, .. } in &patch.changes {
        if new.is_array() || new.is_object() {
            return Err(Invalid::NotScalar { index });
        }
        match target {
            Target::Attribute(name) => drop(attributes.insert(name.clone(), new.clone())),
            Target::Field(name) if !RESERVED.contains(&name.as_str()) => drop(fields.insert(name.clone(), new.clone())),
            Target::Field(_) | Target::CompanyName(_) => return Err(Invalid::ReservedField { index }),
        }
    }
    if !attributes.is_empty() {
        fields.insert("custom_attributes".to_owned(), attributes.into());
    }
    Ok(fields)
}

/// Returns the parts of a written contact that are compared with the patch: its `id` and the targets.
pub(super) fn projection(patch: &Patch) -> Projection {
    let mut fields = BTreeMap::from([("id".to_owned(), Projection::Whole)]);
    let mut attributes = BTreeMap::new();
    for change in &patch.changes {
        match &change.target {
            Target::Attribute(name) => drop(attributes.insert(name.clone(), Projection::Whole)),
            Target::Field(name) => drop(fields.insert(name.clone(), Projection::Whole)),
            Target::CompanyName(_) => {}
        }
    }
    fields.insert("custom_attributes".to_owned(), Projection::Keys(attributes));
    Projection::Keys(fields)
}

/// Returns the targets whose values in the written contact differ from the patch's.
pub(super) fn not_kept(contact: &Value, patch: &Patch) -> Vec<Target> {
    let value_of = |target: &Target| match target {
        Target::Attribute(name) => contact.get("custom_attributes").and_then(|attributes| attributes.get(name)),
        Target::Field(name) => contact.get(name),
        Target::CompanyName(_) => None,
    };
    let differs = |change: &&Change| {
        let kept = value_of(&change.target).unwrap_or(&Value::Null);
        !(is_kept(kept, &change.new) || change.target.is_name() && is_same_name(kept, &change.new))
    };
    patch.changes.iter().filter(differs).map(|change| change.target.clone()).collect()
}

/// Fields whose removed value may be shown as an empty text.
const TEXTS: [&str; 3] = ["name", "phone", "email"];

/// Returns whether the API shows both values of a target alike.
pub(in crate::intercom) fn shows_alike(target: &Target, one: &Value, other: &Value) -> bool {
    let is_none = |value: &Value| value.is_null() || value.as_str() == Some("");
    matches!(target, Target::Field(field) if TEXTS.contains(&field.as_str())) && is_none(one) && is_none(other)
}

/// Returns whether a value was kept as it was sent. Intercom stores a removed value as null, as no
/// key, or, if it is an e-mail address, as `""`; and a number may come back in another notation.
fn is_kept(kept: &Value, sent: &Value) -> bool {
    match (kept, sent) {
        (kept, Value::Null) => kept.is_null() || kept.as_str() == Some(""),
        (Value::Number(kept), Value::Number(sent)) => kept == sent || kept.as_f64() == sent.as_f64(),
        (kept, sent) => kept == sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::UserId;

    fn patch(changes: Vec<(Target, Value)>) -> Patch {
        let changes = changes.into_iter().map(|(target, new)| Change { target, new, replaced: None }).collect();
        Patch { user: UserId::new("a1").unwrap(), changes }
    }

    fn attribute(new: Value) -> Patch {
        patch(vec![(Target::Attribute("plan_price".into()), new)])
    }

    #[test]
    fn the_body_has_only_the_changes() {
        let many = patch(vec![
            (Target::Attribute("has avatar".into()), json!(false)),
            (Target::Attribute("old".into()), Value::Null),
            (Target::Field("name".into()), json!("Ann")),
        ]);
        let sent: Value = serde_json::from_slice(&body(&many).unwrap()).unwrap();
        assert_eq!(sent, json!({"name": "Ann", "custom_attributes": {"has avatar": false, "old": null}}));
    }

    #[test]
    fn identity_companies_and_lists_are_not_written() {
        for name in RESERVED {
            let wrong = patch(vec![(Target::Field(name.into()), json!("x"))]);
            assert_eq!(body(&wrong), Err(Invalid::ReservedField { index: 0 }), "{name}");
        }
        let company = patch(vec![(Target::CompanyName("366".into()), json!("Serenity"))]);
        assert_eq!(body(&company), Err(Invalid::ReservedField { index: 0 }));
        assert_eq!(body(&attribute(json!([1]))), Err(Invalid::NotScalar { index: 0 }));
        assert_eq!(body(&patch(vec![])), Err(Invalid::NoChanges { index: 0 }));
    }

    #[test]
    fn only_the_id_and_the_targets_of_an_answer_are_read() {
        let changes = vec![
            (Target::Attribute("plan".into()), json!("pro")),
            (Target::Field("name".into()), json!("Ann")),
            (Target::CompanyName("366".into()), json!("Serenity")),
        ];
        let contact = json!({
            "id": "a1", "name": "Ann", "email": "a@b.c", "companies": {"data": []},
            "custom_attributes": {"plan": "pro", "seats": 3},
        });
        let read = projection(&patch(changes)).read(contact.to_string().as_bytes()).unwrap();
        assert_eq!(read, json!({"id": "a1", "name": "Ann", "custom_attributes": {"plan": "pro"}}));
    }

    #[test]
    fn an_answer_is_compared_with_what_was_sent() {
        for (sent, kept, is_kept) in [
            (json!(49), json!({"custom_attributes": {"plan_price": 49}}), true),
            (json!(49), json!({"custom_attributes": {"plan_price": 49.0}}), true),
            (json!(49), json!({"custom_attributes": {"plan_price": "49"}}), false),
            (json!("Pro"), json!({"custom_attributes": {"plan_price": "Pro "}}), false),
            (json!(false), json!({"custom_attributes": {"plan_price": false}}), true),
            (json!(false), json!({"custom_attributes": {}}), false),
            (json!(true), json!({}), false),
            (Value::Null, json!({"custom_attributes": {"plan_price": null}}), true),
            (Value::Null, json!({"custom_attributes": {}}), true),
            (Value::Null, json!({"custom_attributes": {"plan_price": 49}}), false),
        ] {
            let targets = not_kept(&kept, &attribute(sent.clone()));
            assert_eq!(targets.is_empty(), is_kept, "{sent} {kept}");
        }
        let name = |kept: &str| {
            let sent = patch(vec![(Target::Field("name".into()), json!("Ann & Bob"))]);
            not_kept(&json!({ "name": kept }), &sent).is_empty()
        };
        assert_eq!(["Ann & Bob", "Ann &amp; Bob", "Ann"].map(name), [true, true, false]);
        let email = Target::Field("email".into());
        assert!(shows_alike(&email, &json!(""), &Value::Null) && !shows_alike(&email, &json!("a@b.c"), &Value::Null));
        assert!(!shows_alike(&Target::Attribute("email".into()), &json!(""), &Value::Null));
        let name = patch(vec![(Target::Field("name".into()), Value::Null)]);
        assert!(not_kept(&json!({"name": ""}), &name).is_empty());
        assert_eq!(not_kept(&json!({"name": "Ann"}), &name), [Target::Field("name".into())]);
    }
}
