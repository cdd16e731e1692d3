//! JSON of a contact: a user of 1.x with the names and forms of 2.x (answers of API 2.3 recorded in
//! 2021, documentation of later versions).

use serde_json::{Map, Value, json};
use strum::{EnumString, IntoStaticStr};

use crate::contacts::ContactOptions;
use crate::contacts::options::CustomObject;
use crate::version::Version;

/// A contact shows at most this many of its companies.
const COMPANIES_SHOWN: usize = 10;
/// Fields that a contact of this workspace never has.
const EMPTY: [&str; 22] = [
    "last_replied_at",
    "last_contacted_at",
    "last_email_opened_at",
    "last_email_clicked_at",
    "browser",
    "browser_version",
    "browser_language",
    "os",
    "android_app_name",
    "android_app_version",
    "android_device",
    "android_os_version",
    "android_sdk_version",
    "android_last_seen_at",
    "ios_app_name",
    "ios_app_version",
    "ios_device",
    "ios_os_version",
    "ios_sdk_version",
    "ios_last_seen_at",
    "language_override",
    "referrer",
];
/// Fields of later versions, which are empty here, too.
const LATER: [&str; 5] = ["utm_campaign", "utm_content", "utm_medium", "utm_source", "utm_term"];
/// The first version with them.
const LATER_FROM: Version = Version::V2_16;

/// The two roles of contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub(crate) enum Role {
    User,
    Lead,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

/// The form of a contact in an answer.
#[derive(Clone, Copy)]
pub(crate) struct Form<'a> {
    pub(crate) version: Version,
    /// The answer comes from the search index.
    pub(crate) indexed: bool,
    pub(crate) options: &'a ContactOptions,
}

impl Form<'_> {
    /// Returns the contact of a user of 1.x.
    pub(crate) fn contact(self, mut user: Value, role: Role) -> Value {
        let mut take = |field: &str| user.get_mut(field).map(Value::take).unwrap_or_default();
        let id = take("id");
        let companies = companies(&take("companies"), &id);
        let link = |what: &str| format!("/contacts/{}/{what}", id.as_str().unwrap_or_default());
        let list =
            |what: &str| json!({"type": "list", "data": [], "url": link(what), "total_count": 0, "has_more": false});
        let mut email = take("email");
        if self.indexed && email == "" {
            email = Value::Null;
        }
        let domain = email.as_str().and_then(|email| Some(email.split_once('@')?.1.to_owned()));
        let phone = take("phone");
        let mut body = json!({
            "type": "contact",
            "external_id": take("user_id"),
            "role": role.name(),
            "email": email,
            "phone": phone,
            "name": take("name"),
            "avatar": take("avatar"),
            "workspace_id": take("app_id"),
            "owner_id": self.owner(take("owner_id")),
            "social_profiles": {"type": "list", "data": []},
            "has_hard_bounced": false,
            "marked_email_as_spam": false,
            "unsubscribed_from_emails": take("unsubscribed_from_emails"),
            "created_at": take("created_at"),
            "updated_at": take("updated_at"),
            "signed_up_at": take("signed_up_at"),
            "last_seen_at": take("last_request_at"),
            "location": self.location(&take("location_data")),
            "custom_attributes": self.attributes(take("custom_attributes")),
            "tags": list("tags"),
            "notes": list("notes"),
            "companies": companies,
        });
        for field in EMPTY {
            body[field] = take(field);
        }
        if self.version >= LATER_FROM {
            body["formatted_phone"] = phone;
            body["email_domain"] = domain.into();
            body["enabled_push_messaging"] = Value::Null;
            for field in LATER {
                body[field] = take(field);
            }
        }
        body["id"] = id;
        body
    }

    /// Returns `owner_id` in the version's type: an integer up to 2.15, then a text.
    fn owner(self, owner: Value) -> Value {
        match owner {
            Value::Number(owner) if self.version >= Version::V2_16 => owner.to_string().into(),
            Value::String(owner) if self.version < Version::V2_16 => {
                owner.parse::<i64>().map_or(Value::String(owner), Value::from)
            }
            owner => owner,
        }
    }

    fn location(self, old: &Value) -> Value {
        let part = |field: &str| old.get(field).cloned().unwrap_or_default();
        let mut location = json!({
            "type": "location",
            "country": part("country_name"),
            "region": part("region_name"),
            "city": part("city_name"),
        });
        if self.version >= LATER_FROM {
            location["country_code"] = part("country_code");
            location["continent_code"] = part("continent_code");
        }
        location
    }

    /// Adds the relationship with a custom object.
    fn attributes(self, mut attributes: Value) -> Value {
        if let (Some(CustomObject { name, .. }), Some(attributes)) =
            (&self.options.custom_object, attributes.as_object_mut())
        {
            attributes.insert(name.clone(), json!({"type": format!("{name}.list"), "instances": []}));
        }
        attributes
    }
}

/// Returns a page of the scroll of companies in the form of 2.x.
pub(crate) fn company_page(mut old: Value) -> Value {
    let mut take = |field: &str| old.get_mut(field).map(Value::take).unwrap_or_default();
    json!({
        "type": "list", "data": take("companies"), "pages": null, "total_count": null,
        "scroll_param": take("scroll_param"),
    })
}

/// Returns the companies without name and `company_id`, and no more than ten.
fn companies(old: &Value, contact: &Value) -> Value {
    let all: &[Value] = old.get("companies").and_then(Value::as_array).map_or(&[], Vec::as_slice);
    let short = |company: &Value| {
        let id = company.get("id").cloned().unwrap_or_default();
        let url = format!("/companies/{}", id.as_str().unwrap_or_default());
        let short = [("id", id), ("type", "company".into()), ("url", url.into())];
        Value::Object(short.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
    };
    json!({
        "type": "list",
        "data": all.iter().take(COMPANIES_SHOWN).map(short).collect::<Vec<_>>(),
        "url": format!("/contacts/{}/companies", contact.as_str().unwrap_or_default()),
        "total_count": all.len(),
        "has_more": all.len() > COMPANIES_SHOWN,
    })
}
