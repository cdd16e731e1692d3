//! Parts: leased before their patches are submitted, and marked with their end.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};

use super::active::built;
use super::error::conditional;
use super::expiry::expires_at_s;
use super::items::{NOT_NEWER, key, n, run_pk, s};
use super::{JobRow, Key, Ledger, LedgerError};
use crate::domain::bucket::Bucket;
use crate::domain::job::JobId;
use crate::domain::part::{Origin, Part, PartId};
use crate::domain::run::{FORMAT, RunId};

/// How a part ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartEnd {
    /// Its patches are in jobs, or recorded as errors one by one.
    Done,
    /// It was not submitted: of an older generation, or of a run that does not submit any more.
    Dropped,
    /// It was tried too often; its users are recorded as errors.
    GivenUp,
}

/// A part as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRow {
    /// The generation that made it.
    pub generation: u32,
    /// Its users.
    pub users: u64,
    /// Where it comes from; none in rows of earlier versions, whose names alone tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Times it was leased.
    #[serde(default)]
    pub attempt: u32,
    /// Leases that expired without a record: each may have made a job whose id is lost.
    #[serde(default)]
    pub lost: u32,
    /// When the last of these jobs was made at the latest, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_until_ms: Option<i64>,
    /// Who submits it.
    #[serde(rename = "claim_owner", default, skip_serializing_if = "Option::is_none")]
    pub lease_owner: Option<String>,
    /// Until when that is believed, in Unix milliseconds.
    #[serde(rename = "claim_until_ms", default, skip_serializing_if = "Option::is_none")]
    pub lease_until_ms: Option<i64>,
    /// Why the last request for it failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When that was, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried_ms: Option<i64>,
    /// When the first one failed, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<PartEnd>,
    /// The last job that took of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// That job's bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
}

/// What became of the request that a part was leased for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// It was surely not carried out: the attempt does not count.
    NotSent,
    /// It was tried: the attempt counts.
    Tried,
}

/// What a lease of a part found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartLease {
    /// Ours; the attempt this is, from 1.
    Ours(u32),
    /// Somebody else submits it.
    Busy,
    /// It has its end.
    Ended(PartEnd),
}

/// Ends a lease without an end of the part.
const GIVE_BACK: &str = "REMOVE claim_owner, claim_until_ms ADD attempt :attempt, lost :lost";

/// A request under a lease was made before the lease expires.
const LOST_UNTIL: &str = "lost_until_ms = claim_until_ms";

/// What an end of a part is written with.
#[derive(Clone, Copy)]
struct Ending<'a> {
    end: PartEnd,
    owner: &'a str,
    now_ms: i64,
}

/// A value of a part's item, as an attribute.
fn attribute(part: &Part, value: impl Serialize) -> Result<AttributeValue, LedgerError> {
    serde_dynamo::to_attribute_value(value).map_err(|source| LedgerError::Encode { key: part.id.to_string(), source })
}

fn part_key(run: &RunId, id: &PartId) -> Key {
    key(run_pk(run), format!("PART#{id}"))
}

impl Ledger {
    /// Leases a part. An expired lease without an end is taken over, and counted as a possibly lost job.
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
            // Our own lease, whose answer was lost.
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
        let request = self.client.update_item().table_name(&self.table);
        let remembers = if expired.is_some() { ", lost_until_ms = :expired" } else { "" };
        let mut request = request
            .set_key(Some(part_key(&part.run, &part.id).attributes()))
            .update_expression(format!(
                "SET generation = :generation, #users = :users, origin = :origin, expires_at = :expires, \
                 claim_owner = :owner, claim_until_ms = :until{remembers} ADD attempt :one, lost :lost"
            ))
            .expression_attribute_names("#users", "users")
            .expression_attribute_names("#end", "end")
            .expression_attribute_values(":generation", n(part.id.generation))
            .expression_attribute_values(":users", n(part.patches.len()))
            .expression_attribute_values(":origin", attribute(part, &part.id.origin)?)
            .expression_attribute_values(":expires", n(expires_at_s(until_ms)))
            .expression_attribute_values(":format", n(FORMAT))
            .expression_attribute_values(":owner", s(owner))
            .expression_attribute_values(":until", n(until_ms))
            .expression_attribute_values(":one", n(1))
            .expression_attribute_values(":lost", n(u32::from(expired.is_some())))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::UpdatedNew);
        request = match expired {
            None => request.condition_expression(format!(
                "attribute_not_exists(#end) AND attribute_not_exists(claim_until_ms) AND {NOT_NEWER}"
            )),
            Some(at) => request
                .condition_expression(format!(
                    "attribute_not_exists(#end) AND claim_until_ms = :expired AND {NOT_NEWER}"
                ))
                .expression_attribute_values(":expired", n(at)),
        };
        let done = conditional("UpdateItem", request.send().await)?;
        let Some(done) = done else { return Ok(None) };
        // A default would be a first attempt, for ever.
        let attempt = done.attributes.and_then(|found| found.get("attempt")?.as_n().ok()?.parse().ok());
        let missing = || LedgerError::Missing { what: "attempt", key: part.id.to_string() };
        attempt.ok_or_else(missing).map(Some)
    }

    /// A part's row.
    pub async fn part(&self, run: &RunId, id: &PartId) -> Result<Option<PartRow>, LedgerError> {
        self.get(&part_key(run, id)).await
    }

    /// Gives a lease back, for what became of the request.
    pub async fn release_part(&self, part: &Part, owner: &str, release: Release) -> Result<(), LedgerError> {
        let attempt = if release == Release::NotSent { -1 } else { 0 };
        self.update_leased(part, owner, GIVE_BACK, attempt, 0, &[]).await
    }

    /// Gives a lease back after a request that failed for this reason, and says whether the attempt counts.
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

    /// Records that a request for a leased part may have made a job whose id is lost; the lease stays.
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
        let request = self.client.update_item().table_name(&self.table);
        let request = more
            .iter()
            .fold(request, |request, (name, value)| request.expression_attribute_values(*name, value.clone()));
        let sent = request
            .set_key(Some(part_key(&part.run, &part.id).attributes()))
            .update_expression(update)
            .condition_expression("claim_owner = :owner AND attribute_not_exists(#end)")
            .expression_attribute_names("#end", "end")
            .expression_attribute_values(":owner", s(owner))
            .expression_attribute_values(":attempt", n(attempt))
            .expression_attribute_values(":lost", n(lost))
            .send()
            .await;
        conditional("UpdateItem", sent).map(|_| ())
    }

    /// Ends a part of which `owner` made no job: dropped, given up, or all of its users refused one by one. An end that is
    /// there stays. Somebody else's lease may hide a job; the end keeps count of it.
    pub async fn end_part(&self, part: &Part, end: PartEnd, owner: &str, now_ms: i64) -> Result<(), LedgerError> {
        const OURS: &str = "(attribute_not_exists(claim_owner) OR claim_owner = :owner)";
        // Where the other owner released its lease in between, there is no time to remember.
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
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(part_key(&part.run, &part.id).attributes()))
            .update_expression(format!(
                "SET #end = :end, generation = :generation, #users = :users, origin = :origin, \
                 expires_at = :expires{remembers} REMOVE claim_owner, claim_until_ms ADD lost :lost"
            ))
            .condition_expression(format!("attribute_not_exists(#end) AND {whose} AND {NOT_NEWER}"))
            .expression_attribute_names("#end", "end")
            .expression_attribute_names("#users", "users")
            .expression_attribute_values(":end", attribute(part, end)?)
            .expression_attribute_values(":generation", n(part.id.generation))
            .expression_attribute_values(":users", n(part.patches.len()))
            .expression_attribute_values(":origin", attribute(part, &part.id.origin)?)
            .expression_attribute_values(":expires", n(expires_at_s(now_ms)))
            .expression_attribute_values(":format", n(FORMAT))
            .expression_attribute_values(":owner", s(owner))
            .expression_attribute_values(":lost", n(lost))
            .send()
            .await;
        Ok(conditional("UpdateItem", sent)?.is_some())
    }

    /// The done mark of a part, for the transaction that records its job.
    pub(super) fn done_mark(&self, id: &PartId, owner: &str, row: &JobRow) -> Result<TransactWriteItem, LedgerError> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(part_key(&row.run, id).attributes()))
            .update_expression(
                "SET #end = :end, job = :job, #bucket = :bucket, expires_at = :expires REMOVE claim_owner, claim_until_ms",
            )
            .condition_expression("claim_owner = :owner AND attribute_not_exists(#end)")
            .expression_attribute_names("#end", "end")
            .expression_attribute_names("#bucket", "bucket")
            .expression_attribute_values(":end", s("done"))
            .expression_attribute_values(":job", s(&row.job))
            .expression_attribute_values(":bucket", s(&row.bucket))
            .expression_attribute_values(":expires", n(expires_at_s(row.made_ms)))
            .expression_attribute_values(":owner", s(owner));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }
}
