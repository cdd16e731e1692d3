//! Parsers of 2xx bodies. They assume nothing: a wrong type makes the answer unreadable, never a
//! panic. The reasons are fixed texts, because a parser's own message may quote a user's data.

use std::borrow::Cow;

use serde_json::Value;

use super::super::transport::error_body::{code, message};
use super::super::transport::request::UnreadableBody;
use super::super::{ErrorFeed, Page, WorkspaceInfo};
use super::CURSOR_BYTES_MAX;
use crate::domain::html;
use crate::domain::job::{ItemError, Job, JobId, Progress};
use crate::domain::projection::Projection;
use crate::domain::redact::redact_to;
use crate::domain::user::{User, UserId};

/// The most characters of a workspace's name.
const NAME_CHARS_MAX: usize = 100;

/// The reason for an answer about a workspace that is complete but has no usable id.
pub(in crate::intercom) const NO_WORKSPACE_ID: &str = "the workspace has no usable id";

/// The code of a failed item without one.
const NO_CODE: &str = "unknown";

/// The message of a failed item without one.
const NO_MESSAGE: &str = "Intercom gave no reason";

/// Parses `{"users":[…],"scroll_param":"…"}` with this projection of each user.
pub(in crate::intercom) fn page(body: &[u8], of_user: &Projection) -> Result<Page, UnreadableBody> {
    let users = Projection::Each(Box::new(of_user.clone()));
    let mut body = object_of(body, &Projection::keys([("users", users), ("scroll_param", Projection::Whole)]))?;
    let cursor = match body.get("scroll_param") {
        None | Some(Value::Null) => None,
        Some(Value::String(cursor)) if cursor.is_empty() => None,
        Some(Value::String(cursor)) if cursor.len() <= CURSOR_BYTES_MAX => Some(cursor.clone()),
        Some(_) => return Err(UnreadableBody("its cursor is not a short text")),
    };
    let Some(Value::Array(users)) = body.get_mut("users").map(Value::take) else {
        return Err(UnreadableBody("it has no list of users"));
    };
    Ok(Page::new(users.into_iter().map(decoded).map(User::new), cursor))
}

/// Decodes the texts that 1.x escapes as HTML: the names of the user and of its companies. Other
/// texts are not escaped.
fn decoded(mut user: Value) -> Value {
    user.get_mut("name").into_iter().for_each(decode);
    let companies = user.pointer_mut("/companies/companies").and_then(Value::as_array_mut);
    companies.into_iter().flatten().filter_map(|company| company.get_mut("name")).for_each(decode);
    user
}

fn decode(name: &mut Value) {
    if let Value::String(name) = name
        && let Cow::Owned(plain) = html::decoded(name)
    {
        *name = plain;
    }
}

/// Parses a user object.
pub(in crate::intercom) fn user(body: &[u8]) -> Result<User, UnreadableBody> {
    User::new(decoded(object(body)?)).ok_or(UnreadableBody("the user has no usable id"))
}

/// Parses `{"id":"job_…","created_at":…,"state":"…","tasks":[{"state":"…"}]}`.
pub(in crate::intercom) fn job(body: &[u8]) -> Result<Job, UnreadableBody> {
    let body = object(body)?;
    let id = body
        .get("id")
        .and_then(Value::as_str)
        .and_then(JobId::new)
        .ok_or(UnreadableBody("the job has no usable id"))?;
    Ok(Job { id, created_at_s: body.get("created_at").and_then(Value::as_i64), progress: progress(&body) })
}

/// Returns the progress of the tasks. In the one recorded pair the task ended after 5 minutes and
/// the job after 4 hours.
fn progress(job: &Value) -> Progress {
    let tasks = job.get("tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let states: Vec<&str> = tasks.iter().map(state).collect();
    if states.is_empty() || !states.iter().all(|state| *state == "completed" || failed(state)) {
        return Progress::Open;
    }
    Progress::Ended { errors: failed(state(job)) || states.into_iter().any(failed) }
}

fn state(job_or_task: &Value) -> &str {
    job_or_task.get("state").and_then(Value::as_str).unwrap_or_default()
}

fn failed(state: &str) -> bool {
    matches!(state, "completed_with_errors" | "failed")
}

/// Parses `{"items":[{"data":{"id":"…"},"error":{"code":"…","message":"…"}}],"pages":{…}}`.
pub(in crate::intercom) fn job_errors(body: &[u8]) -> Result<ErrorFeed, UnreadableBody> {
    let body = object(body)?;
    let items = body.get("items").and_then(Value::as_array).ok_or(UnreadableBody("it has no list of items"))?;
    let items: Vec<ItemError> = items.iter().map(item).collect();
    let more = !items.is_empty() && more(body.get("pages").unwrap_or(&Value::Null));
    Ok(ErrorFeed { items, more })
}

fn item(item: &Value) -> ItemError {
    let user = item.get("data").and_then(|data| data.get("id")).and_then(Value::as_str).and_then(UserId::new);
    let error = item.get("error").unwrap_or(&Value::Null);
    let code = Some(code(error)).filter(|code| !code.is_empty()).unwrap_or_else(|| NO_CODE.to_owned());
    let message = Some(message(error)).filter(|message| !message.is_empty()).unwrap_or_else(|| NO_MESSAGE.to_owned());
    ItemError { user, code, message }
}

/// Returns whether another page follows, by the link or, in lists without one, by the page numbers.
fn more(pages: &Value) -> bool {
    if let Some(next) = pages.get("next") {
        return !next.is_null();
    }
    let number = |key| pages.get(key).and_then(Value::as_u64);
    number("page").zip(number("total_pages")).is_some_and(|(page, pages)| page < pages)
}

/// Parses `{"type":"count.hash","user":{"count":12239},…}`.
pub(in crate::intercom) fn count_users(body: &[u8]) -> Result<u64, UnreadableBody> {
    let body = object(body)?;
    let count = body.get("user").and_then(|user| user.get("count"));
    count.and_then(Value::as_u64).ok_or(UnreadableBody("it has no count of users"))
}

/// Parses `{"type":"admin","app":{"id_code":"…","name":"…"}}`.
pub(in crate::intercom) fn workspace(body: &[u8]) -> Result<WorkspaceInfo, UnreadableBody> {
    let body = object(body)?;
    let app = body.get("app").unwrap_or(&Value::Null);
    let text = |key| app.get(key).and_then(Value::as_str);
    // The id names a folder on the local machine, so it must have plain characters only.
    let plain = |id: &&str| {
        (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let app_id = text("id_code").filter(plain).ok_or(UnreadableBody(NO_WORKSPACE_ID))?;
    let name = text("name").map(|name| redact_to(name, NAME_CHARS_MAX)).filter(|name| !name.is_empty());
    Ok(WorkspaceInfo { app_id: app_id.to_owned(), name })
}

/// Parses the body as a JSON object.
fn object(body: &[u8]) -> Result<Value, UnreadableBody> {
    object_of(body, &Projection::Whole)
}

/// Parses a projection of the body, which must be a JSON object.
fn object_of(body: &[u8], keep: &Projection) -> Result<Value, UnreadableBody> {
    if body.is_empty() {
        return Err(UnreadableBody("its body is empty"));
    }
    match keep.read(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(UnreadableBody("its body is not a JSON object")),
        Err(_) => Err(UnreadableBody("its body is not JSON, or is cut off")),
    }
}

#[cfg(test)]
mod tests;
