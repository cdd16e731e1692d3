//! Admission: checks the Accept header and the credentials, in Intercom's order.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use crate::wire::Refusal;

/// Media types, one of which the Accept header must allow. The last is the Ruby client's.
const MEDIA_TYPES: [&str; 4] = ["application/json", "application/*", "*/*", "application/vnd.intercom.3+json"];

/// Checks that the answer may be JSON. A browser that follows a job's error link is refused here;
/// this was the most reported "bug" of bulk jobs. A missing header allows everything.
pub(crate) fn acceptable(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut values = headers.get_all(header::ACCEPT).iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let mut types = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let fits = types.any(|range| {
        let media_type = range.split(';').next().unwrap_or_default().trim();
        MEDIA_TYPES.contains(&media_type)
    });
    if fits { Ok(()) } else { Err(Refusal::NotAcceptable) }
}

/// Checks the credentials: a bearer token, or Basic with the token as the user name.
pub(crate) fn authorised(headers: &HeaderMap, token: Option<&str>) -> Result<(), Refusal> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(given_token);
    match (given, token) {
        (Some(given), None) if !given.is_empty() => Ok(()),
        (Some(given), Some(token)) if given == token => Ok(()),
        _ => Err(Refusal::TokenUnauthorized),
    }
}

fn given_token(value: &str) -> Option<String> {
    let (scheme, credentials) = value.split_once(' ')?;
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(credentials.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    // Padding is optional.
    let decoded = STANDARD_NO_PAD.decode(credentials.trim_end_matches('=')).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    Some(decoded.split_once(':')?.0.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_read_like_bearer_tokens() {
        assert_eq!(given_token("Basic dG9rOm5vdA==").as_deref(), Some("tok"));
        assert_eq!(given_token("basic dG9rOg==").as_deref(), Some("tok"));
        assert_eq!(given_token("Bearer tok").as_deref(), Some("tok"));
        assert_eq!(given_token("Basic ???"), None);
        assert_eq!(given_token("Digest tok"), None);
        assert_eq!(given_token("tok"), None);
    }
}
