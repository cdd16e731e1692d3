//! Refusals with Intercom's texts. Each text comes from Intercom's documentation, its clients'
//! fixtures or public threads. If none is known, it is the newer bulk API's (`/contacts/bulk`,
//! 2026).

use std::borrow::Cow;

use serde_json::{Value, json};

/// One refusal: an answer's status and error, or an item's error in a job's feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotAcceptable,
    TokenUnauthorized,
    TokenRevoked,
    PaymentNeeded,
    Forbidden,
    VersionInvalid,
    RateLimited {
        limit: u32,
    },
    RouteNotFound,
    BodyTooLarge,
    ContentType,
    NotJson,
    ScrollExists,
    ScrollNotFound,
    RestartScroll,
    Internal,
    PageLimit,
    PageInvalid,
    UserNotFound,
    ItemsMissing,
    ItemsNotArray,
    ItemsEmpty,
    TooManyItems,
    ItemNotObject,
    ItemMethod,
    ItemDataType,
    Unidentified,
    BadItem,
    Poison {
        status: u16,
    },
    JobNotFound {
        id: String,
    },
    JobClosed {
        id: String,
    },
    EmailInvalid,
    ValueType,
    TextTooLong {
        name: String,
    },
    AttributeName,
    AttributeLimit,
    FieldType {
        field: &'static str,
    },
    Conflict,
    Injected {
        code: String,
        message: String,
    },
    /// A refusal of API 2.x.
    Other {
        status: u16,
        code: &'static str,
        message: String,
    },
    /// Another contact took the place of this one.
    ContactMerged {
        into: String,
    },
}

impl Refusal {
    /// Returns status, code and message.
    pub(crate) fn parts(&self) -> (u16, Cow<'_, str>, Cow<'_, str>) {
        let (status, code, message) = match self {
            Self::RateLimited { limit } => {
                (429, "rate_limit_exceeded", format!("Exceeded rate limit of {limit} in 10_seconds").into())
            }
            Self::JobNotFound { id } => (404, "job_not_found", format!("job {id} not found").into()),
            Self::JobClosed { id } => (403, "forbidden", format!("job {id} is closed for new task updates").into()),
            Self::TextTooLong { name } => {
                (400, "parameter_invalid", format!("{name} is longer than 255 characters").into())
            }
            Self::FieldType { field } => (400, "type_mismatch", format!("{field} has the wrong type").into()),
            Self::Poison { status } => {
                let (code, message) = match status {
                    404 => ("not_found", "User Not Found"),
                    409 => ("unique_user_constraint", "another user has this email or user_id"),
                    410 => ("contact_merged", "Contact was merged"),
                    422 => ("parameter_invalid", "an item of the request is invalid"),
                    423 => ("locked", "the user is locked"),
                    _ => ("server_error", "Server Error"),
                };
                (*status, code, message.into())
            }
            Self::Injected { code, message } => (400, code.as_str(), message.into()),
            Self::Other { status, code, message } => (*status, *code, message.into()),
            Self::ContactMerged { .. } => (
                410,
                "contact_merged",
                "This contact has been merged. See the 'Link' header for the canonical contact.".into(),
            ),
            plain => {
                let (status, code, message) = plain.plain_parts();
                (status, code, message.into())
            }
        };
        (status, code.into(), message)
    }

    fn plain_parts(&self) -> (u16, &'static str, &'static str) {
        match self {
            Self::NotAcceptable => {
                (406, "media_type_not_acceptable", "The Accept header should send a media type of application/json")
            }
            Self::TokenUnauthorized => (401, "token_unauthorized", "Not authorized to access resource"),
            Self::TokenRevoked => (401, "token_revoked", "Not authorized to access resource"),
            Self::PaymentNeeded => (402, "api_plan_restricted", "Active subscription needed."),
            Self::Forbidden => (403, "forbidden", "Forbidden"),
            Self::VersionInvalid => {
                (400, "intercom_version_invalid", "Requested resource is not available in current API version.")
            }
            Self::RouteNotFound => (404, "not_found", "The requested resource was not found"),
            Self::BodyTooLarge => (413, "client_error", "Request Entity Too Large"),
            Self::ContentType => (415, "unsupported", "The Content-Type header should be application/json"),
            Self::NotJson => (400, "bad_request", "The request body is not valid JSON"),
            Self::ScrollExists => (400, "scroll_exists", "scroll already exists for this workspace"),
            Self::ScrollNotFound => (404, "not_found", "scroll parameter not found"),
            Self::RestartScroll => (
                500,
                "server_error",
                "Request failed due to an internal network error. Please restart the scroll operation.",
            ),
            Self::PageLimit => (400, "bad_request", "page limit reached, please use scroll API"),
            Self::PageInvalid => (400, "parameter_invalid", "page and per_page must be numbers from 1"),
            Self::UserNotFound => (404, "not_found", "User Not Found"),
            Self::ItemsMissing => (422, "field_not_found", "items field must be supplied"),
            Self::ItemsNotArray => (422, "type_mismatch", "items must be an array"),
            Self::ItemsEmpty => (422, "parameter_invalid", "items must not be empty"),
            Self::TooManyItems => (422, "parameter_invalid", "maximum number of items per request is 100"),
            Self::ItemNotObject => (422, "type_mismatch", "each item must be an object"),
            Self::ItemMethod => (400, "parameter_invalid", "method must be post or delete"),
            Self::ItemDataType => (400, "parameter_invalid", "data_type must be user"),
            Self::Unidentified => (422, "field_not_found", "users must be identified by id, user_id or email"),
            Self::BadItem => (400, "parameter_invalid", "an item of the request is invalid"),
            Self::EmailInvalid => (400, "invalid", "email invalid"),
            Self::ValueType => (400, "bad_request", "Value:  not of type Numeric, String or Boolean"),
            Self::AttributeName => (
                400,
                "parameter_invalid",
                "Your name for this attribute must only contain alphanumeric characters, currency symbols, and hyphens",
            ),
            Self::AttributeLimit => (400, "custom_data_limit_reached", "the workspace has 250 custom attributes"),
            Self::Conflict => (409, "unique_user_constraint", "another user has this email or user_id"),
            _ => (500, "server_error", "An internal server error occurred"),
        }
    }

    /// Returns the `Link` header.
    pub(crate) fn link(&self) -> Option<String> {
        match self {
            Self::ContactMerged { into } => Some(format!("</contacts/{into}>; rel=\"canonical\"")),
            _ => None,
        }
    }

    /// Returns Intercom's error list. Only the 406 has no request id.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let (_, code, message) = self.parts();
        let errors = json!([{"code": code, "message": message}]);
        if *self == Self::NotAcceptable {
            return json!({"errors": errors, "type": "error.list"});
        }
        json!({"type": "error.list", "request_id": request_id, "errors": errors})
    }
}

/// The answer to a request, before the headers that all answers share.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content: Content,
    pub(crate) rate_headers: RateHeaders,
    /// The delay in addition to the latency.
    pub(crate) delay_ms: u64,
}

/// The rate limit that an answer shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateHeaders {
    /// The window's remaining operations.
    Shown,
    /// Zero remaining operations, regardless of the window.
    Spent,
    /// No headers: without credentials, and sometimes "when we expire them" (documentation of
    /// 2017).
    Missing,
}

/// The body of an answer.
pub(crate) enum Content {
    Json(Value),
    /// The JSON text, or nearly JSON, as it is sent.
    Text(String),
    Refused(Refusal),
    Empty,
    /// The connection closes instead.
    Lost,
}

impl Answer {
    pub(crate) fn new(status: u16, content: Content) -> Self {
        Self { status, content, rate_headers: RateHeaders::Shown, delay_ms: 0 }
    }

    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self::new(status, Content::Json(body))
    }

    pub(crate) fn lost() -> Self {
        Self::new(200, Content::Lost)
    }

    pub(crate) fn with_rate_headers(mut self, rate_headers: RateHeaders) -> Self {
        self.rate_headers = rate_headers;
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.parts().0, Content::Refused(refusal))
    }
}
