//! A bulk job: Intercom's unit of asynchronous work.

use serde::{Deserialize, Serialize};

use crate::domain::text_newtype::text_newtype;
use crate::domain::user::UserId;

/// If a job has not ended this long after its creation, in milliseconds, its result counts as
/// unknown and the job as closed.
pub const UNKNOWN_AFTER_MS: i64 = 6 * 3600 * 1000;

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
