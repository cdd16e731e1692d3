//! The refusals of API 2.x: a cursor that is not accepted, and advice.

use super::super::refusals::{NoUser, says_gone};
use super::super::transport::advice;
use super::super::transport::error::{Error, route};
use super::super::transport::retry::{Disposition, VERSION_CODE, disposition};
use crate::domain::api::PageFailure;

/// Returns the possible reaction to a page whose request failed.
pub(in crate::intercom) fn page_failure(error: &Error) -> PageFailure {
    match disposition(error).page_failure() {
        PageFailure::Fatal if is_cursor(error) => PageFailure::Expired,
        failure => failure,
    }
}

/// Returns whether Intercom refuses the place of a page.
fn is_cursor(error: &Error) -> bool {
    let Error::Refused { route: route::PAGE, status: 400 | 422, message, .. } = error else { return false };
    message.to_ascii_lowercase().contains("starting_after")
}

/// Returns the reason why Intercom does not return a contact, if the refusal is about that contact:
/// deleted, archived, or (410) merged into another.
pub(in crate::intercom) fn no_user(error: &Error) -> Option<NoUser> {
    let is_about_it = match error.status() {
        Some(404 | 410) => !error.code().is_empty() && error.code() != VERSION_CODE,
        _ => disposition(error) == Disposition::ItemRejected,
    };
    let is_unknown = error.code() == "not_found";
    let (code, said) = (error.code().to_owned(), error.said());
    is_about_it.then(|| NoUser { code, said, is_unknown, is_gone: says_gone(error) })
}

/// Returns one sentence for the operator.
pub(in crate::intercom) fn advice(error: &Error) -> &'static str {
    match error.code() {
        VERSION_CODE => {
            "This API version does not offer contacts: set INTERCOM_API to a version that the workspace has, 1.4 if it has only API 1.x."
        }
        // A missing user is no error of the run.
        code if !code.is_empty() && is_of_address(error) => {
            "This address does not serve contacts: check INTERCOM_BASE_URL, and that the token belongs to the right workspace."
        }
        _ => advice::advice(error),
    }
}

/// Returns whether a request for a contact met a resource that does not exist, and not a missing contact.
fn is_of_address(error: &Error) -> bool {
    matches!(error, Error::Refused { route: route::SUBMIT, status: 404 | 410, .. }) && !says_gone(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intercom::Lost;
    use std::time::Duration;

    fn refused(route: &'static str, status: u16, code: &str, message: &str) -> Error {
        let (code, message) = (code.into(), message.into());
        Error::Refused { route, status, code, message, field: None, request_id: None, rate: None, retry_after_s: None }
    }

    #[test]
    fn a_refused_cursor_is_known_by_its_message() {
        let invalid = "Invalid starting_after param. Please try again using a starting_after value from a response";
        let timed_out =
            Error::Unknown { route: route::PAGE, lost: Lost::TimedOut { after: Duration::from_secs(1) }, rate: None };
        assert_eq!(page_failure(&timed_out), PageFailure::MaybeConsumed);
        for (error, failure) in [
            (refused(route::PAGE, 500, "server_error", ""), PageFailure::MaybeConsumed),
            (refused(route::PAGE, 400, "client_error", invalid), PageFailure::Expired),
            (refused(route::PAGE, 429, "rate_limit_exceeded", ""), PageFailure::RateLimited),
            (refused(route::PAGE, 400, VERSION_CODE, ""), PageFailure::Fatal),
            (refused(route::PAGE, 401, "unauthorized", ""), PageFailure::Fatal),
            (refused(route::PAGE, 404, "", ""), PageFailure::Fatal),
        ] {
            assert_eq!(page_failure(&error), failure, "{error}");
        }
    }

    #[test]
    fn a_contact_may_be_gone() {
        for (status, code, unknown) in [
            (404, "not_found", Some(true)),
            (410, "contact_merged", Some(false)),
            (404, "", None),
            (500, "server_error", None),
            (401, "unauthorized", None),
        ] {
            let reason = no_user(&refused(route::USER, status, code, "User Not Found"));
            assert_eq!(reason.map(|reason| reason.is_unknown), unknown, "{status} {code}");
        }
    }

    #[test]
    fn a_version_or_an_address_without_contacts_is_explained() {
        assert!(advice(&refused(route::PAGE, 400, VERSION_CODE, "")).contains("INTERCOM_API"));
        for (message, is) in [("", true), ("The requested resource was not found", true), ("User Not Found", false)] {
            let error = refused(route::SUBMIT, 404, "not_found", message);
            assert_eq!(advice(&error).contains("INTERCOM_BASE_URL"), is, "{message}");
        }
    }
}
