//! Changes a user to any shape: tests use it to change a user without a request to Intercom.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::people::People;
use crate::upsert;
use crate::user::{Avatar, Id, User};

/// The fields that a user stores apart from its given body.
const KEPT: [&str; 8] =
    ["user_id", "email", "name", "phone", "avatar", "companies", "custom_attributes", "unsubscribed_from_emails"];

/// Lets `edit` change a user's body, and stores the result. Returns whether the user exists.
pub(crate) fn set_user(people: &mut People, id: Id, now_s: i64, edit: impl FnOnce(&mut Value)) -> bool {
    let (Some(before), Some(mut user)) = (people.body(id), people.get(id).cloned()) else {
        return false;
    };
    let mut after = before.clone();
    edit(&mut after);
    if after.get("avatar").is_none() {
        user.avatar = Avatar::Absent;
    }
    for (field, value) in after.as_object().into_iter().flatten() {
        if before.get(field) != Some(value) && !take(people, &mut user, field, value, now_s) {
            user.odd.get_or_insert_default().insert(field.clone(), value.clone());
        }
    }
    people.put(id, user);
    true
}

/// Adds a user with this body.
pub(crate) fn put_given(people: &mut People, id: Id, body: &Arc<Map<String, Value>>, now_s: i64) {
    let time = |field| body.get(field).and_then(Value::as_i64);
    let mut user = User {
        avatar: Avatar::Absent,
        created_at: time("created_at").unwrap_or(now_s),
        updated_at: time("updated_at").unwrap_or(now_s),
        given: Some(body.clone()),
        ..upsert::stranger(now_s)
    };
    for (field, value) in body.iter().filter(|(field, _)| KEPT.contains(&field.as_str())) {
        if !take(people, &mut user, field, value, now_s) {
            user.odd.get_or_insert_default().insert(field.clone(), value.clone());
        }
    }
    people.put(id, user);
}

/// Moves a field to its own storage. Returns false if it has none or if the value does not fit.
fn take(people: &mut People, user: &mut User, field: &str, value: &Value, now_s: i64) -> bool {
    let text = value.as_str().map(Into::into);
    let fits_text = text.is_some() || value.is_null();
    match (field, value) {
        ("email", _) if fits_text => user.email = text,
        ("user_id", _) if fits_text => user.user_id = text,
        ("name", _) if fits_text => user.name = text,
        ("phone", _) if fits_text => user.phone = text,
        ("avatar", Value::Null) => user.avatar = Avatar::Null,
        ("avatar", _) => user.avatar = Avatar::Set(Box::new(value.clone())),
        ("unsubscribed_from_emails", Value::Bool(unsubscribed)) => {
            user.unsubscribed = *unsubscribed;
        }
        ("custom_attributes", Value::Object(attributes)) => {
            user.custom_attributes.clone_from(attributes);
        }
        ("companies", _) => match companies(people, value, now_s) {
            Some(companies) => user.companies = companies,
            None => return false,
        },
        ("updated_at", Value::Number(at)) if at.is_i64() => {
            user.updated_at = at.as_i64().unwrap_or_default();
        }
        _ => return false,
    }
    true
}

fn companies(people: &mut People, list: &Value, now_s: i64) -> Option<Vec<u32>> {
    let named = |company: &Value| {
        let company_id = company.get("company_id")?.as_str()?.to_owned();
        Some((company_id, company.get("name")?.as_str()?.to_owned()))
    };
    let list: Vec<(String, String)> = list.get("companies")?.as_array()?.iter().map(named).collect::<Option<_>>()?;
    Some(list.iter().map(|(company_id, name)| people.company(company_id, Some(name), now_s)).collect())
}
