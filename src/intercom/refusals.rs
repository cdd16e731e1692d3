//! The meaning of a refusal in each family of the API.

use super::transport::error::Error;
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

/// The reason why Intercom does not return a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoUser {
    /// Intercom's code: `not_found`, `contact_merged` and the like.
    pub code: String,
    /// Status, code and message.
    pub said: String,
    /// True if no user has this id.
    pub is_unknown: bool,
    /// True if Intercom has no such user any more: it does not exist, or was merged into another.
    pub is_gone: bool,
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
