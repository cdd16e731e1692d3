//! The items of bulk jobs.

use serde::{Deserialize, Serialize};

use super::expiry::expires_at_s;
use super::jobs::OPEN;
use crate::domain::api::Api;
use crate::domain::bucket::Bucket;
use crate::domain::found::FoundUsers;
use crate::domain::job::JobId;
use crate::domain::part::PartId;
use crate::domain::run::{FORMAT_1, RunId};
use crate::domain::stored::is_zero;

/// The end of a job, as reported by Intercom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum End {
    /// Intercom accepted every item.
    Completed,
    /// Intercom refused some items, and check read the error feed or the users.
    CompletedWithErrors,
    /// Intercom lost the job or did not report its end in time.
    Unknown,
}

/// A bulk job in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobRow {
    /// Format version.
    pub v: u32,
    /// Intercom's id.
    pub job: JobId,
    /// The bucket that groups it.
    pub bucket: Bucket,
    /// The run.
    pub run: RunId,
    /// The family of the API that it belongs to; V1 in rows of earlier versions.
    #[serde(default, skip_serializing_if = "is_v1")]
    pub api: Api,
    /// The generation of its patches.
    pub generation: u32,
    /// Number of items.
    pub users: u64,
    /// Creation time, in Unix milliseconds.
    pub made_ms: i64,
    /// Sort key of its changes, in a run of format 1.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub changes: String,
    /// The parts of its users. Empty in a run of format 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartOfJob>,
    /// True if one of its parts was also submitted in another job.
    #[serde(default)]
    pub resubmission: bool,
    /// Users of such parts, if the others are in no other job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeated: Option<u64>,
    /// Hash key of the index `due`; present while the job is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<String>,
    /// Time of the next poll in Unix milliseconds, while the job is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_ms: Option<i64>,
    /// Number of polls.
    #[serde(default)]
    pub looks: u32,
    /// Time since which Intercom does not know the job (404), in Unix milliseconds; absent while it
    /// does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_found_ms: Option<i64>,
    /// The end, if the job is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// Users with a final error.
    #[serde(default)]
    pub failed: u64,
    /// Users that Intercom does not have any more.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gone: u64,
    /// Users of whom something else changed a value since they were read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed_since: u64,
    /// The users as reads by id showed them so far, if the job does not say whom it refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<FoundUsers>,
    /// True if all users were read by id after the job's end, which may be unknown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub users_read: bool,
    /// Refused items that name no user of the job.
    #[serde(default)]
    pub unattributed: u64,
    /// Expiry of the row, in Unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The follow-up part with its retryable items, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<PartId>,
    /// Users of the follow-up part.
    #[serde(default)]
    pub again_users: u64,
    /// True if Intercom reported failed items without naming them. `end` is then [`End::Unknown`].
    #[serde(default)]
    pub failed_unnamed: bool,
}

/// The users of one part that are in a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartOfJob {
    /// The part.
    pub part: PartId,
    /// The places of the users in the part; `None` if all of them are in the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<u32>>,
    /// True if its users are in another job, too, and those of other parts of this job are not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
}

/// The source and content of a job.
#[derive(Clone, Debug)]
pub struct JobOf {
    /// The run.
    pub run: RunId,
    /// The format of the run.
    pub v: u32,
    /// The generation of the patches.
    pub generation: u32,
    /// Number of items.
    pub users: u64,
    /// Sort key of its changes, in a run of format 1.
    pub changes: String,
    /// The parts of its users, otherwise.
    pub parts: Vec<PartOfJob>,
}

/// The results of requests for one user each, besides those that Intercom carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswerCounts {
    /// Users that Intercom refused.
    pub failed: u64,
    /// Users that Intercom does not have any more.
    pub gone: u64,
}

/// Returns whether the family is left out of its row.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_v1(api: &Api) -> bool {
    *api == Api::V1
}

/// The next poll of an open job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NextPoll {
    /// Its time, in Unix milliseconds.
    pub due_ms: i64,
    /// [`JobRow::not_found_ms`] after the present poll.
    pub not_found_ms: Option<i64>,
}

/// The result of a job when it is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The end.
    pub end: End,
    /// Users with a final error.
    pub failed: u64,
    /// Refused items that name no user of the job.
    pub unattributed: u64,
    /// The follow-up part with its retryable items, and the number of its users.
    pub again: Option<(PartId, u64)>,
    /// True if Intercom reported failed items without naming them.
    pub failed_unnamed: bool,
    /// The counts of the users who were read by id, if all of them were.
    pub read: Option<ReadUsers>,
}

/// The counts of a job's users who were read by id, besides those with the new values, those that are
/// sent again and those with an error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadUsers {
    /// Users that Intercom does not have any more.
    pub gone: u64,
    /// Users of whom something else changed a value since they were read.
    pub changed_since: u64,
}

impl Closing {
    /// Creates a result with nothing but an end.
    pub fn with(end: End) -> Self {
        Self { end, failed: 0, unattributed: 0, again: None, failed_unnamed: false, read: None }
    }
}

/// Returns whether it is known what became of a job's users.
pub(super) fn end_is_known(end: Option<End>, users_read: bool) -> bool {
    users_read || matches!(end, Some(End::Completed | End::CompletedWithErrors))
}

/// Returns the number of a job's users who are in no job that was recorded before.
pub(super) fn own_users(users: u64, resubmission: bool, repeated: Option<u64>) -> u64 {
    if resubmission { users.saturating_sub(repeated.unwrap_or(users)) } else { users }
}

impl JobRow {
    /// Returns whether it is known what became of its users: Intercom told how the job ended, or they were
    /// read by id.
    pub fn end_is_known(&self) -> bool {
        end_is_known(self.end, self.users_read)
    }

    /// Returns the number of its users who are in no job that was recorded before.
    pub fn own_users(&self) -> u64 {
        own_users(self.users, self.resubmission, self.repeated)
    }

    /// Returns whether the users of this part are in another job, too, or will be: that job decides what becomes
    /// of them. A row of format 1 does not say it.
    pub fn is_decided_elsewhere(&self, part: &PartId) -> bool {
        let is_repeated = |of: &PartOfJob| of.repeated && of.part == *part;
        self.v > FORMAT_1 && self.resubmission && (self.repeated.is_none() || self.parts.iter().any(is_repeated))
    }

    /// Returns whether some of its users had another end than the rest, and only their number is known: gone
    /// ones, those that something else had changed, and refused items that name no user.
    pub fn counts_unnamed(&self) -> bool {
        self.gone + self.changed_since + self.unattributed > 0
    }

    /// Creates the row of a new job that is due at `due_ms`.
    pub fn open(job: JobId, bucket: Bucket, of: JobOf, made_ms: i64, due_ms: i64) -> Self {
        let JobOf { run, v, generation, users, changes, parts } = of;
        Self {
            v,
            job,
            bucket,
            run,
            api: Api::V1,
            generation,
            users,
            made_ms,
            changes,
            parts,
            resubmission: false,
            repeated: None,
            open: Some(OPEN.to_owned()),
            due_ms: Some(due_ms),
            looks: 0,
            not_found_ms: None,
            end: None,
            failed: 0,
            gone: 0,
            changed_since: 0,
            found: None,
            users_read: false,
            unattributed: 0,
            expires_at: Some(expires_at_s(made_ms)),
            again: None,
            again_users: 0,
            failed_unnamed: false,
        }
    }

    /// Creates the row of requests whose answers are the results. It is never polled.
    pub fn answered(job: JobId, bucket: Bucket, of: JobOf, made_ms: i64, answers: AnswerCounts) -> Self {
        let AnswerCounts { failed, gone } = answers;
        let end = if failed == 0 { End::Completed } else { End::CompletedWithErrors };
        Self { open: None, due_ms: None, end: Some(end), failed, gone, ..Self::open(job, bucket, of, made_ms, made_ms) }
    }
}
