//! Writes of contacts. The values go through the write of 1.x, so both APIs store them alike.

use serde_json::{Map, Value, json};

use crate::bulk::{Item, Method};
use crate::contacts::Scene;
use crate::contacts::body::Role;
use crate::contacts::options::{BulkNull, Verdict};
use crate::upsert;
use crate::user::{Avatar, Id};
use crate::version::Version;
use crate::wire::{Answer, Refusal};
use crate::work::json_body;
use crate::workspace::{Call, Workspace};

/// Fields that a PUT may set.
const FIELDS: [&str; 14] = [
    "id",
    "role",
    "external_id",
    "email",
    "phone",
    "name",
    "avatar",
    "signed_up_at",
    "last_seen_at",
    "owner_id",
    "unsubscribed_from_emails",
    "custom_attributes",
    "email_verified",
    "language_override",
];
/// Fields that an item of a bulk request may set. All others are dropped silently.
const BULK_FIELDS: [&str; 10] = [
    "external_id",
    "email",
    "name",
    "phone",
    "avatar",
    "owner_id",
    "unsubscribed_from_emails",
    "language_override",
    "custom_attributes",
    "companies",
];

/// The request that a change comes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Put,
    Bulk,
}

/// A change of a contact, after all checks.
struct Change {
    /// The data of 1.x.
    data: Map<String, Value>,
    avatar: Option<Avatar>,
    /// Fields that a user of 1.x stores as they are.
    odd: Map<String, Value>,
    cleared_email: bool,
    to_user: bool,
}

impl Workspace {
    pub(crate) fn contact_put(&mut self, id: &str, call: &Call<'_>, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let body: Value = serde_json::from_slice(json_body(call)?).map_err(|_| Refusal::NotJson)?;
        let data = body.as_object().ok_or(Refusal::FieldType { field: "body" })?;
        self.goes(id, scene.options);
        let struck = self.mishap(&[Item { method: Method::Put, data: known_by(id) }], scene.options);
        struck.inspect_err(|_| self.contacts.state.refused += 1)?;
        let outcome =
            self.reachable(id, scene, true).and_then(|id| self.change(id, data, scene, Way::Put).map(|()| id));
        let id = outcome.inspect_err(|_| self.contacts.state.refused += 1)?;
        self.contacts.state.written += 1;
        let body = self.contact(id, scene.form(false)).ok_or(Refusal::Internal)?;
        self.after_a_write(id, data, scene.options);
        Ok(Answer::json(200, body))
    }

    /// Applies all of the data or nothing.
    pub(crate) fn change(
        &mut self,
        id: Id,
        data: &Map<String, Value>,
        scene: Scene<'_>,
        way: Way,
    ) -> Result<(), Refusal> {
        let lead = self.contacts.leads.get(id).is_some();
        let change = self.checked(id, lead, data, scene, way)?;
        let now_s = scene.now_s();
        upsert::post(self.home(id), &change.data, now_s, scene.options)?;
        let home = self.home(id);
        let Some(mut user) = home.get(id).cloned() else { return Ok(()) };
        if let Some(avatar) = change.avatar {
            user.avatar = avatar;
        }
        if change.cleared_email && scene.options.contacts.email_null_empty {
            user.email = Some("".into());
        }
        if !change.odd.is_empty() {
            user.odd.get_or_insert_default().extend(change.odd);
        }
        if change.to_user {
            home.remove(id);
        }
        let home = if change.to_user { &mut self.people } else { self.home(id) };
        home.put(id, user);
        Ok(())
    }

    /// Checks the data, and translates them into those of 1.x.
    fn checked(
        &mut self,
        id: Id,
        lead: bool,
        data: &Map<String, Value>,
        scene: Scene<'_>,
        way: Way,
    ) -> Result<Change, Refusal> {
        let options = &scene.options.contacts;
        let mut change = Change {
            data: known_by(&id.to_string()),
            avatar: None,
            odd: Map::new(),
            cleared_email: false,
            to_user: false,
        };
        let verified = data.contains_key("email_verified") && scene.version >= Version::V2_16;
        if way == Way::Put && verified && !data.contains_key("email") {
            return Err(invalid("email_verified can only be set together with email"));
        }
        for (field, value) in data {
            match way {
                Way::Put if !FIELDS.contains(&field.as_str()) => {
                    if options.unknown_field == Verdict::Refused {
                        let message = format!("bad '{field}' parameter");
                        return Err(Refusal::Other { status: 400, code: "bad_request", message });
                    }
                    continue;
                }
                Way::Bulk if !BULK_FIELDS.contains(&field.as_str()) => continue,
                Way::Bulk if value.is_null() && options.bulk_null == BulkNull::Ignored => continue,
                Way::Bulk if value.is_null() && options.bulk_null == BulkNull::Refused => {
                    return Err(invalid(&format!("{field} must not be null")));
                }
                Way::Put | Way::Bulk => {}
            }
            self.field(&mut change, lead, (field, value), scene, way)?;
        }
        self.not_taken(id, &change.data, scene)?;
        Ok(change)
    }

    /// Checks one field, and translates it.
    fn field(
        &mut self,
        change: &mut Change,
        lead: bool,
        (field, value): (&String, &Value),
        scene: Scene<'_>,
        way: Way,
    ) -> Result<(), Refusal> {
        match (field.as_str(), value) {
            // The old `external_id` stays: recorded in 2021.
            ("external_id" | "custom_attributes", Value::Null) => {}
            ("external_id", _) => drop(change.data.insert("user_id".to_owned(), value.clone())),
            ("email", Value::Null) => {
                change.cleared_email = true;
                change.data.insert(field.clone(), Value::Null);
            }
            ("email" | "name" | "phone" | "unsubscribed_from_emails" | "companies", _) => {
                change.data.insert(field.clone(), value.clone());
            }
            ("avatar", Value::Null) => change.avatar = Some(Avatar::Null),
            ("avatar", Value::String(url)) => {
                change.avatar = Some(Avatar::Set(Box::new(json!({"type": "avatar", "image_url": url}))));
            }
            ("avatar", _) => return Err(Refusal::FieldType { field: "avatar" }),
            ("role", Value::String(role)) => match role.parse() {
                Ok(Role::User) => change.to_user = lead,
                Ok(Role::Lead) if lead => {}
                Ok(Role::Lead) => {
                    let message = "Contact with user role can't be converted to a lead".to_owned();
                    return Err(Refusal::Other { status: 400, code: "client_error", message });
                }
                Err(_) => return Err(invalid("role must be user or lead")),
            },
            ("role", _) => return Err(Refusal::FieldType { field: "role" }),
            ("signed_up_at" | "last_seen_at", _) => {
                if !value.is_null() && !value.is_i64() {
                    return Err(invalid(&format!("{field} must be a Unix time in seconds")));
                }
                let old = if field == "last_seen_at" { "last_request_at" } else { field };
                change.odd.insert(old.to_owned(), value.clone());
            }
            ("owner_id", _) => drop(change.odd.insert(field.clone(), owner(value, scene)?)),
            ("language_override", Value::String(code)) if code.len() == 2 => {
                change.odd.insert(field.clone(), value.clone());
            }
            ("language_override", _) => drop(change.odd.insert(field.clone(), Value::Null)),
            ("custom_attributes", Value::Object(given)) => {
                let accepted = self.accepted(given, scene, way)?;
                change.data.insert(field.clone(), accepted.into());
            }
            ("custom_attributes", _) => return Err(Refusal::FieldType { field: "custom_attributes" }),
            _ => {}
        }
        Ok(())
    }

    /// Returns the custom attributes that a write may store.
    fn accepted(
        &mut self,
        given: &Map<String, Value>,
        scene: Scene<'_>,
        way: Way,
    ) -> Result<Map<String, Value>, Refusal> {
        self.contacts.attributes.compare([&self.people, &self.contacts.leads], scene.now_ms);
        self.remove_attributes(scene);
        let mut accepted = self.contacts.attributes.accept(given, &scene.options.contacts, scene.now_ms)?;
        match scene.options.contacts.bulk_null {
            BulkNull::Ignored if way == Way::Bulk => accepted.retain(|_, value| !value.is_null()),
            BulkNull::Refused if way == Way::Bulk && accepted.values().any(Value::is_null) => {
                return Err(invalid("custom attributes must not be null"));
            }
            _ => {}
        }
        Ok(accepted)
    }

    /// Refuses the identifiers of another contact, archived ones included.
    fn not_taken(&mut self, id: Id, data: &Map<String, Value>, scene: Scene<'_>) -> Result<(), Refusal> {
        let text = |field: &str| data.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let email = text("email").filter(|_| scene.options.contacts.email_taken == Verdict::Refused);
        let user_id = text("user_id");
        let home = self.home(id);
        let holders = [home.find(user_id, None), email.and_then(|email| home.find(None, Some(email)))];
        if let Some(holder) = holders.into_iter().flatten().find(|holder| *holder != id) {
            return Err(taken("A contact", holder));
        }
        let is = |own: &Option<Box<str>>, given: Option<&str>| given.is_some() && own.as_deref() == given;
        let archived = self.contacts.archived.iter();
        let holder = archived.into_iter().find(|(_, (_, user))| is(&user.user_id, user_id) || is(&user.email, email));
        holder.map_or(Ok(()), |(holder, _)| Err(taken("An archived contact", *holder)))
    }
}

/// Returns the data that identify a contact.
fn known_by(id: &str) -> Map<String, Value> {
    Map::from_iter([("id".to_owned(), id.into())])
}

/// Returns the owner as a number: 2.16 and later take a text, and earlier versions an integer.
fn owner(value: &Value, scene: Scene<'_>) -> Result<Value, Refusal> {
    let text = scene.version >= Version::V2_16;
    let owner = match value {
        Value::Null => return Ok(Value::Null),
        Value::String(owner) if text => owner.parse().ok(),
        Value::Number(owner) if !text => owner.as_i64(),
        _ => return Err(Refusal::FieldType { field: "owner_id" }),
    };
    let owner = owner.filter(|owner| scene.options.contacts.teammates.contains(owner));
    owner.map(Value::from).ok_or_else(|| invalid("The owner specified is not a member of the workspace"))
}

pub(crate) fn invalid(message: &str) -> Refusal {
    Refusal::Other { status: 400, code: "parameter_invalid", message: message.to_owned() }
}

pub(crate) fn taken(who: &str, holder: Id) -> Refusal {
    let message = format!("{who} matching those details already exists with id={holder}");
    Refusal::Other { status: 409, code: "conflict", message }
}
