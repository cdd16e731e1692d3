//! The body of an answer as JSON.

use serde_json::Value;

use crate::domain::partial_json::Projection;

/// The reason why the body of a 2xx is unreadable. It is a fixed text, because a parser's own
/// message may quote a user's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::intercom) struct UnreadableBody(pub(in crate::intercom) &'static str);

/// Parses the body as a JSON object.
pub(in crate::intercom) fn object(body: &[u8]) -> Result<Value, UnreadableBody> {
    object_of(body, &Projection::Whole)
}

/// Parses a projection of the body, which must be a JSON object.
pub(in crate::intercom) fn object_of(body: &[u8], keep: &Projection) -> Result<Value, UnreadableBody> {
    if body.is_empty() {
        return Err(UnreadableBody("its body is empty"));
    }
    match keep.read(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(UnreadableBody("its body is not a JSON object")),
        Err(_) => Err(UnreadableBody("its body is not JSON, or is cut off")),
    }
}
