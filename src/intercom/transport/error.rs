//! Errors of a call. [`disposition`](super::disposition()) returns what to do about them.

use std::error::Error as StdError;
use std::time::Duration;

use super::headers::Rate;
use super::service::TransportError;
use crate::domain::redact::redact;

/// The kinds of calls, independent of the API version.
pub mod route {
    /// The next page of users.
    pub const PAGE: &str = "page";
    /// A few users, for a preview.
    pub const FIRST_USERS: &str = "first users";
    /// One user of the workspace, for the workspace's id.
    pub const ANY_USER: &str = "any user";
    /// One user by id.
    pub const USER: &str = "user";
    /// A bulk job's submission.
    pub const SUBMIT: &str = "submit";
    /// The state of a bulk job.
    pub const JOB: &str = "job";
    /// The error feed of a bulk job.
    pub const JOB_ERRORS: &str = "job errors";
    /// The number of users.
    pub const COUNT_USERS: &str = "count users";
    /// The custom attributes of the workspace.
    pub const ATTRIBUTES: &str = "attributes";
    /// The creation of a custom attribute.
    pub const CREATE_ATTRIBUTE: &str = "create attribute";
    /// The workspace of the token.
    pub const WORKSPACE: &str = "workspace";
}

/// An error of a call. It contains no personal data: messages are redacted, and bodies and URLs are
/// left out.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum Error {
    /// The request was not sent, so it may be retried.
    #[error("{route}: {at} could not be reached: {}", root_cause(.source))]
    NotSent { route: &'static str, at: Box<str>, source: TransportError },
    /// The request was not sent, because the time in which it may begin was over: check its conditions
    /// again.
    #[error("{route}: not sent, because the time in which the request may begin was over")]
    TooLate { route: &'static str },
    /// The request may have been sent and has no usable answer, so Intercom may have acted on it.
    #[error("{route}: Intercom may have acted on the request: {lost}")]
    Unknown {
        route: &'static str,
        #[source]
        lost: Lost,
        /// The rate window, if the answer had its headers.
        rate: Option<Rate>,
    },
    /// Intercom answered with a status other than 2xx.
    #[error(
        "{route}: Intercom answered {status} {code} \"{message}\"{} (request {})",
        about(.field.as_deref()),
        .request_id.as_deref().unwrap_or("without an id")
    )]
    Refused {
        route: &'static str,
        status: u16,
        /// Intercom's code (older errors: type); empty if the body has none.
        code: Box<str>,
        /// Intercom's message, redacted and bounded; empty if the body has none.
        message: Box<str>,
        /// The field that Intercom names, such as that of an attribute.
        field: Option<Box<str>>,
        /// The request id, for Intercom's support.
        request_id: Option<Box<str>>,
        /// The rate window, if the answer had its headers.
        rate: Option<Rate>,
        /// `Retry-After` in seconds, if the answer had it in that form.
        retry_after_s: Option<u64>,
    },
    /// The request is invalid and was not sent.
    #[error("{route}: not sent, because {reason}")]
    Invalid {
        route: &'static str,
        #[source]
        reason: Invalid,
    },
}

/// The cause of a lost answer.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum Lost {
    #[error("the connection failed: {}", root_cause(.0))]
    Connection(#[source] TransportError),
    #[error("no answer within {after:?}")]
    TimedOut { after: Duration },
    #[error("status {status}, but {reason}")]
    UnreadableBody {
        status: u16,
        /// The cause; never the body itself.
        reason: &'static str,
        /// The request id, for Intercom's support.
        request_id: Option<Box<str>>,
    },
}

/// The reason why a request is invalid. `index` counts patches from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum Invalid {
    #[error("there are no patches")]
    NoPatches,
    #[error("{count} patches are more than one bulk job takes")]
    TooManyPatches { count: usize },
    #[error("patch {index} has no changes")]
    NoChanges { index: usize },
    #[error("patch {index} sets a field that cannot be set")]
    ReservedField { index: usize },
    #[error("patch {index} sets a value that is not a string, number, boolean or null")]
    NotScalar { index: usize },
    #[error("the page's place is not one of this API")]
    Position,
    #[error("this version of Intercom's API has no such request")]
    NotOfThisApi,
}

/// Returns the field that a refusal names, in words.
fn about(field: Option<&str>) -> String {
    field.map(|field| format!(" about \"{field}\"")).unwrap_or_default()
}

/// Returns the first cause of an error, which names the failure: "Connection refused".
fn root_cause(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    redact(&cause.to_string())
}

impl Error {
    /// Returns the kind of call: a constant of [`route`].
    pub fn route(&self) -> &'static str {
        match self {
            Self::NotSent { route, .. }
            | Self::TooLate { route }
            | Self::Unknown { route, .. }
            | Self::Refused { route, .. }
            | Self::Invalid { route, .. } => route,
        }
    }

    /// Returns the rate window of the answer: a failed call counts against it too.
    pub fn rate(&self) -> Option<Rate> {
        match self {
            Self::Unknown { rate, .. } | Self::Refused { rate, .. } => *rate,
            Self::NotSent { .. } | Self::TooLate { .. } | Self::Invalid { .. } => None,
        }
    }

    /// Returns the HTTP status, if there is one.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::Unknown { lost: Lost::UnreadableBody { status, .. }, .. } => {
                Some(*status)
            }
            _ => None,
        }
    }

    /// Returns Intercom's code; empty if there is none.
    pub fn code(&self) -> &str {
        if let Self::Refused { code, .. } = self { code } else { "" }
    }

    /// Returns the error without the kind of call, for a user's error row: status, code and message
    /// of a refusal.
    pub fn said(&self) -> String {
        let text = self.to_string();
        text.strip_prefix(self.route()).and_then(|rest| rest.strip_prefix(": ")).map_or(text.clone(), ToOwned::to_owned)
    }

    /// Returns Intercom's request id, if the answer had one.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused { request_id, .. } | Self::Unknown { lost: Lost::UnreadableBody { request_id, .. }, .. } => {
                request_id.as_deref()
            }
            _ => None,
        }
    }
}
