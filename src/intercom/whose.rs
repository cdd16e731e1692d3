//! Which workspace each token of this process is of, as Intercom said.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::{Error, Lost, route};
use super::reply::Reply;
use super::token::Token;
use super::transport::TransportError;
use super::v1::NO_WORKSPACE_ID;
use super::{Disposition, WorkspaceInfo, disposition};

/// Tokens that are remembered: the present one, and those that it replaced.
const REMEMBERED_MAX: usize = 4;

/// What Intercom says of a token's workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// It is of the workspace with this id.
    Workspace(String),
    /// Intercom does not say: the token may not ask, or the answer has no id.
    Refused,
}

/// What was asked so far; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<Mutex<Vec<(Token, Whose)>>>);

/// Why a token is not used.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum NotUsed {
    #[error("the access token was replaced, and Intercom was not asked yet which workspace the new one is of")]
    NotAsked,
    #[error("the access token was replaced by one that is not known to be of the same workspace")]
    AnotherWorkspace,
}

impl Asked {
    fn asked(&self) -> MutexGuard<'_, Vec<(Token, Whose)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a token.
    pub(super) fn of(&self, token: &Token) -> Option<Whose> {
        self.asked().iter().find(|(of, _)| of.is(token)).map(|(_, whose)| whose.clone())
    }

    /// Keeps what an answer says of the token that it was asked with, if it says anything for good.
    pub(super) fn keep(&self, token: Token, answer: &Result<Reply<WorkspaceInfo>, Error>) {
        let whose = match answer {
            Ok(reply) => Whose::Workspace(reply.value.app_id.clone()),
            Err(error) if is_refusal(error) => Whose::Refused,
            Err(_) => return,
        };
        let mut asked = self.asked();
        asked.retain(|(of, _)| !of.is(&token));
        asked.push((token, whose));
        let forgotten = asked.len().saturating_sub(REMEMBERED_MAX);
        asked.drain(..forgotten);
    }

    /// Whether a request may be sent with this token, which replaces the refused token `before`. If this client has asked
    /// for the workspace of one token, it asks for that of each token before use. Within one request it accepts no token
    /// of another workspace, and none of a known workspace after one of an unknown workspace.
    pub(super) fn allows(&self, route: &str, before: Option<&Token>, token: &Token) -> Result<(), TransportError> {
        if route == route::WORKSPACE || self.asked().is_empty() {
            return Ok(());
        }
        let reason = match (before.and_then(|before| self.of(before)), self.of(token)) {
            (_, None) => NotUsed::NotAsked,
            (Some(before), Some(now @ Whose::Workspace(_))) if before != now => NotUsed::AnotherWorkspace,
            (_, Some(_)) => return Ok(()),
        };
        Err(TransportError::NotSent { source: reason.into() })
    }
}

/// Whether Intercom refused to say, for good. An answer that cannot be read may be another one next time.
pub(super) fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Unknown { lost: Lost::UnreadableBody { reason, .. }, .. } => *reason == NO_WORKSPACE_ID,
        Error::Unknown { .. } => false,
        // The time matters only for how long to wait.
        error => !matches!(
            disposition(error, 0),
            Disposition::NotSent | Disposition::Ambiguous | Disposition::Limited { .. } | Disposition::Later
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token::new(text.to_owned()).unwrap()
    }

    fn keep(asked: &Asked, token_text: &str, app_id: &str) {
        let value = WorkspaceInfo { app_id: app_id.to_owned(), name: None };
        asked.keep(token(token_text), &Ok(Reply { value, rate: None }));
    }

    fn refused(status: u16) -> Result<Reply<WorkspaceInfo>, Error> {
        let (code, message) = ("".into(), "".into());
        let route = route::WORKSPACE;
        Err(Error::Refused { route, status, code, message, request_id: None, rate: None, retry_after_s: None })
    }

    #[test]
    fn only_what_is_said_for_good_is_kept() {
        for (status, kept) in [(401, true), (403, true), (404, true), (429, false), (500, false), (503, false)] {
            let asked = Asked::default();
            asked.keep(token("a"), &refused(status));
            assert_eq!(asked.of(&token("a")).is_some(), kept, "{status}");
        }
    }

    #[test]
    fn a_token_is_used_once_its_workspace_is_known() {
        let asked = Asked::default();
        assert!(asked.allows(route::PAGE, None, &token("a")).is_ok(), "a client that never asked");
        keep(&asked, "a", "one");
        keep(&asked, "b", "one");
        keep(&asked, "c", "two");
        asked.keep(token("d"), &refused(403));
        for (before, now, allowed) in [
            (None, "a", true),
            (None, "x", false),
            (Some("a"), "x", false),
            (Some("a"), "b", true),
            (Some("a"), "c", false),
            (Some("a"), "d", true),
            (Some("d"), "c", false),
        ] {
            let before = before.map(token);
            assert_eq!(asked.allows(route::SUBMIT, before.as_ref(), &token(now)).is_ok(), allowed, "{before:?} {now}");
            assert!(asked.allows(route::WORKSPACE, before.as_ref(), &token(now)).is_ok());
        }
    }

    #[test]
    fn the_tokens_of_long_ago_are_forgotten() {
        let asked = Asked::default();
        for text in ["a", "b", "c", "d", "e"] {
            keep(&asked, text, "one");
        }
        assert_eq!((asked.of(&token("a")), asked.asked().len()), (None, REMEMBERED_MAX));
    }
}
