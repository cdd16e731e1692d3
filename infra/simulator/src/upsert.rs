//! Applies a POST about one user, and validates its values ("user update limits", help text of
//! 2016).

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::contacts::options::Verdict;
use crate::fault::Fault;
use crate::options::{NullAttribute, Options};
use crate::people::People;
use crate::user::{Avatar, Id, User};
use crate::wire::Refusal;

/// The longest string value of a custom attribute.
const TEXT_LIMIT: usize = 255;
/// The maximum number of custom attributes of a workspace.
const ATTRIBUTE_LIMIT: usize = 250;
/// The characters that an attribute's name must not contain.
const FORBIDDEN: &str = ".$`~!@#%^&*'{}|\\\"\0";

/// Finds a user: by `id`, else by `user_id`, else by `email`.
pub(crate) fn find(people: &People, data: &Map<String, Value>) -> Result<Option<Id>, Refusal> {
    if let Some(id) = text(data, "id")? {
        let id = Id::parse(id).filter(|id| people.get(*id).is_some());
        return id.map(Some).ok_or(Refusal::UserNotFound);
    }
    Ok(people.find(text(data, "user_id")?, text(data, "email")?))
}

/// Returns whether the data identify a user.
pub(crate) fn identified(data: &Map<String, Value>) -> bool {
    ["id", "user_id", "email"]
        .iter()
        .any(|field| data.get(*field).and_then(Value::as_str).is_some_and(|t| !t.is_empty()))
}

/// Deletes a user.
pub(crate) fn delete(people: &mut People, data: &Map<String, Value>) -> Result<(), Refusal> {
    let id = find(people, data)?.ok_or(Refusal::UserNotFound)?;
    people.remove(id);
    Ok(())
}

/// Updates or creates a user. Applies all of the data or nothing.
pub(crate) fn post(
    people: &mut People,
    data: &Map<String, Value>,
    now_s: i64,
    options: &Options,
) -> Result<Id, Refusal> {
    let mut data = Cow::Borrowed(data);
    if options.quirks.strip {
        data.to_mut().values_mut().for_each(strip);
    }
    let data = data.as_ref();
    let found = find(people, data)?;
    let mut user = match found.and_then(|id| people.get(id)) {
        Some(user) => user.clone(),
        None => stranger(now_s),
    };
    fields(&mut user, data)?;
    unique(people, found, &user, options)?;
    attributes(people, &mut user, data, options)?;
    companies(people, &mut user, data, now_s)?;
    user.updated_at = now_s;
    Ok(match found {
        Some(id) => {
            people.put(id, user);
            id
        }
        None => people.insert(user),
    })
}

/// Returns a user without any data.
pub(crate) fn stranger(now_s: i64) -> User {
    User {
        number: 0,
        user_id: None,
        email: None,
        name: None,
        phone: None,
        avatar: Avatar::NoUrl,
        companies: Vec::new(),
        custom_attributes: Map::new(),
        created_at: now_s,
        updated_at: now_s,
        unsubscribed: false,
        given: None,
        odd: None,
    }
}

fn text<'a>(data: &'a Map<String, Value>, field: &'static str) -> Result<Option<&'a str>, Refusal> {
    match data.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::FieldType { field }),
    }
}

/// Trims whitespace around each text of a value.
fn strip(value: &mut Value) {
    match value {
        Value::String(text) => *text = text.trim().to_owned(),
        Value::Array(values) => values.iter_mut().for_each(strip),
        Value::Object(values) => values.values_mut().for_each(strip),
        _ => {}
    }
}

/// Applies the standard fields. A missing field stays as it is, and null empties it.
fn fields(user: &mut User, data: &Map<String, Value>) -> Result<(), Refusal> {
    if text(data, "email")?.is_some_and(|email| !is_email(email)) {
        return Err(Refusal::EmailInvalid);
    }
    if let Some(seconds) = data.get("signed_up_at") {
        user.odd.get_or_insert_default().insert("signed_up_at".to_owned(), seconds.clone());
    }
    let places = [
        ("email", &mut user.email),
        ("user_id", &mut user.user_id),
        ("name", &mut user.name),
        ("phone", &mut user.phone),
    ];
    for (field, place) in places {
        if data.contains_key(field) {
            *place = text(data, field)?.map(Into::into);
        }
    }
    match data.get("unsubscribed_from_emails") {
        None | Some(Value::Null) => {}
        Some(Value::Bool(unsubscribed)) => user.unsubscribed = *unsubscribed,
        Some(_) => {
            return Err(Refusal::FieldType { field: "unsubscribed_from_emails" });
        }
    }
    match data.get("avatar") {
        None => {}
        Some(Value::Null) => user.avatar = Avatar::NoUrl,
        Some(avatar @ Value::Object(_)) => user.avatar = Avatar::Set(Box::new(avatar.clone())),
        Some(_) => return Err(Refusal::FieldType { field: "avatar" }),
    }
    Ok(())
}

/// Checks the minimum of an address: a local part, one `@`, and a domain with a dot; no whitespace.
fn is_email(email: &str) -> bool {
    let parts: Vec<&str> = email.split('@').collect();
    matches!(parts[..], [name, domain] if !name.is_empty() && domain.trim_matches('.').contains('.'))
        && !email.contains(char::is_whitespace)
}

fn unique(people: &People, found: Option<Id>, user: &User, options: &Options) -> Result<(), Refusal> {
    // An empty address is a cleared one.
    let email = user.email.as_deref().filter(|email| !email.is_empty());
    let email = email.filter(|_| options.contacts.email_taken == Verdict::Refused);
    let holders = [people.find(user.user_id.as_deref(), None), people.find(None, email)];
    if holders.into_iter().flatten().any(|holder| Some(holder) != found) {
        return Err(Refusal::Conflict);
    }
    Ok(())
}

fn attributes(people: &People, user: &mut User, data: &Map<String, Value>, options: &Options) -> Result<(), Refusal> {
    let given = match data.get("custom_attributes") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(given)) => given,
        Some(_) => {
            return Err(Refusal::FieldType { field: "custom_attributes" });
        }
    };
    let mut known = people.attributes.len();
    for (name, value) in given {
        if !is_attribute_name(name) {
            return Err(Refusal::AttributeName);
        }
        match value {
            Value::Array(_) | Value::Object(_) => return Err(Refusal::ValueType),
            Value::String(text) if text.chars().count() > TEXT_LIMIT => {
                return Err(Refusal::TextTooLong { name: name.clone() });
            }
            _ => {}
        }
        known += usize::from(!people.attributes.contains(name));
        if known > ATTRIBUTE_LIMIT {
            return Err(Refusal::AttributeLimit);
        }
        if options.quirks.ignored.contains(name) {
            continue;
        }
        let altered = options.faults.iter().find_map(|fault| match fault {
            Fault::AlterAttribute { attribute, how } if attribute == name => Some(how.of(value)),
            _ => None,
        });
        let value = match &altered {
            Some(None) => continue,
            Some(Some(altered)) => altered,
            None => value,
        };
        if value.is_null() && options.null_attribute == NullAttribute::Removed {
            user.custom_attributes.remove(name);
        } else {
            user.custom_attributes.insert(name.clone(), value.clone());
        }
    }
    Ok(())
}

/// Returns whether a custom attribute can have this name.
pub(crate) fn is_attribute_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|letter| FORBIDDEN.contains(letter))
}

/// Joins the given companies (or leaves them, with `remove`) and sets the given names.
fn companies(people: &mut People, user: &mut User, data: &Map<String, Value>, now_s: i64) -> Result<(), Refusal> {
    const WRONG: Refusal = Refusal::FieldType { field: "companies" };
    let given = match data.get("companies") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(given)) => given,
        Some(_) => return Err(WRONG),
    };
    let mut wishes = Vec::new();
    for company in given {
        let company = company.as_object().ok_or(WRONG)?;
        let company_id = text(company, "company_id")?.filter(|id| !id.is_empty()).ok_or(WRONG)?;
        let name = text(company, "name")?;
        let remove = company.get("remove") == Some(&Value::Bool(true));
        wishes.push((company_id, name, remove));
    }
    for (company_id, name, remove) in wishes {
        let place = people.company(company_id, name, now_s);
        user.companies.retain(|member| !(remove && *member == place));
        if !remove && !user.companies.contains(&place) {
            user.companies.push(place);
        }
    }
    Ok(())
}
