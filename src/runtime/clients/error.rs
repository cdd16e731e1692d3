//! The errors of a step.

use crate::domain::api::{ApiRefusal, ApiVersion};
use crate::domain::run::{Earlier, RunId};
use crate::ledger::LedgerError;
use crate::queue::QueueError;
use crate::runtime::invocation::Invocation;

/// The error of a step. Lambda delivers the event again, so no user is lost.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum StepError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    Event(#[from] crate::runtime::event::EventError),
    #[error(transparent)]
    Plan(#[from] crate::plan::PlanError),
    #[error("cannot read the plan of run {run}, which a newer version of the functions began: {source}")]
    RunsPlan { run: RunId, source: crate::plan::PlanError },
    #[error(
        "an invocation of {step} has {left_s} s but needs at least {least_s} s: raise the function's time-out \
         (template.yaml has the right one)"
    )]
    TimeOut { step: &'static str, left_s: i64, least_s: i64 },
    #[error("there is no run {run} in the ledger; a start that waits for its begin is no run yet")]
    NoRun { run: RunId },
    #[error(
        "the run is not begun: API {version} does not have {}. Use another field, or set INTERCOM_API to a version that \
         has it",
        .lacking.join(", ")
    )]
    NotOfApi {
        version: ApiVersion,
        /// The fields that the plan reads or writes, and that this version does not have.
        lacking: Vec<String>,
    },
    #[error("the run is not begun: {0}")]
    NoApi(#[from] ApiRefusal),
    #[error(
        "the run is not begun: for a day Intercom did not answer which version of its API serves the access token. The last \
         failure: {said}"
    )]
    ApiUnknown { said: String },
    #[error(
        "the run is not begun: for a day it was not known which workspace the access token belongs to. The last failure: \
         {said}"
    )]
    WorkspaceUnknown { said: String },
    #[error(
        "the run is not begun: for a day Intercom did not list the custom attributes that the plan writes. The last failure: \
         {said}"
    )]
    AttributesUnknown { said: String },
    #[error("the run is not begun: {}", .problems.join("; "))]
    Attributes {
        /// The attributes that cannot be written, one sentence each.
        problems: Vec<String>,
    },
    #[error(
        "Intercom was asked to create {} and does not list it yet: start again in a minute",
        .names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ")
    )]
    NotListed {
        /// The attributes.
        names: Vec<String>,
    },
    #[error("there is no plan named \"{name}\" in the ledger: store it first, or give the plan itself")]
    NoPlan { name: String },
    #[error(
        "the run is not begun: another version of this plan was started for the same second, and has its name, {run}. \
         Start it again for another time"
    )]
    Taken { run: RunId },
    #[error("the run is not begun: of the {listed} users of its list the ledger holds {found}. Start it again")]
    ListGone { listed: u64, found: u64 },
    #[error("the undo is not begun: {why}")]
    NotUndone {
        /// The reason, and what to do.
        why: String,
    },
    #[error(
        "the run is not begun: {undo} undid a run of the plan \"{plan}\", and a start would set the values again. Store \
         the plan again with `put`, or start it with `start --unhold`"
    )]
    Held { plan: String, undo: RunId },
    #[error("the retry is not begun: {why}")]
    NotRetried {
        /// The reason, and what to do.
        why: String,
    },
}

impl StepError {
    /// Returns the error of a start about an earlier run that cannot begin.
    pub fn not_repeated(earlier: &Earlier<'_>, why: String) -> Self {
        match earlier {
            Earlier::Retry(_) => Self::NotRetried { why },
            Earlier::Undo(_) => Self::NotUndone { why },
        }
    }

    /// Returns whether only a newer version of the functions can handle the message or run, which
    /// is then left to it.
    pub fn is_newer(&self) -> bool {
        match self {
            Self::Ledger(error) => error.is_newer(),
            error => matches!(error, Self::RunsPlan { .. }),
        }
    }

    /// Returns an error if an invocation of `step` begins with less than `least_ms` milliseconds.
    /// Without this check, each invocation would return its messages to the queue and report
    /// success.
    pub(crate) fn unless_time(step: &'static str, at: &Invocation, least_ms: i64) -> Result<(), Self> {
        let left_ms = at.left_ms();
        let short = Self::TimeOut { step, left_s: left_ms / 1000, least_s: least_ms / 1000 };
        if left_ms < least_ms { Err(short) } else { Ok(()) }
    }

    /// Returns the error type for Lambda's callers and logs.
    pub fn error_type(&self) -> &'static str {
        match self {
            Self::Ledger(_) => "Ledger",
            Self::Queue(_) => "Queue",
            Self::Event(_) => "Event",
            Self::Plan(_) | Self::RunsPlan { .. } => "Plan",
            Self::TimeOut { .. } => "TimeOut",
            Self::NoRun { .. } => "NoRun",
            Self::NotOfApi { .. } => "NotOfApi",
            Self::NoApi(_) => "NoApi",
            Self::ApiUnknown { .. } => "ApiUnknown",
            Self::WorkspaceUnknown { .. } => "WorkspaceUnknown",
            Self::AttributesUnknown { .. } => "AttributesUnknown",
            Self::Attributes { .. } => "Attributes",
            Self::NotListed { .. } => "NotListed",
            Self::NoPlan { .. } => "NoPlan",
            Self::Taken { .. } => "Taken",
            Self::ListGone { .. } => "ListGone",
            Self::NotRetried { .. } => "NotRetried",
            Self::NotUndone { .. } => "NotUndone",
            Self::Held { .. } => "Held",
        }
    }

    /// Returns whether every retry of a start that failed with this error fails, too.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Plan(_)
            | Self::NotOfApi { .. }
            | Self::NoApi(_)
            | Self::ApiUnknown { .. }
            | Self::WorkspaceUnknown { .. }
            | Self::AttributesUnknown { .. }
            | Self::Attributes { .. }
            | Self::NoPlan { .. }
            | Self::Taken { .. }
            | Self::ListGone { .. }
            | Self::NotRetried { .. }
            | Self::NotUndone { .. }
            | Self::Held { .. } => true,
            Self::Ledger(_)
            | Self::Queue(_)
            | Self::Event(_)
            | Self::NotListed { .. }
            | Self::RunsPlan { .. }
            | Self::TimeOut { .. }
            | Self::NoRun { .. } => false,
        }
    }
}
