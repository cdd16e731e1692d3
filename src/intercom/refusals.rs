//! The meaning of a refusal in each family of the API.

use super::transport::error::{Error, route};
use super::transport::retry::VERSION_CODE;
use super::{preview, v1, v2};
use crate::domain::api::{Api, PageFailure};

/// Returns the possible reaction to a page whose request failed.
pub fn page_failure(api: Api, error: &Error) -> PageFailure {
    match api {
        Api::V1 => v1::page_failure(error),
        Api::V2 | Api::Preview => v2::page_failure(error),
    }
}

/// Returns one sentence for the command's user and for the log line of a failed run.
pub fn advice(api: Api, error: &Error) -> &'static str {
    match api {
        Api::V1 => v1::advice(error),
        Api::V2 => v2::advice(error),
        Api::Preview => preview::advice(error),
    }
}

/// Returns whether Intercom does not serve the bulk requests that write: 404, or an API version without
/// them.
pub fn is_not_served(error: &Error) -> bool {
    let is_version = error.status() == Some(400) && error.code().eq_ignore_ascii_case(VERSION_CODE);
    error.route() == route::SUBMIT && (error.status() == Some(404) || is_version)
}

/// The reason why Intercom does not return a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoUser {
    /// Intercom's code: `not_found`, `contact_merged` and the like.
    pub code: String,
    /// Status, code and message.
    pub said: String,
    /// True if no user has this id.
    pub is_unknown: bool,
    /// True if Intercom has no such user any more: it does not exist, or was merged into another
    /// ([`says_gone`]).
    pub is_gone: bool,
}

/// Returns whether a refusal says that Intercom has no such user any more: a 410, or a 404 whose text names a
/// user or contact. Another 404 may come from a gateway, or be about the route. Its users are reported.
pub fn says_gone(error: &Error) -> bool {
    const NAMED: [&str; 3] = ["user not found", "contact not found", "lead not found"];
    let Error::Refused { status, message, .. } = error else { return false };
    let message = message.to_ascii_lowercase();
    match status {
        410 => true,
        404 => error.code() == "user_not_found" || NAMED.iter().any(|named| message.contains(named)),
        _ => false,
    }
}

impl NoUser {
    /// Returns the reason if the refusal is about the requested user alone.
    pub(super) fn of(api: Api, error: &Error) -> Option<Self> {
        match api {
            Api::V1 => v1::no_user(error),
            Api::V2 | Api::Preview => v2::no_user(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_that_names_a_user_says_that_it_is_gone() {
        for (status, code, message, gone) in [
            (404, "not_found", "User Not Found", true),
            (404, "not_found", "Contact Not Found", true),
            (404, "user_not_found", "", true),
            (404, "not_found", "The requested resource was not found", false),
            (404, "not_found", "", false),
            (410, "contact_merged", "This contact has been merged.", true),
            (403, "forbidden", "user not found", false),
        ] {
            let (code, message) = (code.into(), message.into());
            let error = Error::Refused {
                route: route::USER,
                status,
                code,
                message,
                field: None,
                request_id: None,
                rate: None,
                retry_after_s: None,
            };
            assert_eq!(says_gone(&error), gone, "{error}");
        }
    }
}
