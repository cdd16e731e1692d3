//! A bulk job: what Intercom makes of at most 100 patches.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::domain::user::UserId;

/// Items that one bulk request may carry (the 2016 program, three clients, and the text of today's endpoint agree).
pub const ITEMS_MAX: usize = 100;

/// Intercom's id of a bulk job, opaque (`job_…` until mid-2016, `job_v2_…` after).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct JobId(String);

impl JobId {
    /// Takes an id that can stand in a URL path and in a key; `None` for anything else.
    pub fn new(id: impl Into<String>) -> Option<Self> {
        let id = id.into();
        UserId::new(id.clone()).map(|_| Self(id))
    }

    /// The id as Intercom writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for JobId {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(id).ok_or("no id of a job")
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What Intercom says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// When Intercom made it, in Unix seconds by Intercom's clock, where it says so.
    pub created_at_s: Option<i64>,
    /// How far its work is, told from its tasks: the job itself stays `running` for hours after them.
    pub progress: Progress,
}

/// How far a job's tasks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Some task has not ended, or none is listed.
    Open,
    /// Every task ended; `errors` if any of them, or the job, says that items failed.
    Ended {
        /// Whether the error feed must be read.
        errors: bool,
    },
}

/// One item of a job's error feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemError {
    /// The user, where the feed names one by id.
    pub user: Option<UserId>,
    /// Intercom's code (or, in older feeds, type).
    pub code: String,
    /// Intercom's message, bounded, with anything like an e-mail address taken out.
    pub message: String,
}
