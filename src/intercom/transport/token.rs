//! The access token, which may appear only in one header.

use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// An access token. It is never printed, and its memory is cleared on drop.
#[derive(Clone)]
pub struct Token(SecretString);

/// The reason why a text cannot be a token. The text is not quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum TokenError {
    #[error("the access token is empty")]
    Empty,
    #[error("the access token contains a blank, a line break or a character that is not plain ASCII")]
    NotVisibleAscii,
    #[error("the access token is in quotation marks: remove them")]
    Quoted,
    #[error(
        "this looks like an app id and an API key, which Intercom no longer accepts: use the access token \
         (Developer Hub → your app → Authentication)"
    )]
    Pair,
}

impl Token {
    /// Accepts visible ASCII. Removes blanks and line breaks at both ends, because files and
    /// consoles add them.
    pub fn new(token: String) -> Result<Self, TokenError> {
        let whole = SecretString::from(token);
        let text = whole.expose_secret().trim_ascii();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::NotVisibleAscii);
        }
        if text.starts_with(['"', '\'']) || text.ends_with(['"', '\'']) {
            return Err(TokenError::Quoted);
        }
        if text.contains(':') {
            return Err(TokenError::Pair);
        }
        Ok(Self(SecretString::from(text)))
    }

    /// Returns whether both tokens are equal.
    pub fn is(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }

    /// Returns the value of `Authorization`, marked as sensitive so that no library prints it.
    pub(in crate::intercom) fn header(&self) -> HeaderValue {
        let text = SecretString::from(format!("Bearer {}", self.0.expose_secret()));
        let mut value = HeaderValue::from_str(text.expose_secret()).expect("visible ASCII is a header value");
        value.set_sensitive(true);
        value
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_visible_ascii() {
        let plain = Token::new("dG9rOmFi_-=".into()).unwrap();
        for padded in ["dG9rOmFi_-=\n", " dG9rOmFi_-=", "dG9rOmFi_-=\r\n\t"] {
            assert!(Token::new(padded.into()).unwrap().is(&plain), "{padded:?}");
        }
        for (bad, error) in [
            ("", TokenError::Empty),
            ("\n", TokenError::Empty),
            ("Bearer abc", TokenError::NotVisibleAscii),
            ("abc\u{e9}", TokenError::NotVisibleAscii),
            ("a\0b", TokenError::NotVisibleAscii),
            ("a\r\nHost: x", TokenError::NotVisibleAscii),
            ("\"dG9rOmFi\"", TokenError::Quoted),
            ("'dG9rOmFi'\n", TokenError::Quoted),
            ("abc123:ro-0a1b2c", TokenError::Pair),
        ] {
            assert_eq!(Token::new(bad.into()).err(), Some(error), "{bad:?}");
        }
    }

    #[test]
    fn the_token_is_printed_neither_alone_nor_in_its_header() {
        let token = Token::new("s3cret".into()).unwrap();
        assert_eq!(token.header(), "Bearer s3cret");
        assert!(token.header().is_sensitive());
        assert!(!format!("{token:?} {:?}", token.header()).contains("s3cret"));
    }
}
