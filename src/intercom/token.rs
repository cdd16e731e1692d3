//! The access token, which must appear nowhere but in one header.

use std::fmt;

use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// An access token: never printed, wiped when dropped.
#[derive(Clone)]
pub struct Token(SecretString);

/// Why a text cannot be a token; the text is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Nothing in it.
    #[error("the access token is empty")]
    Empty,
    /// Something that cannot stand in the header, most often a blank or a line break that was copied along.
    #[error("the access token holds a blank, a line break or a character that is not plain ASCII")]
    NotVisibleAscii,
}

impl Token {
    /// Takes visible ASCII.
    pub fn new(token: String) -> Result<Self, TokenError> {
        let secret = SecretString::from(token);
        let text = secret.expose_secret();
        if text.is_empty() {
            return Err(TokenError::Empty);
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokenError::NotVisibleAscii);
        }
        Ok(Self(secret))
    }

    /// Whether it is the same token.
    pub fn is(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }

    /// The value of `Authorization`, marked so that no library prints it.
    pub(super) fn header(&self) -> HeaderValue {
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
        assert!(Token::new("dG9rOmFi_-=".into()).is_ok());
        assert_eq!(Token::new(String::new()).err(), Some(TokenError::Empty));
        for bad in ["abc\n", " abc", "Bearer abc", "abc\u{e9}", "a\0b", "a\r\nHost: x"] {
            assert_eq!(Token::new(bad.into()).err(), Some(TokenError::NotVisibleAscii), "{bad:?}");
        }
    }

    #[test]
    fn it_is_printed_neither_alone_nor_in_its_header() {
        let token = Token::new("s3cret".into()).unwrap();
        assert_eq!(token.header(), "Bearer s3cret");
        assert!(token.header().is_sensitive());
        assert!(!format!("{token:?} {:?}", token.header()).contains("s3cret"));
    }
}
