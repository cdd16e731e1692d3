//! A bulk job: Intercom's unit of work, at most 100 patches.

use serde::{Deserialize, Serialize};

use crate::domain::text_newtype::text_newtype;
use crate::domain::user::UserId;

/// The most items of one bulk request. The 2016 program, three clients, and the error text of
/// today's endpoint agree.
pub const ITEMS_MAX: usize = 100;

/// Intercom's id of a bulk job, opaque (`job_…` until mid-2016, `job_v2_…` after).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct JobId(String);

impl JobId {
    /// Accepts an id that is safe in a URL path and in a key; `None` for anything else.
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        UserId::new(id.clone()).map(|_| Self(id))
    }
}

text_newtype!(JobId, JobId::new, "not a valid job id");

/// The state of a job as Intercom reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The job's id.
    pub id: JobId,
    /// Creation time in Unix seconds by Intercom's clock, if reported.
    pub created_at_s: Option<i64>,
    /// The job's progress, from its tasks: the job itself stays `running` for hours after they end.
    pub progress: Progress,
}

/// The progress of a job's tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A task has not ended, or no task is listed.
    Open,
    /// Every task has ended.
    Ended {
        /// True if a task or the job reports failed items, so that the error feed must be read.
        errors: bool,
    },
}

/// One item of a job's error feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// The user, if the feed names one by id.
    pub user: Option<UserId>,
    /// Intercom's code (in older feeds: type).
    pub code: String,
    /// Intercom's message, bounded and redacted.
    pub message: String,
}
