//! The items of parts, and the outcomes of calls on them.

use serde::{Deserialize, Serialize};

use crate::domain::job::JobId;
use crate::domain::part::{Origin, Outcomes, Part, PartId};

/// The end of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartEnd {
    /// Its patches are in jobs, or each is recorded as an error.
    Done,
    /// It was not submitted: its generation is old, or its run does not submit any more.
    Dropped,
    /// It was tried too often; its users are recorded as errors.
    GivenUp,
}

/// A part in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRow {
    /// Its generation.
    pub generation: u32,
    /// Number of users.
    pub users: u64,
    /// The origin; `None` in rows of earlier versions, whose names contain it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Number of leases that count as attempts.
    #[serde(default)]
    pub attempt: u32,
    /// Leases that expired without a record. Each may hide a job whose id is lost, or requests whose
    /// answers are the results.
    #[serde(default)]
    pub lost: u32,
    /// The latest time at which the last of these requests was sent, in Unix milliseconds. Also that of
    /// a request whose answer is its result, and was lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_until_ms: Option<i64>,
    /// The owner of the lease.
    #[serde(rename = "claim_owner", default, skip_serializing_if = "Option::is_none")]
    pub lease_owner: Option<String>,
    /// End of the lease, in Unix milliseconds.
    #[serde(rename = "claim_until_ms", default, skip_serializing_if = "Option::is_none")]
    pub lease_until_ms: Option<i64>,
    /// The reason why the last request for it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Time of that failure, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_ms: Option<i64>,
    /// Time of the first failure since Intercom was last not reached, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// Intercom accepted another request of the run after one for this part had failed: an outage is not
    /// the only reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub others_taken: bool,
    /// The end, if the part has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<PartEnd>,
    /// The outcome of each user, once one has an outcome and the part has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Outcomes>,
    /// The last job that contains patches of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

impl PartRow {
    /// Returns the part of a row whose lease is ours.
    pub(super) fn ours(self, part: &Part) -> OurPart {
        let outcomes = self.outcomes.unwrap_or_else(|| Outcomes::open(part.patches.len()));
        OurPart { attempt: self.attempt, interrupted: self.lost > 0, outcomes }
    }
}

/// The outcome of the request that a part was leased for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Intercom did not carry it out: the attempt does not count.
    NotSent,
    /// The request was tried: the attempt counts.
    Tried,
}

/// A failed request, after which its parts rest.
#[derive(Clone, Copy, Debug)]
pub struct PartRest<'a> {
    /// The number of attempts, including this one, that do not count.
    pub back: u32,
    /// The reason, in words.
    pub why: &'a str,
    /// Intercom was not reached: no request was sent.
    pub is_unreached: bool,
    /// Intercom accepted another request of the run after one for this part had failed.
    pub others_taken: bool,
    /// The present time, in Unix milliseconds.
    pub now_ms: i64,
}

/// A part whose lease is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OurPart {
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// True if a lease of the part expired before: an attempt was interrupted.
    pub interrupted: bool,
    /// The outcomes of its users so far.
    pub outcomes: Outcomes,
}

/// A part of a request, with the outcomes of its users after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartProgress {
    /// The part.
    pub id: PartId,
    /// The outcomes. If none is open, the part is done.
    pub outcomes: Outcomes,
}

/// The outcome of a request for a part's lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartLease {
    /// The lease is ours.
    Ours(OurPart),
    /// Another owner has the lease.
    Busy,
    /// The part has ended.
    Ended(PartEnd),
}
