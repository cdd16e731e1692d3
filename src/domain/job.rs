//! A bulk job: Intercom's unit of asynchronous work.

use serde::{Deserialize, Serialize};

use crate::domain::text_newtype::text_newtype;
use crate::domain::user::UserId;

/// If a job has not ended this long after its creation, in milliseconds, its result counts as
/// unknown and the job as closed.
pub const UNKNOWN_AFTER_MS: i64 = 6 * 3600 * 1000;

/// The decision about a job that Intercom does not know (404).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// It may exist, and may still set values: poll it again.
    MayExist {
        /// The first of such answers in a row, in Unix milliseconds.
        since_ms: i64,
    },
    /// It sets no more values, and its result is unknown.
    Lost,
}

/// Decides about a job that was made at `made_ms` and that Intercom does not know at `now_ms`.
/// `since_ms` is the time of the first such answer in a row, before this one.
///
/// One such answer can come from a proxy or from a server that lags, also for a job that was open
/// hours after its creation. Therefore a job is lost only if all answers are alike for as long as a
/// job lives (`life_ms`). Times are in milliseconds.
pub fn after_not_found(made_ms: i64, since_ms: Option<i64>, now_ms: i64, life_ms: i64) -> NotFound {
    let lasts = since_ms.is_some_and(|since_ms| now_ms - since_ms >= life_ms);
    if lasts || now_ms - made_ms >= UNKNOWN_AFTER_MS {
        return NotFound::Lost;
    }
    NotFound::MayExist { since_ms: since_ms.unwrap_or(now_ms) }
}

/// The beginning of the ids of jobs that hold the results of requests for one user each.
const OF_ANSWERS: &str = "put_";

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

    /// Creates the id of the job that holds the results of requests for one user each.
    pub fn of_answers(name: &str) -> Option<Self> {
        Self::new(format!("{OF_ANSWERS}{name}"))
    }

    /// Returns whether the job holds the results of such requests, and is no bulk job of Intercom.
    pub fn is_of_answers(&self) -> bool {
        self.0.starts_with(OF_ANSWERS)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_is_lost_after_a_life_without_another_answer() {
        const MINUTE_MS: i64 = 60_000;
        let may_exist = |minute: i64| NotFound::MayExist { since_ms: minute * MINUTE_MS };
        for (name, since, now, expected) in [
            ("a new job", None, 1, may_exist(1)),
            ("the first such answer about a slow job", None, 40, may_exist(40)),
            ("a minute later", Some(40), 41, may_exist(40)),
            ("for just less than a life", Some(40), 54, may_exist(40)),
            ("for a life", Some(40), 55, NotFound::Lost),
            ("a new job, for a life", Some(1), 16, NotFound::Lost),
            ("the first such answer after six hours", None, 360, NotFound::Lost),
        ] {
            let since_ms = since.map(|minute: i64| minute * MINUTE_MS);
            assert_eq!(after_not_found(0, since_ms, now * MINUTE_MS, 15 * MINUTE_MS), expected, "{name}");
        }
    }
}
