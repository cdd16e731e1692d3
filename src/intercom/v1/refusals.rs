//! The refusals of API 1.x: the scroll's own errors, and advice about missing resources.

use super::super::refusals::{NoUser, says_gone};
use super::super::transport::advice;
use super::super::transport::error::{Error, route};
use super::super::transport::retry::{Disposition, VERSION_CODE, disposition};
use crate::domain::api::PageFailure;

/// Returns the possible reaction to a page whose request failed.
pub(in crate::intercom) fn page_failure(error: &Error) -> PageFailure {
    let of_any = disposition(error);
    match of_any {
        Disposition::NotFound | Disposition::Later | Disposition::RunFault => {
            of_scroll(error).unwrap_or_else(|| of_any.page_failure())
        }
        _ => of_any.page_failure(),
    }
}

/// Returns the reaction to the scroll's own errors. Until about 2019 the first had no code and said
/// "for this app".
fn of_scroll(error: &Error) -> Option<PageFailure> {
    let Error::Refused { route: route::PAGE, status, code, message, .. } = error else { return None };
    let (code, message) = (code.to_ascii_lowercase(), message.to_ascii_lowercase());
    let gone = message.contains("scroll parameter not found") || (*status == 404 && code == "not_found");
    match *status {
        400 | 404 | 409 | 410 | 422 if code == "scroll_exists" || message.contains("scroll already exists") => {
            Some(PageFailure::Busy)
        }
        400 | 404 | 410 if gone => Some(PageFailure::Expired),
        _ => None,
    }
}

/// Returns the reason why Intercom does not return a user, if the refusal is about that user. A 404
/// with another code than these two may mean that the API does not exist. A 410 is about a user that
/// was merged into another.
pub(in crate::intercom) fn no_user(error: &Error) -> Option<NoUser> {
    let is_unknown = matches!(error.code(), "not_found" | "user_not_found");
    let is_about_it = match error.status() {
        Some(404) => is_unknown,
        Some(410) => !error.code().is_empty(),
        _ => disposition(error) == Disposition::ItemRejected,
    };
    let (code, said) = (error.code().to_owned(), error.said());
    is_about_it.then(|| NoUser { code, said, is_unknown, is_gone: says_gone(error) })
}

/// Returns one sentence for the operator.
pub(in crate::intercom) fn advice(error: &Error) -> &'static str {
    match (error.status(), error.code()) {
        (_, VERSION_CODE) => {
            "This API version does not offer the resource: set INTERCOM_API to 1.4, and if it is, ask Intercom's support whether the workspace still has the 1.x API."
        }
        (Some(404 | 410), _) if error.route() == route::SUBMIT => {
            "This workspace does not offer bulk jobs: check that the token belongs to the right workspace, and that the workspace still has the 1.x API."
        }
        _ => match of_scroll(error) {
            Some(PageFailure::Busy) => {
                "Another scroll is open in this workspace, and Intercom allows one: it expires a minute after its last page; if it stays, look for another integration that reads all users."
            }
            Some(PageFailure::Expired) => {
                "The scroll expired, or the workspace offers none: if it was the first call, ask Intercom's support whether /users/scroll is available."
            }
            _ if is_missing(error) => {
                "This workspace does not have the resource: check that the token belongs to the right workspace, and that the workspace still has the 1.x API."
            }
            _ => advice::advice(error),
        },
    }
}

/// Returns whether the workspace lacks a resource that each workspace of API 1.x has.
fn is_missing(error: &Error) -> bool {
    error.route() != route::USER && disposition(error) == Disposition::NotFound
}

#[cfg(test)]
mod tests;
