//! The body of a refusal, in the form that all of Intercom's versions share:
//! `{"type":"error.list","request_id":"…","errors":[{"code":"…","message":"…","field":"…"}]}`.

use serde_json::Value;

use super::headers::clean_request_id;
use crate::domain::partial_json::Projection;
use crate::domain::redact::{redact, redact_to};

/// The most characters of a code; the longest documented one has 27.
const CODE_CHARS_MAX: usize = 64;
/// The most characters of a field: an attribute's name has up to 190.
const FIELD_CHARS_MAX: usize = 210;

/// The parsed body of a refusal. Fields are empty if the body has another form: load balancers
/// answer with HTML or without a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::intercom) struct Envelope {
    pub(in crate::intercom) code: Box<str>,
    pub(in crate::intercom) message: Box<str>,
    pub(in crate::intercom) field: Option<Box<str>>,
    pub(in crate::intercom) request_id: Option<Box<str>>,
}

impl Envelope {
    /// Reads any bytes.
    pub(in crate::intercom) fn read(body: &[u8]) -> Self {
        let Ok(body) = Projection::Whole.read(body) else {
            return Self::default();
        };
        let first = match body.get("errors") {
            Some(errors) => errors.get(0).unwrap_or(&Value::Null),
            None => &body,
        };
        let request_id = body.get("request_id").and_then(Value::as_str);
        Self {
            code: code(first).into(),
            message: message(first).into(),
            field: field(first),
            request_id: request_id.and_then(clean_request_id),
        }
    }
}

/// Returns the code of an error object; older errors call it `type`.
pub(in crate::intercom) fn code(error: &Value) -> String {
    let code = ["code", "type"].iter().find_map(|key| error.get(key)?.as_str().filter(|code| !code.is_empty()));
    redact_to(code.unwrap_or_default(), CODE_CHARS_MAX)
}

/// Returns the redacted message of an error object.
pub(in crate::intercom) fn message(error: &Value) -> String {
    redact(error.get("message").and_then(Value::as_str).unwrap_or_default())
}

/// Returns the field that an error object names.
fn field(error: &Value) -> Option<Box<str>> {
    let field = error.get("field").and_then(Value::as_str).filter(|field| !field.is_empty())?;
    Some(redact_to(field, FIELD_CHARS_MAX).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> (String, String, Option<String>) {
        let Envelope { code, message, request_id, .. } = Envelope::read(body.as_bytes());
        (code.into(), message.into(), request_id.map(Into::into))
    }

    #[test]
    fn code_message_and_request_id_are_read() {
        let body = r#"{"type":"error.list","request_id":"002je5a3asm5btar2flg","errors":[{"code":"scroll_exists","message":"scroll already exists for this workspace"}]}"#;
        let (code, message, id) = read(body);
        assert_eq!((code.as_str(), id.as_deref()), ("scroll_exists", Some("002je5a3asm5btar2flg")));
        assert_eq!(message, "scroll already exists for this workspace");
    }

    #[test]
    fn field_is_read_if_the_error_names_one() {
        let field = |body: &str| Envelope::read(body.as_bytes()).field.map(String::from);
        assert_eq!(
            field(r#"{"errors":[{"code":"x","field":"custom_attributes.plan"}]}"#).as_deref(),
            Some("custom_attributes.plan")
        );
        for none in
            [r#"{"errors":[{"code":"x"}]}"#, r#"{"errors":[{"field":null}]}"#, r#"{"errors":[{"field":""}]}"#, "7"]
        {
            assert_eq!(field(none), None, "{none}");
        }
    }

    #[test]
    fn older_errors_have_a_type_and_no_request_id() {
        let (code, _, id) = read(r#"{"errors":[{"code":null,"type":"not_found","message":7}],"request_id":5}"#);
        assert_eq!((code.as_str(), id), ("not_found", None));
    }

    #[test]
    fn other_bodies_are_empty_envelopes() {
        let deep = "[".repeat(100_000);
        for body in [
            "",
            "<html>503</html>",
            "{\"errors\":[{\"code\":",
            "null",
            "7",
            "[]",
            "{\"errors\":{}}",
            "{\"type\":\"error.list\",\"errors\":[]}",
            "1e999",
            &deep,
        ] {
            assert_eq!(read(body), (String::new(), String::new(), None), "{body:.20}");
        }
        assert_eq!(Envelope::read(b"\xff\xfe{\"code\":\"x\"}"), Envelope::default());
    }
}
