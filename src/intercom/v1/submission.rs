//! The body of a bulk job's submission.

use serde_json::{Map, Value, json};

use super::super::transport::error::Invalid;
use crate::domain::api::Api;
use crate::domain::patch::{Change, Patch, Target};

/// Fields that identify a user or contain other targets. Writing one could create or merge people.
const RESERVED: [&str; 6] = ["id", "user_id", "type", "custom_attributes", "companies", "new_session"];

/// The most items of one bulk request.
const ITEMS_MAX: usize = Api::V1.capabilities().write_users_max;

/// Builds the body, one item per patch. An item contains the user's id, never the e-mail address or
/// the `user_id`. The method `post` creates a user if it does not find one by those.
pub(super) fn body(patches: &[Patch]) -> Result<Vec<u8>, Invalid> {
    match patches.len() {
        0 => return Err(Invalid::NoPatches),
        count if count > ITEMS_MAX => return Err(Invalid::TooManyPatches { count }),
        _ => {}
    }
    let items: Vec<Value> = patches.iter().enumerate().map(item).collect::<Result<_, _>>()?;
    Ok(json!({ "items": items }).to_string().into_bytes())
}

fn item((index, patch): (usize, &Patch)) -> Result<Value, Invalid> {
    if patch.changes.is_empty() {
        return Err(Invalid::NoChanges { index });
    }
    let mut fields = Map::new();
    let mut attributes = Map::new();
    let mut companies = Vec::new();
    for Change { target, new, .. } in &patch.changes {
        if new.is_array() || new.is_object() {
            return Err(Invalid::NotScalar { index });
        }
        match target {
            Target::Attribute(name) => drop(attributes.insert(name.clone(), new.clone())),
            Target::Field(name) if RESERVED.contains(&name.as_str()) => {
                return Err(Invalid::ReservedField { index });
            }
            Target::Field(name) => drop(fields.insert(name.clone(), new.clone())),
            Target::CompanyName(company_id) => companies.push(json!({ "company_id": company_id, "name": new })),
        }
    }
    fields.insert("id".to_owned(), patch.user.as_str().into());
    if !attributes.is_empty() {
        fields.insert("custom_attributes".to_owned(), attributes.into());
    }
    if !companies.is_empty() {
        fields.insert("companies".to_owned(), companies.into());
    }
    Ok(json!({ "method": "post", "data_type": "user", "data": fields }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::user::UserId;

    fn patch(user: &str, changes: Vec<(Target, Value)>) -> Patch {
        let changes = changes.into_iter().map(|(target, new)| Change { target, new, replaced: None }).collect();
        Patch { user: UserId::new(user).unwrap(), changes }
    }

    fn avatar(user: &str) -> Patch {
        patch(user, vec![(Target::Attribute("has avatar".into()), json!(false))])
    }

    #[test]
    fn an_item_has_only_the_id_and_changes_and_writes_false() {
        let many = patch(
            "b2",
            vec![
                (Target::Attribute("plan_price".into()), json!(49)),
                (Target::Attribute("old".into()), Value::Null),
                (Target::Field("name".into()), json!("Ann")),
                (Target::CompanyName("366".into()), json!("Serenity")),
            ],
        );
        let sent: Value = serde_json::from_slice(&body(&[avatar("a1"), many]).unwrap()).unwrap();
        let expected = json!({"items": [
            {"method": "post", "data_type": "user", "data": {"id": "a1", "custom_attributes": {"has avatar": false}}},
            {"method": "post", "data_type": "user", "data": {
                "id": "b2", "name": "Ann", "custom_attributes": {"plan_price": 49, "old": null},
                "companies": [{"company_id": "366", "name": "Serenity"}]}},
        ]});
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_job_takes_a_hundred_patches_and_no_more() {
        let patches: Vec<Patch> = (0..=ITEMS_MAX).map(|n| avatar(&format!("u{n}"))).collect();
        assert!(body(&patches[..ITEMS_MAX]).is_ok());
        assert_eq!(body(&patches), Err(Invalid::TooManyPatches { count: 101 }));
        assert_eq!(body(&[]), Err(Invalid::NoPatches));
    }

    #[test]
    fn patches_of_reserved_fields_are_not_sent() {
        let wrong = |target, new| body(&[avatar("a1"), patch("b2", vec![(target, new)])]).unwrap_err();
        for name in RESERVED {
            assert_eq!(wrong(Target::Field(name.into()), json!("x")), Invalid::ReservedField { index: 1 }, "{name}");
        }
        assert_eq!(wrong(Target::Attribute("a".into()), json!([1])), Invalid::NotScalar { index: 1 });
        assert_eq!(body(&[patch("b2", vec![])]), Err(Invalid::NoChanges { index: 0 }));
    }
}
