//! The workspace of each token of this process, as reported by Intercom.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::transport::body::{UnreadableBody, object};
use super::transport::call::Call;
use super::transport::error::{Error, Lost, route};
use super::transport::headers::Reply;
use super::transport::service::TransportError;
use super::transport::token::Token;
use super::{CALL_TIMEOUT, Disposition, Intercom, WorkspaceInfo, disposition, v1, v2};
use crate::domain::api::Api;
use crate::domain::redact::redact_to;

/// The most remembered tokens: the present one, and those that it replaced.
const REMEMBERED_MAX: usize = 4;

/// The most characters of a workspace's name.
const NAME_CHARS_MAX: usize = 100;

/// A refusal holds for this long, in milliseconds. Then the workspace is requested again: the token
/// may have got the permission.
const REFUSED_MS: i64 = 60_000;

/// The reason for an answer about a workspace that is complete but has no usable id.
pub(super) const NO_WORKSPACE_ID: &str = "the workspace has no usable id";

/// Builds the request for the token's workspace. Every version of the API has it.
pub(super) fn get() -> Call {
    Call::get(route::WORKSPACE, "/me".to_owned())
}

/// Parses `{"type":"admin","app":{"id_code":"…","name":"…"}}`.
pub(super) fn read(body: &[u8]) -> Result<WorkspaceInfo, UnreadableBody> {
    let body = object(body)?;
    let app = body.get("app").unwrap_or(&Value::Null);
    let text = |key| app.get(key).and_then(Value::as_str);
    let app_id = text("id_code").filter(is_plain).ok_or(UnreadableBody(NO_WORKSPACE_ID))?;
    let name = text("name").map(|name| redact_to(name, NAME_CHARS_MAX)).filter(|name| !name.is_empty());
    Ok(WorkspaceInfo { app_id: app_id.to_owned(), name })
}

/// Returns whether an id of a workspace has plain characters only: it names a folder on the local
/// machine.
pub(super) fn is_plain(id: &&str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// Intercom's answer about a token's workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The id of the workspace.
    Workspace(String),
    /// Intercom does not report it: the token is refused or has no permission, the answer has no id, or
    /// there are no users.
    Refused,
}

/// The knowledge about the workspace of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// Intercom's answer.
    Answer(Whose),
    /// The token may not request its workspace. Its users may tell.
    NotByItself,
    /// Nothing.
    Nothing,
}

impl Intercom {
    /// Returns the workspace of the token.
    pub async fn workspace(&self) -> Result<Reply<WorkspaceInfo>, Error> {
        self.workspace_within(CALL_TIMEOUT, 0).await
    }

    async fn workspace_within(&self, timeout: Duration, now_ms: i64) -> Result<Reply<WorkspaceInfo>, Error> {
        let mut used = None;
        let answer = self.request_by(get(), timeout, read, &mut used).await;
        match (used, &answer) {
            (Some(used), Ok(reply)) => {
                self.asked.keep(used.token, Whose::Workspace(reply.value.app_id.clone()), now_ms);
            }
            (Some(used), Err(error)) if is_refusal(error) => self.asked.keep_denied(used.token, now_ms),
            _ => {}
        }
        answer
    }

    /// Returns what this client knows at `now_ms` (Unix milliseconds) about the workspace of the next
    /// request's token.
    pub async fn whose(&self, now_ms: i64) -> Result<Known, TransportError> {
        let token = self.tokens.current().await?;
        Ok(self.asked.known(&token, now_ms))
    }

    /// Requests the workspace of the token. A refusal is an answer ([`Whose::Refused`]), after which
    /// [`Self::ask_users_whose`] may know it. An error means that the workspace is unknown now.
    pub async fn ask_whose(&self, timeout: Duration, now_ms: i64) -> Result<Reply<Whose>, Error> {
        match self.workspace_within(timeout, now_ms).await {
            Ok(Reply { value, rate }) => Ok(Reply { value: Whose::Workspace(value.app_id), rate }),
            Err(error) if is_refusal(&error) => Ok(Reply { value: Whose::Refused, rate: error.rate() }),
            Err(error) => Err(error),
        }
    }

    /// Returns the workspace of the token by its users, for a token that may not request the
    /// workspace itself. [`Whose::Refused`] if it may not read users either, or there are none.
    pub async fn ask_users_whose(&self, timeout: Duration, now_ms: i64) -> Result<Reply<Whose>, Error> {
        let mut used = None;
        let answer = match self.api() {
            Api::V1 => self.request_by(v1::get_any_user(), timeout, v1::workspace_of_users, &mut used).await,
            Api::V2 | Api::Preview => {
                self.request_by(v2::get_any_user(), timeout, v2::workspace_of_users, &mut used).await
            }
        };
        let (value, rate) = match answer {
            Ok(Reply { value: Some(app_id), rate }) => (Whose::Workspace(app_id), rate),
            Ok(Reply { value: None, rate }) => (Whose::Refused, rate),
            Err(error) if is_refusal(&error) => (Whose::Refused, error.rate()),
            Err(error) => return Err(error),
        };
        if let Some(used) = used {
            self.asked.keep(used.token, value.clone(), now_ms);
        }
        Ok(Reply { value, rate })
    }
}

/// The known answers; clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked(Arc<Mutex<Vec<Answer>>>);

/// Intercom's answer for a token.
#[derive(Clone, Debug)]
struct Answer {
    token: Token,
    /// `None` before the first answer about its users.
    whose: Option<Whose>,
    /// True if the token was refused its workspace, and its users were not requested since then.
    is_denied: bool,
    /// The time of the answer, in Unix milliseconds.
    at_ms: i64,
}

/// The reason why a token is not used.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum NotUsed {
    #[error("the access token was replaced, and the workspace of the new one is not known yet")]
    NotAsked,
    #[error("the access token was replaced by one of another or an unknown workspace")]
    AnotherWorkspace,
}

impl Asked {
    fn asked(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the last answer for a token.
    fn of(&self, token: &Token) -> Option<Whose> {
        self.asked().iter().find(|answer| answer.token.is(token)).and_then(|answer| answer.whose.clone())
    }

    /// Returns the answer for a token that holds at `now_ms`.
    fn known(&self, token: &Token, now_ms: i64) -> Known {
        let asked = self.asked();
        let is_old = |at_ms: i64| !(at_ms..at_ms + REFUSED_MS).contains(&now_ms);
        match asked.iter().find(|answer| answer.token.is(token)) {
            Some(Answer { whose: Some(whose @ Whose::Workspace(_)), .. }) => Known::Answer(whose.clone()),
            Some(answer) if is_old(answer.at_ms) => Known::Nothing,
            Some(Answer { is_denied: false, whose: Some(refused), .. }) => Known::Answer(refused.clone()),
            Some(_) => Known::NotByItself,
            None => Known::Nothing,
        }
    }

    /// Stores the answer for the token of its request.
    pub(super) fn keep(&self, token: Token, whose: Whose, at_ms: i64) {
        self.put(Answer { token, whose: Some(whose), is_denied: false, at_ms });
    }

    /// Stores that a token may not request its workspace. An earlier answer stays: with it, other
    /// requests go on while the users are requested.
    fn keep_denied(&self, token: Token, at_ms: i64) {
        let whose = self.of(&token);
        self.put(Answer { token, whose, is_denied: true, at_ms });
    }

    fn put(&self, answer: Answer) {
        let mut asked = self.asked();
        asked.retain(|before| !before.token.is(&answer.token));
        asked.push(answer);
        let forgotten = asked.len().saturating_sub(REMEMBERED_MAX);
        asked.drain(..forgotten);
    }

    /// Returns an error if a request must not be sent with `token`, which replaces the refused
    /// token `before`. If this client knows the workspace of one token, it must know that of each
    /// token before use. Within one request it accepts no token of another workspace, and none of a
    /// known workspace after one of an unknown workspace.
    pub(super) fn allows(&self, route: &str, before: Option<&Token>, token: &Token) -> Result<(), TransportError> {
        if matches!(route, route::WORKSPACE | route::ANY_USER)
            || self.asked().iter().all(|answer| answer.whose.is_none())
        {
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

/// Returns whether the refusal is final. An unreadable answer may be readable the next time.
pub(super) fn is_refusal(error: &Error) -> bool {
    match error {
        Error::Unknown { lost: Lost::UnreadableBody { reason, .. }, .. } => *reason == NO_WORKSPACE_ID,
        Error::Unknown { .. } => false,
        // The time affects only the length of a wait.
        error => !matches!(
            disposition(error),
            Disposition::NotSent
                | Disposition::TooLate
                | Disposition::Ambiguous
                | Disposition::Limited
                | Disposition::Later
        ),
    }
}

#[cfg(test)]
mod tests;
