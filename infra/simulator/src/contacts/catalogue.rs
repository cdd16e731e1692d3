//! `/data_attributes`: the attributes of contacts and companies.

use serde_json::{Map, Value, json};

use crate::contacts::Scene;
use crate::contacts::attributes::{Attribute, DataType, Entry};
use crate::contacts::options::CustomObject;
use crate::contacts::write::invalid;
use crate::upsert::is_attribute_name;
use crate::version::Version;
use crate::wire::{Answer, Refusal};
use crate::work::json_body;
use crate::workspace::{Call, Workspace};

/// The greatest number of custom attributes.
const LIMIT: usize = 250;
/// The standard attributes of a contact: name, label, type, and whether the API can write it.
const STANDARD: [(&str, &str, &str, bool); 14] = [
    ("role", "Role", "string", true),
    ("id", "ID", "string", false),
    ("external_id", "External ID", "string", true),
    ("email", "Email", "string", true),
    ("phone", "Phone", "string", true),
    ("name", "Name", "string", true),
    ("avatar", "Avatar", "string", true),
    ("owner_id", "Owner", "integer", true),
    ("unsubscribed_from_emails", "Unsubscribed from Emails", "boolean", true),
    ("created_at", "Created at", "date", false),
    ("updated_at", "Updated at", "date", false),
    ("signed_up_at", "Signed up", "date", true),
    ("last_seen_at", "Last seen", "date", true),
    ("location.country", "Country", "string", false),
];
/// The id of the relationship with a custom object, below those of other attributes.
const RELATIONSHIP_ID: u64 = 8_104_116;
/// Attributes of companies. Contacts cannot have custom attributes of these names.
const OF_COMPANIES: [&str; 2] = ["company_id", "monthly_spend"];

impl Workspace {
    pub(crate) fn attribute_list(&mut self, call: &Call<'_>, scene: Scene<'_>) -> Result<Answer, Refusal> {
        self.contacts.attributes.compare([&self.people, &self.contacts.leads], scene.now_ms);
        let model = call.query.get("model").map(String::as_str);
        let archived = call.query.get("include_archived").is_some_and(|value| value == "true");
        let mut data = Vec::new();
        if model == Some("conversation") && scene.version >= Version::V2_16 {
            let message = "model=conversation is no longer supported. Use GET /conversations/attributes instead";
            return Err(Refusal::Other { status: 422, code: "parameter_invalid", message: message.to_owned() });
        }
        if model.is_none_or(|model| model == "contact") {
            data.extend(STANDARD.iter().map(|standard| standard_body(*standard, "contact", scene.version)));
            let entries = self.contacts.attributes.list.iter();
            let listed = entries.filter(|entry| {
                !entry.removed && scene.now_ms >= entry.exists_at_ms && (archived || !entry.attribute.archived)
            });
            data.extend(listed.map(body));
            data.extend(scene.options.contacts.custom_object.as_ref().map(relationship_body));
        }
        if model.is_none_or(|model| model == "company") {
            let company =
                OF_COMPANIES.map(|name| standard_body((name, name, "string", true), "company", scene.version));
            data.extend(company);
        }
        Ok(Answer::json(200, json!({"type": "list", "data": data})))
    }

    pub(crate) fn attribute_add(&mut self, call: &Call<'_>, scene: Scene<'_>) -> Result<Answer, Refusal> {
        self.contacts.attributes.compare([&self.people, &self.contacts.leads], scene.now_ms);
        let given = object(call)?;
        let text = |field: &str| given.get(field).and_then(Value::as_str);
        let name = text("name").ok_or(Refusal::Other {
            status: 400,
            code: "parameter_not_found",
            message: "Name can't be blank".to_owned(),
        })?;
        if !is_attribute_name(name) {
            return Err(Refusal::AttributeName);
        }
        if !matches!(text("model"), Some("contact" | "company")) {
            return Err(invalid("The Data Attribute model field must be either contact or company"));
        }
        let list = text("data_type") == Some("options");
        let data_type = if list { Ok(DataType::String) } else { text("data_type").unwrap_or_default().parse() };
        let data_type = data_type.map_err(|_| invalid("Data Type isn't an option"))?;
        let options = options(&given)?;
        if list && options.len() < 2 {
            return Err(invalid("The Data Attribute options field must have at least two values"));
        }
        let entries = &self.contacts.attributes.list;
        let known = |entry: &&Entry| !entry.removed && entry.attribute.name == name;
        if entries.iter().any(|entry| known(&entry)) {
            return Err(in_use(name, "people"));
        }
        if OF_COMPANIES.contains(&name) {
            return Err(in_use(name, "company"));
        }
        if entries.iter().filter(|entry| !entry.removed && !entry.attribute.archived).count() >= LIMIT {
            return Err(Refusal::AttributeLimit);
        }
        let attribute = Attribute { name: name.to_owned(), data_type, options, ..Attribute::default() };
        let exists_at_ms = scene.now_ms + scene.options.contacts.attribute_after_s as i64 * 1000;
        let description = text("description").map(str::to_owned);
        let place = self.contacts.attributes.add(attribute, description, scene.now_ms, exists_at_ms);
        Ok(Answer::json(200, body(&self.contacts.attributes.list[place])))
    }

    pub(crate) fn attribute_change(&mut self, id: &str, call: &Call<'_>) -> Result<Answer, Refusal> {
        let given = object(call)?;
        let entry = self.contacts.attributes.list.iter_mut().find(|entry| !entry.removed && entry.id.to_string() == id);
        let entry = entry.ok_or(Refusal::Other {
            status: 404,
            code: "field_not_found",
            message: "We couldn't find that data attribute to update".to_owned(),
        })?;
        let options = options(&given)?;
        if let Some(archived) = given.get("archived").and_then(Value::as_bool) {
            entry.attribute.archived = archived;
        }
        if let Some(description) = given.get("description").and_then(Value::as_str) {
            entry.description = Some(description.to_owned());
        }
        if !options.is_empty() {
            entry.attribute.options = options;
        }
        Ok(Answer::json(200, body(entry)))
    }
}

fn object(call: &Call<'_>) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(json_body(call)?).map_err(|_| Refusal::NotJson)? {
        Value::Object(object) => Ok(object),
        _ => Err(Refusal::FieldType { field: "body" }),
    }
}

/// Reads the options of a list: `[{"value": "1-10"}, …]`.
fn options(given: &Map<String, Value>) -> Result<Vec<String>, Refusal> {
    let list = match given.get("options") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => return Err(invalid("Options isn't an array")),
    };
    let value = |option: &Value| option.get("value")?.as_str().map(str::to_owned);
    list.iter().map(value).collect::<Option<_>>().ok_or_else(|| invalid("Each option must have a value"))
}

fn in_use(name: &str, whose: &str) -> Refusal {
    let other = if whose == "people" { "company" } else { "people" };
    invalid(&format!(
        "You already have '{name}' in your {whose} data. To save this as new {other} data, use a different name."
    ))
}

fn body(entry: &Entry) -> Value {
    let attribute = &entry.attribute;
    let mut body = json!({
        "id": entry.id,
        "type": "data_attribute",
        "name": attribute.name,
        "full_name": format!("custom_attributes.{}", attribute.name),
        "label": attribute.name,
        "data_type": attribute.data_type.name(),
        "api_writable": !attribute.read_only,
        "ui_writable": false,
        "messenger_writable": true,
        "custom": true,
        "archived": attribute.archived,
        "admin_id": "1",
        "created_at": entry.created_at_s,
        "updated_at": entry.created_at_s,
        "model": "contact",
    });
    if let Some(description) = &entry.description {
        body["description"] = description.as_str().into();
    }
    if !attribute.options.is_empty() {
        body["options"] = attribute.options.clone().into();
    }
    body
}

/// Returns the attribute that is a relationship with a custom object.
fn relationship_body(object: &CustomObject) -> Value {
    let name = &object.name;
    json!({
        "id": RELATIONSHIP_ID, "type": "data_attribute", "name": name, "full_name": format!("custom_attributes.{name}"),
        "label": name, "data_type": object.listed_as, "api_writable": true, "ui_writable": true,
        "messenger_writable": false, "custom": true, "archived": false, "model": "contact",
    })
}

/// Returns a standard attribute. It has no id, and from 2.17 on its times are exact.
fn standard_body((name, label, data_type, writable): (&str, &str, &str, bool), model: &str, version: Version) -> Value {
    let data_type = if data_type == "date" && version >= Version::V2_17 { "datetime" } else { data_type };
    json!({
        "type": "data_attribute", "name": name, "full_name": name, "label": label, "data_type": data_type,
        "api_writable": writable, "ui_writable": true, "messenger_writable": writable, "custom": false,
        "archived": false, "model": model,
    })
}
