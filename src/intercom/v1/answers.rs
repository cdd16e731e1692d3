//! Parsers of 2xx bodies. They assume nothing: a wrong type makes the answer unreadable, never a
//! panic. The reasons are fixed texts, because a parser's own message may quote a user's data.

use std::borrow::Cow;

use serde_json::Value;

use super::super::bulk_jobs;
use super::super::transport::body::{UnreadableBody, object, object_of};
use super::super::transport::error_body::{code, message};
use super::super::workspaces::is_plain;
use super::super::{ErrorFeed, Page};
use super::CURSOR_BYTES_MAX;
use crate::domain::api::JobState;
use crate::domain::html;
use crate::domain::job::{ItemError, JobId};
use crate::domain::partial_json::Projection;
use crate::domain::run::Position;
use crate::domain::user::{User, UserId};

/// The code of a failed item without one.
const NO_CODE: &str = "unknown";

/// The field of 2.x that distinguishes users from leads.
const ROLE: &str = "role";

/// The message of a failed item without one.
const NO_MESSAGE: &str = "Intercom gave no reason";

/// Parses `{"users":[…],"scroll_param":"…"}` with this projection of each user.
pub(in crate::intercom) fn page(body: &[u8], of_user: &Projection) -> Result<Page, UnreadableBody> {
    let users = Projection::Each(Box::new(of_user.clone()));
    let mut body = object_of(body, &Projection::keys([("users", users), ("scroll_param", Projection::Whole)]))?;
    let next = match body.get("scroll_param") {
        None | Some(Value::Null) => None,
        Some(Value::String(param)) if param.is_empty() => None,
        Some(Value::String(param)) if param.len() <= CURSOR_BYTES_MAX => {
            Some(Position::Scroll { param: param.clone() })
        }
        Some(_) => return Err(UnreadableBody("its cursor is not a short text")),
    };
    let Some(Value::Array(users)) = body.get_mut("users").map(Value::take) else {
        return Err(UnreadableBody("it has no list of users"));
    };
    let has_role = match of_user {
        Projection::Keys(keys) => keys.contains_key(ROLE),
        Projection::Whole | Projection::Each(_) => true,
    };
    let user = |user| User::new(if has_role { with_role(decoded(user)) } else { decoded(user) });
    Ok(Page::new(users.into_iter().map(user), next))
}

/// Adds the field of 2.x that distinguishes users from leads. These paths have no leads.
fn with_role(mut user: Value) -> Value {
    if let Value::Object(fields) = &mut user {
        fields.insert(ROLE.to_owned(), "user".into());
    }
    user
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
    User::new(with_role(decoded(object(body)?))).ok_or(UnreadableBody("the user has no usable id"))
}

/// Parses the workspace's id, `{"users":[{"app_id":"…"}]}`; `None` without users.
pub(in crate::intercom) fn workspace_of_users(body: &[u8]) -> Result<Option<String>, UnreadableBody> {
    let id = Projection::Each(Box::new(Projection::keys([("app_id", Projection::Whole)])));
    let body = object_of(body, &Projection::keys([("users", id)]))?;
    let users = body.get("users").and_then(Value::as_array).ok_or(UnreadableBody("it has no list of users"))?;
    let ids = users.iter().filter_map(|user| user.get("app_id")?.as_str());
    Ok(ids.filter(is_plain).map(ToOwned::to_owned).next())
}

/// Returns whether a list has the form of API 1.x, `{"users":[…]}`. No user is kept.
pub(in crate::intercom) fn is_list(body: &[u8]) -> Result<bool, UnreadableBody> {
    let user = Projection::keys([("type", Projection::Whole)]);
    let body = object_of(body, &Projection::keys([("users", Projection::Each(Box::new(user)))]))?;
    Ok(body.get("users").is_some_and(Value::is_array))
}

/// Parses `{"id":"job_…","state":"…","tasks":[{"state":"…"}]}`, which must be this job.
pub(in crate::intercom) fn job_state(body: &[u8], id: &JobId) -> Result<JobState, UnreadableBody> {
    Ok(state_of_tasks(&bulk_jobs::job(body, id)?))
}

/// Returns the state by the tasks: the job itself stays `running` for hours after they end. In the
/// one recorded pair the task ended after 5 minutes and the job after 4 hours.
fn state_of_tasks(job: &Value) -> JobState {
    let tasks = job.get("tasks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let states: Vec<&str> = tasks.iter().map(state).collect();
    if states.is_empty() || !states.iter().all(|state| *state == "completed" || failed(state)) {
        return JobState::Open;
    }
    let errors = failed(state(job)) || states.into_iter().any(failed);
    if errors { JobState::CompletedWithErrors } else { JobState::Completed }
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

#[cfg(test)]
mod tests;
