//! One user in compact form: fields that no update depends on are computed for the body.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::chance::mixed;

/// A user's or company's id: 24 hexadecimal digits. The first eight are the second of its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id([u8; 12]);

impl Id {
    pub(crate) fn new(made_at_s: i64, rest: u64) -> Self {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&(made_at_s as u32).to_be_bytes());
        bytes[4..].copy_from_slice(&rest.to_be_bytes());
        Self(bytes)
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() != 24 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut bytes = [0; 12];
        for (byte, digits) in bytes.iter_mut().zip((0..24).step_by(2)) {
            *byte = u8::from_str_radix(text.get(digits..digits + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Returns the part after the second of creation.
    pub(crate) fn rest(self) -> u64 {
        self.0[4..].iter().fold(0, |rest, byte| rest << 8 | u64::from(*byte))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The forms of an avatar.
#[derive(Clone, Debug)]
pub(crate) enum Avatar {
    /// A picture that the user or a social network supplied.
    Upload,
    /// No picture, and yet a URL: Gravatar's drawing.
    Identicon,
    /// `{"type":"avatar","image_url":null}`.
    NoUrl,
    /// `null`, as the 2.x interface has it.
    Null,
    /// The field is missing.
    Absent,
    /// A value that a test set.
    Set(Box<Value>),
}

/// A company with members.
#[expect(clippy::struct_field_names, reason = "the names are Intercom's")]
pub(crate) struct Company {
    pub(crate) id: Id,
    pub(crate) company_id: String,
    pub(crate) name: String,
}

impl Company {
    pub(crate) fn body(&self) -> Value {
        json!({"type": "company", "company_id": self.company_id, "id": self.id.to_string(), "name": self.name})
    }
}

/// A user as stored.
#[expect(clippy::struct_field_names, reason = "the names are Intercom's")]
#[derive(Clone)]
pub(crate) struct User {
    /// The user's number; all fields that are not stored follow from it.
    pub(crate) number: u32,
    pub(crate) user_id: Option<Box<str>>,
    pub(crate) email: Option<Box<str>>,
    pub(crate) name: Option<Box<str>>,
    pub(crate) phone: Option<Box<str>>,
    pub(crate) avatar: Avatar,
    /// Indexes in the workspace's list of companies.
    pub(crate) companies: Vec<u32>,
    pub(crate) custom_attributes: Map<String, Value>,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) unsubscribed: bool,
    /// The body of a file: all fields without their own storage.
    pub(crate) given: Option<Arc<Map<String, Value>>>,
    /// Fields that a test set to any shape; they replace the others.
    pub(crate) odd: Option<Box<Map<String, Value>>>,
}

impl User {
    /// Returns the user's JSON of 1.x (documentation of "create or update user", 1.0 to 1.4).
    pub(crate) fn body(&self, id: Id, app_id: &str, companies: &[Company]) -> Value {
        let companies: Vec<Value> =
            self.companies.iter().filter_map(|at| companies.get(*at as usize)).map(Company::body).collect();
        let mut body = match &self.given {
            Some(given) => self.given_body(given, &companies),
            None => self.made_body(id, app_id, &companies),
        };
        if let Some(avatar) = self.avatar_body() {
            body["avatar"] = avatar;
        }
        for (field, value) in self.odd.iter().flat_map(|odd| odd.iter()) {
            body[field.as_str()] = value.clone();
        }
        body
    }

    /// Returns the body of a file, with stored fields replaced.
    fn given_body(&self, given: &Map<String, Value>, companies: &[Value]) -> Value {
        let mut body = given.clone();
        let texts = [("user_id", &self.user_id), ("email", &self.email), ("name", &self.name), ("phone", &self.phone)];
        for (field, text) in texts {
            if text.is_some() || body.contains_key(field) {
                body.insert(field.to_owned(), json!(text));
            }
        }
        body.insert("companies".to_owned(), json!({"type": "company.list", "companies": companies}));
        body.insert("updated_at".to_owned(), self.updated_at.into());
        body.insert("unsubscribed_from_emails".to_owned(), self.unsubscribed.into());
        body.insert("custom_attributes".to_owned(), self.custom_attributes.clone().into());
        Value::Object(body)
    }

    /// Returns the body of a generated user.
    fn made_body(&self, id: Id, app_id: &str, companies: &[Value]) -> Value {
        let seen = !self.number.is_multiple_of(3);
        json!({
            "type": "user", "id": id.to_string(), "user_id": self.user_id, "anonymous": false,
            "email": self.email, "phone": self.phone, "name": self.name, "pseudonym": null,
            "app_id": app_id,
            "companies": {"type": "company.list", "companies": companies},
            "location_data": self.location(),
            "last_request_at": seen.then_some(self.created_at + 86_400),
            "last_seen_ip": seen.then(|| format!("192.0.2.{}", self.number % 255)),
            "created_at": self.created_at, "remote_created_at": self.created_at,
            "signed_up_at": self.created_at, "updated_at": self.updated_at,
            "session_count": self.number % 40,
            "social_profiles": {"type": "social_profile.list", "social_profiles": []},
            "unsubscribed_from_emails": self.unsubscribed,
            "user_agent_data": seen.then_some("Mozilla/5.0 (X11; Linux x86_64)"),
            "tags": {"type": "tag.list", "tags": []},
            "segments": {"type": "segment.list", "segments": []},
            "custom_attributes": self.custom_attributes,
        })
    }

    fn avatar_body(&self) -> Option<Value> {
        let hash = mixed(u64::from(self.number));
        let url = match &self.avatar {
            Avatar::Upload => json!(format!("https://static.example.com/avatars/{hash:016x}/square_128.jpg")),
            Avatar::Identicon => {
                let second = mixed(hash);
                json!(format!("https://secure.gravatar.com/avatar/{hash:016x}{second:016x}?s=24&d=identicon"))
            }
            Avatar::NoUrl => Value::Null,
            Avatar::Null => return Some(Value::Null),
            Avatar::Absent => return None,
            Avatar::Set(body) => return Some((**body).clone()),
        };
        Some(json!({"type": "avatar", "image_url": url}))
    }

    fn location(&self) -> Value {
        if self.number.is_multiple_of(7) {
            return json!({"type": "location_data"});
        }
        let (city, continent, country, name, latitude, longitude, timezone) = match self.number % 3 {
            0 => ("Dublin", "EU", "IRL", "Ireland", 53.159_233, -6.723, "Europe/Dublin"),
            1 => ("São Paulo", "SA", "BRA", "Brazil", -23.55, -46.63, "America/Sao_Paulo"),
            _ => ("Osaka", "AS", "JPN", "Japan", 34.69, 135.5, "Asia/Tokyo"),
        };
        json!({
            "type": "location_data", "city_name": city, "continent_code": continent, "country_code": country,
            "country_name": name, "latitude": latitude, "longitude": longitude, "postal_code": null,
            "region_name": city, "timezone": timezone,
        })
    }
}
