//! How a call can fail. What to do about it is said by [`disposition`](super::disposition()).

use std::error::Error as StdError;
use std::time::Duration;

use super::reply::Rate;
use super::transport::TransportError;
use crate::domain::redact::redact;

/// What a call was about, in the words of this project; the same whichever door is open.
pub mod route {
    /// The next page of users.
    pub const PAGE: &str = "page";
    /// A few users, to show what a run would do.
    pub const FIRST_USERS: &str = "first users";
    /// One user by id.
    pub const USER: &str = "user";
    /// A bulk job's submission.
    pub const SUBMIT: &str = "submit";
    /// A bulk job's state.
    pub const JOB: &str = "job";
    /// A bulk job's error feed.
    pub const JOB_ERRORS: &str = "job errors";
    /// How many users there are.
    pub const COUNT_USERS: &str = "count users";
    /// Which workspace the token belongs to.
    pub const WORKSPACE: &str = "workspace";
}

/// Why a call has no result. Nothing in it is personal: messages are redacted, bodies are not kept, and no URL is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request never left, so it may be sent again.
    #[error("{route}: {at} could not be reached: {}", root_cause(.source))]
    NotSent {
        /// Which call.
        route: &'static str,
        /// The address without its path.
        at: Box<str>,
        /// What the transport said.
        source: TransportError,
    },
    /// The request may have left and there is no usable answer, so Intercom may have acted on it.
    #[error("{route}: it is not known whether Intercom acted on the request: {lost}")]
    Unknown {
        /// Which call.
        route: &'static str,
        /// How the answer was lost.
        #[source]
        lost: Lost,
        /// The rate window, where headers came.
        rate: Option<Rate>,
    },
    /// Intercom answered with a status other than 2xx.
    #[error(
        "{route}: Intercom answered {status} {code} \"{message}\" (request {})",
        .request_id.as_deref().unwrap_or("without an id")
    )]
    Refused {
        /// Which call.
        route: &'static str,
        /// The HTTP status.
        status: u16,
        /// Intercom's code (older errors: type); empty where the body has none.
        code: Box<str>,
        /// Intercom's message, redacted and bounded; empty where the body has none.
        message: Box<str>,
        /// What Intercom's support asks for.
        request_id: Option<Box<str>>,
        /// The rate window, where headers came.
        rate: Option<Rate>,
        /// `Retry-After` in seconds, where it came in that form.
        retry_after_s: Option<u64>,
    },
    /// We do not send this.
    #[error("{route}: not sent, because {reason}")]
    Invalid {
        /// Which call.
        route: &'static str,
        /// What is wrong with it.
        #[source]
        reason: Invalid,
    },
}

/// How an answer was lost.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The connection ended first.
    #[error("the connection failed: {}", root_cause(.0))]
    Connection(#[source] TransportError),
    /// It did not come in time.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// How long was waited.
        after: Duration,
    },
    /// It came, and cannot be used.
    #[error("status {status}, but {reason}")]
    UnreadableBody {
        /// The HTTP status.
        status: u16,
        /// What is wrong with the body; never the body itself.
        reason: &'static str,
        /// What Intercom's support asks for.
        request_id: Option<Box<str>>,
    },
}

/// Why a request is not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A submission of nothing.
    #[error("there are no patches")]
    NoPatches,
    /// More patches than Intercom takes in one request.
    #[error("{count} patches are more than one bulk job takes")]
    TooManyPatches {
        /// How many.
        count: usize,
    },
    /// A patch that changes nothing.
    #[error("patch {index} has no changes")]
    NoChanges {
        /// Its place, from 0.
        index: usize,
    },
    /// A patch that would write to what identifies the user, or past its own target.
    #[error("patch {index} sets a field that cannot be set")]
    ReservedField {
        /// Its place, from 0.
        index: usize,
    },
    /// A value that Intercom does not take: an array or an object.
    #[error("patch {index} sets a value that is not a string, number, boolean or null")]
    NotScalar {
        /// Its place, from 0.
        index: usize,
    },
    /// A cursor longer than any that Intercom gave us.
    #[error("the cursor is empty or too long")]
    Cursor,
}

/// The first cause of an error, which alone says what happened: "Connection refused".
fn root_cause(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    redact(&cause.to_string())
}

impl Error {
    /// Which call failed; one of [`route`]'s words.
    pub fn route(&self) -> &'static str {
        match self {
            Self::NotSent { route, .. }
            | Self::Unknown { route, .. }
            | Self::Refused { route, .. }
            | Self::Invalid { route, .. } => route,
        }
    }

    /// The rate window that came with the answer: a failed call counts against it too.
    pub fn rate(&self) -> Option<Rate> {
        match self {
            Self::Unknown { rate, .. } | Self::Refused { rate, .. } => *rate,
            Self::NotSent { .. } | Self::Invalid { .. } => None,
        }
    }

    /// The HTTP status, where one came.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } | Self::Unknown { lost: Lost::UnreadableBody { status, .. }, .. } => {
                Some(*status)
            }
            _ => None,
        }
    }

    /// Intercom's code; empty where there is none.
    pub fn code(&self) -> &str {
        if let Self::Refused { code, .. } = self { code } else { "" }
    }

    /// The error without the name of the call, for a user's row: status, code and message of a refusal.
    pub fn said(&self) -> String {
        let text = self.to_string();
        text.strip_prefix(self.route()).and_then(|rest| rest.strip_prefix(": ")).map_or(text.clone(), ToOwned::to_owned)
    }

    /// Intercom's id of the request, where one came.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Self::Refused { request_id, .. } | Self::Unknown { lost: Lost::UnreadableBody { request_id, .. }, .. } => {
                request_id.as_deref()
            }
            _ => None,
        }
    }
}
