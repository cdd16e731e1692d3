//! `POST /contacts/search`: filters by equality and order, and pages. It reads the index.

use std::cmp::Ordering;

use serde_json::{Value, json};

use crate::contacts::body::Role;
use crate::contacts::list::{Cursor, pages, per_page};
use crate::contacts::write::invalid;
use crate::contacts::{Scene, contact_of};
use crate::user::Id;
use crate::version::Version;
use crate::wire::{Answer, Refusal};
use crate::work::json_body;
use crate::workspace::{Call, Workspace};

/// Contacts in a page, by default.
const PER_PAGE: usize = 50;
const DAY_S: i64 = 86_400;
/// Fields with times. Up to 2.16 they are compared by whole days.
const TIMES: [&str; 4] = ["created_at", "updated_at", "signed_up_at", "last_seen_at"];

impl Workspace {
    pub(crate) fn contact_search(&mut self, call: &Call<'_>, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let body: Value = serde_json::from_slice(json_body(call)?).map_err(|_| Refusal::NotJson)?;
        let query = body.get("query").ok_or_else(|| invalid("query must be supplied"))?;
        let part = |field: &str| body.get("pagination").and_then(|pagination| pagination.get(field));
        let size = part("per_page").and_then(Value::as_u64).map(|size| size as usize);
        let size = per_page(size, PER_PAGE, scene.options.contacts.larger_page)?;
        // A cursor in the query string is ignored.
        let asked = part("starting_after").and_then(Value::as_str).map(Cursor::parse).transpose()?;
        let (field, descending) = order(&body, scene.version)?;
        let form = scene.form(true);
        let mut found: Vec<(i64, Id, Value)> = Vec::new();
        for id in self.indexed_ids(scene, None, usize::MAX) {
            let Some((role, id, user)) = self.indexed(id, scene) else { continue };
            let people = if role == Role::User { &self.people } else { &self.contacts.leads };
            let contact = contact_of(people, role, id, user, form);
            if matches(query, &contact, scene.version)? {
                let key = contact.get(field).and_then(Value::as_i64).unwrap_or_default();
                found.push((if descending { -key } else { key }, id, contact));
            }
        }
        found.sort_unstable_by_key(|(key, id, _)| (*key, *id));
        let total = found.len();
        let after = |(key, id, _): &(i64, Id, Value)| asked.is_none_or(|asked| (*key, *id) > (asked.key, asked.id));
        let mut found: Vec<_> = found.into_iter().filter(after).take(size + 1).collect();
        let more = found.len() > size;
        found.truncate(size);
        let page = asked.map_or(1, |cursor| cursor.page);
        let next = found.last().filter(|_| more).map(|(key, id, _)| Cursor { key: *key, id: *id, page: page + 1 });
        let data: Vec<Value> = found.into_iter().map(|(_, _, contact)| contact).collect();
        let pages = pages(page, size, total, next);
        Ok(Answer::json(200, json!({"type": "list", "data": data, "total_count": total, "pages": pages})))
    }
}

/// Returns the field of the order, and whether it is descending.
fn order(body: &Value, version: Version) -> Result<(&str, bool), Refusal> {
    let Some(sort) = body.get("sort").filter(|sort| sort.is_object()) else { return Ok(("created_at", false)) };
    let field = sort.get("field").and_then(Value::as_str).unwrap_or("created_at");
    let order = sort.get("order").and_then(Value::as_str).unwrap_or("descending");
    if version >= Version::V2_16 && !matches!(order, "ascending" | "descending") {
        let message = format!("Invalid sort order '{order}'. Must be one of: ascending, descending");
        return Err(Refusal::Other { status: 400, code: "invalid_sort_order", message });
    }
    Ok((field, !matches!(order, "ascending" | "asc")))
}

/// Returns whether a filter, or a group of them, matches a contact.
fn matches(query: &Value, contact: &Value, version: Version) -> Result<bool, Refusal> {
    let operator = query.get("operator").and_then(Value::as_str).ok_or_else(|| invalid("operator must be supplied"))?;
    let value = query.get("value").unwrap_or(&Value::Null);
    if let ("AND" | "OR", Some(filters)) = (operator, value.as_array()) {
        let all = filters.iter().map(|filter| matches(filter, contact, version)).collect::<Result<Vec<_>, _>>()?;
        return Ok(if operator == "AND" { all.iter().all(|is| *is) } else { all.contains(&true) });
    }
    let field = query.get("field").and_then(Value::as_str).ok_or_else(|| invalid("field must be supplied"))?;
    let own = match field.strip_prefix("custom_attributes.") {
        Some(name) => contact.get("custom_attributes").and_then(|attributes| attributes.get(name)),
        None => contact.get(field),
    };
    let own = own.unwrap_or(&Value::Null);
    if TIMES.contains(&field) {
        return time_matches(operator, own.as_i64(), value, version);
    }
    let among = || value.as_array().is_some_and(|values| values.contains(own));
    Ok(match operator {
        "=" => own == value,
        "!=" => own != value,
        "IN" => among(),
        "NIN" => !among(),
        "~" => own.as_str().zip(value.as_str()).is_some_and(|(own, part)| own.contains(part)),
        ">" => compared(own, value) == Some(Ordering::Greater),
        "<" => compared(own, value) == Some(Ordering::Less),
        ">=" => matches!(compared(own, value), Some(Ordering::Greater | Ordering::Equal)),
        "<=" => matches!(compared(own, value), Some(Ordering::Less | Ordering::Equal)),
        _ => return Err(invalid(&format!("{operator} is not a valid operator"))),
    })
}

fn compared(own: &Value, value: &Value) -> Option<Ordering> {
    own.as_f64()?.partial_cmp(&value.as_f64()?)
}

/// Compares a time: by whole days up to 2.16, by seconds in later versions.
fn time_matches(operator: &str, own: Option<i64>, value: &Value, version: Version) -> Result<bool, Refusal> {
    let exact = version >= Version::V2_17;
    let given = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let given = given.ok_or_else(|| invalid("the value must be a Unix time"))?;
    let unit = |time: i64| if exact { time } else { time.div_euclid(DAY_S) };
    let order = own.map(|own| unit(own).cmp(&unit(given)));
    Ok(match operator {
        "=" => order == Some(Ordering::Equal),
        ">" => order == Some(Ordering::Greater),
        "<" => order == Some(Ordering::Less),
        "!=" if exact => order != Some(Ordering::Equal),
        ">=" if exact => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        "<=" if exact => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        _ => {
            let message = format!("{operator} is not a valid operator of a date");
            return Err(Refusal::Other { status: 422, code: "parameter_invalid", message });
        }
    })
}
