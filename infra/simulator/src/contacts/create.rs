//! `POST /contacts`.

use serde_json::{Map, Value};

use crate::contacts::Scene;
use crate::contacts::body::Role;
use crate::contacts::options::Verdict;
use crate::contacts::write::{Way, invalid, taken};
use crate::upsert;
use crate::user::{Avatar, Id, User};
use crate::wire::{Answer, Refusal};
use crate::work::json_body;
use crate::workspace::{Call, Workspace};

impl Workspace {
    pub(crate) fn contact_create(&mut self, call: &Call<'_>, scene: Scene<'_>) -> Result<Answer, Refusal> {
        let body: Value = serde_json::from_slice(json_body(call)?).map_err(|_| Refusal::NotJson)?;
        let Value::Object(mut data) = body else { return Err(Refusal::FieldType { field: "body" }) };
        data.retain(|_, value| !value.is_null());
        let role = match data.remove("role") {
            None => Role::User,
            Some(role) => {
                role.as_str().and_then(|role| role.parse().ok()).ok_or_else(|| invalid("role must be user or lead"))?
            }
        };
        let user_id = match role {
            // An id of the request is ignored: recorded in 2021.
            Role::Lead => {
                data.remove("external_id");
                Some(self.contacts.lead_id())
            }
            Role::User => text(&data, "external_id").map(str::to_owned),
        };
        if role == Role::User {
            if user_id.is_none() && text(&data, "email").is_none() {
                return Err(invalid("a user must have an external_id or an email"));
            }
            self.free(user_id.as_deref(), text(&data, "email"), scene)?;
        }
        let stranger =
            User { avatar: Avatar::Null, user_id: user_id.map(Into::into), ..upsert::stranger(scene.now_s()) };
        let home = if role == Role::Lead { &mut self.contacts.leads } else { &mut self.people };
        let id = home.insert(stranger);
        if let Err(refusal) = self.change(id, &data, scene, Way::Put) {
            self.home(id).remove(id);
            return Err(refusal);
        }
        let body = self.contact(id, scene.form(false)).ok_or(Refusal::Internal)?;
        Ok(Answer::json(200, body))
    }

    /// Refuses the identifiers of an existing user.
    fn free(&self, user_id: Option<&str>, email: Option<&str>, scene: Scene<'_>) -> Result<(), Refusal> {
        let by_email = email.and_then(|email| self.people.find(None, Some(email)));
        let by_email = by_email.filter(|_| scene.options.contacts.email_taken == Verdict::Refused);
        let holder: Option<Id> = user_id.and_then(|user_id| self.people.find(Some(user_id), None)).or(by_email);
        holder.map_or(Ok(()), |holder| Err(taken("A contact", holder)))
    }
}

fn text<'a>(data: &'a Map<String, Value>, field: &str) -> Option<&'a str> {
    data.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}
