//! The wire of Intercom's API 1.x: paths, bodies, answers. Another generation gets a module beside this one.

mod answers;
mod submission;

use bytes::Bytes;
use http::Method;

pub(super) use answers::{NO_WORKSPACE_ID, count_users, job, job_errors, page, user, workspace};

use super::call::Call;
use super::error::{Error, Invalid, route};
use crate::domain::job::JobId;
use crate::domain::patch::Patch;
use crate::domain::user::UserId;

/// The longest cursor that is believed; Intercom's are UUIDs of 36 characters.
pub(super) const CURSOR_BYTES_MAX: usize = 512;

/// The next page; the first, and with it a new scroll, without a cursor.
pub(super) fn get_page(cursor: Option<&str>) -> Result<Call, Error> {
    let path = match cursor {
        None => "/users/scroll".to_owned(),
        Some(cursor) if (1..=CURSOR_BYTES_MAX).contains(&cursor.len()) => {
            format!("/users/scroll?scroll_param={}", percent_encoded(cursor))
        }
        Some(_) => {
            return Err(Error::Invalid { route: route::PAGE, reason: Invalid::Cursor });
        }
    };
    Ok(Call::get(route::PAGE, path))
}

/// The first users of the workspace, outside any scroll: 50 is the documented default, 60 the most.
pub(super) fn get_first_users() -> Call {
    Call::get(route::FIRST_USERS, "/users?per_page=50&page=1".to_owned())
}

/// One user by id.
pub(super) fn get_user(id: &UserId) -> Call {
    Call::get(route::USER, format!("/users/{id}"))
}

/// A new bulk job. An existing one is never appended to: Intercom's staff call that "quite problematic".
pub(super) fn post_patches(patches: &[Patch]) -> Result<Call, Error> {
    let body = submission::body(patches).map_err(|reason| Error::Invalid { route: route::SUBMIT, reason })?;
    Ok(Call { route: route::SUBMIT, method: Method::POST, path: "/bulk/users".to_owned(), body: Bytes::from(body) })
}

/// A job's state.
pub(super) fn get_job(id: &JobId) -> Call {
    Call::get(route::JOB, format!("/jobs/{id}"))
}

/// One page of a job's error feed, built from the job's id: a link in an answer is never followed.
pub(super) fn get_job_errors(id: &JobId, page: u32) -> Call {
    let path = if page <= 1 { format!("/jobs/{id}/error") } else { format!("/jobs/{id}/error?page={page}") };
    Call::get(route::JOB_ERRORS, path)
}

/// How many of each kind the workspace has. Chosen over the `total_count` of `GET /users?per_page=1`, because that
/// answer carries a person's data for no use.
pub(super) fn get_counts() -> Call {
    Call::get(route::COUNT_USERS, "/counts".to_owned())
}

/// Whose token this is.
pub(super) fn get_workspace() -> Call {
    Call::get(route::WORKSPACE, "/me".to_owned())
}

/// Everything but letters, digits and `-._~` as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            const HEX: [u8; 16] = *b"0123456789ABCDEF";
            out.extend(['%', char::from(HEX[usize::from(byte >> 4)]), char::from(HEX[usize::from(byte & 15)])]);
        }
    }
    out
}

#[cfg(test)]
mod tests;
