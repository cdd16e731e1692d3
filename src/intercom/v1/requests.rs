//! The requests of Intercom's API 1.x, one function for each call.

use bytes::Bytes;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::transport::call::Call;
use super::super::transport::error::{Error, Invalid, route};
use super::super::transport::service::Operations;
use super::{CURSOR_BYTES_MAX, submission};
use crate::domain::job::JobId;
use crate::domain::patch::Patch;
use crate::domain::run::Position;
use crate::domain::user::UserId;

/// The characters that a value of a query encodes: all except letters, digits and `-._~`.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Builds the request for the page at this place. The first page's opens a new scroll.
pub(in crate::intercom) fn get_page(position: &Position) -> Result<Call, Error> {
    let path = match position {
        Position::First => "/users/scroll".to_owned(),
        Position::Scroll { param } if (1..=CURSOR_BYTES_MAX).contains(&param.len()) => {
            format!("/users/scroll?scroll_param={}", utf8_percent_encode(param, RESERVED))
        }
        Position::Scroll { .. }
        | Position::List { .. }
        | Position::ListEnd
        | Position::Ids { .. }
        | Position::Retry(_)
        | Position::Undo(_) => {
            return Err(Error::Invalid { route: route::PAGE, reason: Invalid::Position });
        }
    };
    Ok(Call::get(route::PAGE, path))
}

/// Builds the request for the first users of the workspace, outside any scroll: 50 is the
/// documented default, 60 the most.
pub(in crate::intercom) fn get_first_users() -> Call {
    Call::get(route::FIRST_USERS, "/users?per_page=50&page=1".to_owned())
}

/// Builds the request for any user of the workspace. Each user has the workspace's id.
pub(in crate::intercom) fn get_any_user() -> Call {
    Call::get(route::ANY_USER, "/users?per_page=1&page=1".to_owned())
}

/// Builds the request for one user.
pub(in crate::intercom) fn get_user(id: &UserId) -> Call {
    Call::get(route::USER, format!("/users/{id}"))
}

/// Builds the request for a new bulk job. Existing jobs are never extended: Intercom's staff call
/// that "quite problematic".
pub(in crate::intercom) fn post_patches(patches: &[Patch]) -> Result<Call, Error> {
    let body = submission::body(patches).map_err(|reason| Error::Invalid { route: route::SUBMIT, reason })?;
    Ok(Call {
        route: route::SUBMIT,
        method: Method::POST,
        path: "/bulk/users".to_owned(),
        body: Bytes::from(body),
        operations: Operations(patches.len() as u32),
    })
}

/// Builds the request for a job's state.
pub(in crate::intercom) fn get_job(id: &JobId) -> Call {
    Call::get(route::JOB, format!("/jobs/{id}"))
}

/// Builds the request for one page of a job's error feed. The path is built from the job's id;
/// links in answers are never followed.
pub(in crate::intercom) fn get_job_errors(id: &JobId, page: u32) -> Call {
    let path = if page <= 1 { format!("/jobs/{id}/error") } else { format!("/jobs/{id}/error?page={page}") };
    Call::get(route::JOB_ERRORS, path)
}

/// Builds the request for the workspace's counts. `GET /users?per_page=1` has a `total_count` too,
/// but its answer contains a person's data.
pub(in crate::intercom) fn get_counts() -> Call {
    Call::get(route::COUNT_USERS, "/counts".to_owned())
}

#[cfg(test)]
mod tests;
