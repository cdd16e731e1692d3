//! Parts: leased before their patches are submitted, and marked with their end.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use serde::{Deserialize, Serialize};

use super::attributes::{NOT_NEWER, attribute, key, n, number, run_pk, s};
use super::expiry::expires_at_s;
use super::{JobRow, Key, Ledger, LedgerError, Write};
use crate::domain::job::JobId;
use crate::domain::part::{Origin, Part, PartId};
use crate::domain::run::{FORMAT, RunId};

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
    /// Leases that expired without a record. Each may hide a job whose id is lost.
    #[serde(default)]
    pub lost: u32,
    /// The latest time at which the last of these jobs was created, in Unix milliseconds.
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
    /// Time of the first failure, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// The end, if the part has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<PartEnd>,
    /// The last job that contains patches of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
}

/// The outcome of the request that a part was leased for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Intercom did not carry it out: the attempt does not count.
    NotSent,
    /// The request was tried: the attempt counts.
    Tried,
}

/// The outcome of a request for a part's lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartLease {
    /// The lease is ours; number of the attempt, from 1.
    Ours(u32),
    /// Another owner has the lease.
    Busy,
    /// The part has ended.
    Ended(PartEnd),
}

/// Releases the lease of a part that has not ended.
const GIVE_BACK: &str = "REMOVE claim_owner, claim_until_ms ADD attempt :attempt, lost :lost";

/// A request under a lease is sent before the lease expires.
const LOST_UNTIL: &str = "lost_until_ms = claim_until_ms";

/// The end of a part, with the writer and time.
#[derive(Clone, Copy)]
struct Ending<'a> {
    end: PartEnd,
    owner: &'a str,
    now_ms: i64,
}

fn part_key(run: &RunId, id: &PartId) -> Key {
    key(run_pk(run), format!("PART#{id}"))
}

impl Ledger {
    /// Leases a part. Takes over an expired lease and counts it as a possibly lost job.
    pub async fn lease_part(
        &self,
        part: &Part,
        owner: &str,
        now_ms: i64,
        until_ms: i64,
    ) -> Result<PartLease, LedgerError> {
        if let Some(attempt) = self.try_lease(part, owner, until_ms, None).await? {
            return Ok(PartLease::Ours(attempt));
        }
        let Some(row) = self.part(&part.run, &part.id).await? else { return Ok(PartLease::Busy) };
        match (row.end, row.lease_until_ms) {
            (Some(end), _) => Ok(PartLease::Ended(end)),
            // Our own lease: its answer was lost.
            (None, _) if row.lease_owner.as_deref() == Some(owner) => Ok(PartLease::Ours(row.attempt)),
            (None, Some(until)) if until < now_ms => {
                let taken = self.try_lease(part, owner, until_ms, Some(until)).await?;
                Ok(taken.map_or(PartLease::Busy, PartLease::Ours))
            }
            (None, _) => Ok(PartLease::Busy),
        }
    }

    async fn try_lease(
        &self,
        part: &Part,
        owner: &str,
        until_ms: i64,
        expired: Option<i64>,
    ) -> Result<Option<u32>, LedgerError> {
        let remembers = if expired.is_some() { ", lost_until_ms = :expired" } else { "" };
        let update = format!(
            "SET generation = :generation, #users = :users, origin = :origin, expires_at = :expires, \
             claim_owner = :owner, claim_until_ms = :until{remembers} ADD attempt :one, lost :lost"
        );
        let write = Write::update(&part_key(&part.run, &part.id), update)
            .with(":generation", n(part.id.generation))
            .with(":users", n(part.patches.len()))
            .with(":origin", attribute(&part.id.origin, &part.id)?)
            .with(":expires", n(expires_at_s(until_ms)))
            .with(":format", n(FORMAT))
            .with(":owner", s(owner))
            .with(":until", n(until_ms))
            .with(":one", n(1))
            .with(":lost", n(u32::from(expired.is_some())));
        let write = match expired {
            None => write
                .when(format!("attribute_not_exists(#end) AND attribute_not_exists(claim_until_ms) AND {NOT_NEWER}")),
            Some(at) => write
                .when(format!("attribute_not_exists(#end) AND claim_until_ms = :expired AND {NOT_NEWER}"))
                .with(":expired", n(at)),
        };
        let Some(leased) = self.send_for(write, Some(ReturnValue::UpdatedNew)).await? else { return Ok(None) };
        // A default would make every attempt the first.
        let missing = || LedgerError::Missing { what: "attempt", key: part.id.to_string() };
        number(&leased, "attempt").ok_or_else(missing).map(Some)
    }

    /// Returns a part's row.
    pub async fn part(&self, run: &RunId, id: &PartId) -> Result<Option<PartRow>, LedgerError> {
        self.get(&part_key(run, id)).await
    }

    /// Releases a lease according to the outcome of the request.
    pub async fn release_part(&self, part: &Part, owner: &str, release: Release) -> Result<(), LedgerError> {
        let attempt = if release == Release::NotSent { -1 } else { 0 };
        self.update_leased(part, owner, GIVE_BACK, attempt, 0, &[]).await
    }

    /// Releases a lease after a failed request; `counts` decides whether the attempt counts.
    pub async fn rest_part(
        &self,
        part: &Part,
        owner: &str,
        counts: bool,
        why: &str,
        now_ms: i64,
    ) -> Result<(), LedgerError> {
        let update = format!("SET why = :why, tried_ms = :now, since_ms = if_not_exists(since_ms, :now) {GIVE_BACK}");
        let attempt = if counts { 0 } else { -1 };
        self.update_leased(part, owner, &update, attempt, 0, &[(":why", s(why)), (":now", n(now_ms))]).await
    }

    /// Records that the request may have created a job whose id is lost. The lease stays.
    pub async fn possibly_lost(&self, part: &Part, owner: &str) -> Result<(), LedgerError> {
        self.update_leased(part, owner, &format!("SET {LOST_UNTIL} ADD attempt :attempt, lost :lost"), 0, 1, &[]).await
    }

    async fn update_leased(
        &self,
        part: &Part,
        owner: &str,
        update: &str,
        attempt: i32,
        lost: i32,
        more: &[(&str, AttributeValue)],
    ) -> Result<(), LedgerError> {
        let write = Write::update(&part_key(&part.run, &part.id), update)
            .when("claim_owner = :owner AND attribute_not_exists(#end)")
            .with(":owner", s(owner))
            .with(":attempt", n(attempt))
            .with(":lost", n(lost));
        self.send(more.iter().fold(write, |write, (name, value)| write.with(name, value.clone()))).await.map(|_| ())
    }

    /// Ends a part of which `owner` created no job: dropped, given up, or all users refused. An
    /// existing end stays. Another owner's lease may hide a job, so the end counts it as lost.
    pub async fn end_part(&self, part: &Part, end: PartEnd, owner: &str, now_ms: i64) -> Result<(), LedgerError> {
        const OURS: &str = "(attribute_not_exists(claim_owner) OR claim_owner = :owner)";
        // If the other owner released its lease in between, there is no time to store.
        const THEIRS: &str = "claim_owner <> :owner AND attribute_exists(claim_until_ms)";
        let ending = Ending { end, owner, now_ms };
        if self.try_end(part, ending, OURS, 0).await? || self.try_end(part, ending, THEIRS, 1).await? {
            return Ok(());
        }
        self.try_end(part, ending, OURS, 0).await.map(|_| ())
    }

    async fn try_end(&self, part: &Part, ending: Ending<'_>, whose: &str, lost: u32) -> Result<bool, LedgerError> {
        let Ending { end, owner, now_ms } = ending;
        let remembers = if lost > 0 { format!(", {LOST_UNTIL}") } else { String::new() };
        let update = format!(
            "SET #end = :end, generation = :generation, #users = :users, origin = :origin, \
             expires_at = :expires{remembers} REMOVE claim_owner, claim_until_ms ADD lost :lost"
        );
        let write = Write::update(&part_key(&part.run, &part.id), update)
            .when(format!("attribute_not_exists(#end) AND {whose} AND {NOT_NEWER}"))
            .with(":end", attribute(end, &part.id)?)
            .with(":generation", n(part.id.generation))
            .with(":users", n(part.patches.len()))
            .with(":origin", attribute(&part.id.origin, &part.id)?)
            .with(":expires", n(expires_at_s(now_ms)))
            .with(":format", n(FORMAT))
            .with(":owner", s(owner))
            .with(":lost", n(lost));
        self.send(write).await
    }

    /// Returns the done mark of a part, for the transaction that records its job.
    pub(super) fn done_mark(id: &PartId, owner: &str, row: &JobRow) -> Write {
        let update = "SET #end = :end, job = :job, #bucket = :bucket, expires_at = :expires \
                      REMOVE claim_owner, claim_until_ms";
        Write::update(&part_key(&row.run, id), update)
            .when("claim_owner = :owner AND attribute_not_exists(#end)")
            .with(":end", s("done"))
            .with(":job", s(&row.job))
            .with(":bucket", s(&row.bucket))
            .with(":expires", n(expires_at_s(row.made_ms)))
            .with(":owner", s(owner))
    }
}
