//! Parts: leased before their patches are submitted, and marked with their end.

use super::attributes::{self, Item, NOT_NEWER, attribute, key, n, number, run_pk, s};
use super::counts::Change;
use super::expiry::expires_at_s;
use super::part_rows::{OurPart, PartEnd, PartLease, PartProgress, PartRest, PartRow, Release};
use super::{JobRow, Key, Ledger, LedgerError, Write};
use crate::domain::part::{Outcomes, Part, PartId};
use crate::domain::run::{Counts, FORMAT, FORMAT_1, RunId};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

/// Releases the lease of a part that has not ended.
const GIVE_BACK: &str = "outcomes = :outcomes REMOVE claim_owner, claim_until_ms ADD attempt :attempt, lost :lost";

/// A request under a lease is sent before the lease expires.
const LOST_UNTIL: &str = "lost_until_ms = claim_until_ms";

/// The end of a part, with the writer and time.
#[derive(Clone, Copy)]
struct Ending<'a> {
    end: PartEnd,
    /// Users that it makes errors of.
    failed: u64,
    owner: &'a str,
    now_ms: i64,
}

/// Returns the sort key of a part.
pub(super) fn part_sk(id: &PartId) -> String {
    format!("PART#{id}")
}

fn part_key(run: &RunId, id: &PartId) -> Key {
    key(run_pk(run), part_sk(id))
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
        let write = Self::lease_write(part, owner, until_ms, None)?;
        if let Some(leased) = self.send_for(write, Some(ReturnValue::AllNew)).await? {
            return Ok(PartLease::Ours(Self::ours(part, &leased)?));
        }
        let Some(row) = self.part(&part.run, &part.id).await? else { return Ok(PartLease::Busy) };
        match (row.end, row.lease_until_ms) {
            (Some(end), _) => Ok(PartLease::Ended(end)),
            // Our own lease: its answer was lost.
            (None, _) if row.lease_owner.as_deref() == Some(owner) => Ok(PartLease::Ours(row.ours(part))),
            (None, Some(until)) if until < now_ms => {
                let write = Self::lease_write(part, owner, until_ms, Some(until))?;
                self.send_counted(write, part, Counts { lost: 1, ..Counts::default() }, now_ms).await?;
                let row = self.part(&part.run, &part.id).await?;
                let taken = row.filter(|row| row.end.is_none() && row.lease_owner.as_deref() == Some(owner));
                Ok(taken.map_or(PartLease::Busy, |row| PartLease::Ours(row.ours(part))))
            }
            (None, _) => Ok(PartLease::Busy),
        }
    }

    /// Sends a write of a part that changes the counts of its run, in one transaction. Returns `false` if
    /// its condition failed.
    async fn send_counted(&self, write: Write, part: &Part, counts: Counts, now_ms: i64) -> Result<bool, LedgerError> {
        let counted = Self::counts_write(part, counts, now_ms)?;
        self.send_all(std::iter::once(write).chain(counted).collect()).await
    }

    /// Returns the write of a change of counts. Runs of format 1 have no counts.
    fn counts_write(part: &Part, counts: Counts, now_ms: i64) -> Result<Option<Write>, LedgerError> {
        let changes = part.v > FORMAT_1 && counts != Counts::default();
        changes.then(|| Change::without_job(&part.run, part.id.generation, counts, now_ms).write()).transpose()
    }

    /// Returns the write that leases a part, or takes over a lease that expired at that time.
    fn lease_write(part: &Part, owner: &str, until_ms: i64, expired: Option<i64>) -> Result<Write, LedgerError> {
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
        Ok(match expired {
            None => write
                .when(format!("attribute_not_exists(#end) AND attribute_not_exists(claim_until_ms) AND {NOT_NEWER}")),
            Some(at) => write
                .when(format!("attribute_not_exists(#end) AND claim_until_ms = :expired AND {NOT_NEWER}"))
                .with(":expired", n(at)),
        })
    }

    /// Returns the part of a lease's answer.
    fn ours(part: &Part, leased: &Item) -> Result<OurPart, LedgerError> {
        // A default would make every attempt the first.
        let missing = || LedgerError::Missing { what: "attempt", key: part.id.to_string() };
        let attempt = number(leased, "attempt").ok_or_else(missing)?;
        let unreadable = |source| LedgerError::Decode { key: part.id.to_string(), source };
        let stored = leased.get("outcomes").cloned().map(serde_dynamo::from_attribute_value).transpose();
        let outcomes = stored.map_err(unreadable)?.unwrap_or_else(|| Outcomes::open(part.patches.len()));
        let interrupted = number::<u32>(leased, "lost").is_some_and(|lost| lost > 0);
        Ok(OurPart { attempt, interrupted, outcomes })
    }

    /// Returns a part's row.
    pub async fn part(&self, run: &RunId, id: &PartId) -> Result<Option<PartRow>, LedgerError> {
        self.get(&part_key(run, id)).await
    }

    /// Ends the leases of a run's parts, whose owners are gone.
    pub(super) async fn end_part_leases(&self, run: &RunId, until_ms: i64) -> Result<(), LedgerError> {
        let mut leased = Vec::new();
        self.pages(&run_pk(run), "PART#", |items| {
            for item in items {
                let at = item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
                let row: PartRow = attributes::read(item, "PART")?;
                let is_valid = row.end.is_none() && row.lease_until_ms.is_some_and(|at_ms| at_ms > until_ms);
                leased.extend(row.lease_owner.filter(|_| is_valid).map(|owner| (at, owner)));
            }
            Ok(true)
        })
        .await?;
        for (at, owner) in leased {
            let write = Write::update(&key(run_pk(run), at), "SET claim_until_ms = :until")
                .when("claim_owner = :owner AND attribute_not_exists(#end)")
                .with(":owner", s(owner))
                .with(":until", n(until_ms));
            self.send(write).await?;
        }
        Ok(())
    }

    /// Releases a lease according to the outcome of the request.
    pub async fn release_part(
        &self,
        part: &Part,
        owner: &str,
        outcomes: &Outcomes,
        release: Release,
    ) -> Result<(), LedgerError> {
        let write = Self::leased(part, owner, &format!("SET {GIVE_BACK}"))
            .with(":outcomes", attribute(outcomes, &part.id)?)
            .with(":attempt", n(if release == Release::NotSent { -1 } else { 0 }))
            .with(":lost", n(0));
        self.send(write).await.map(|_| ())
    }

    /// Releases a lease after a failed request.
    pub async fn rest_part(
        &self,
        part: &Part,
        owner: &str,
        outcomes: &Outcomes,
        rest: PartRest<'_>,
    ) -> Result<(), LedgerError> {
        let PartRest { is_unreached, others_taken, .. } = rest;
        // Time without a connection is no failure of these users.
        let since = if is_unreached { "" } else { ", since_ms = if_not_exists(since_ms, :now)" };
        let others = if others_taken { ", others_taken = :others" } else { "" };
        let remove = if is_unreached { ", since_ms" } else { "" };
        let update = format!(
            "SET why = :why, tried_ms = :now{since}{others}, outcomes = :outcomes \
             REMOVE claim_owner, claim_until_ms{remove} ADD attempt :attempt, lost :lost"
        );
        let mut write = Self::leased(part, owner, &update);
        if others_taken {
            write = write.with(":others", AttributeValue::Bool(true));
        }
        let write = write
            .with(":why", s(rest.why))
            .with(":now", n(rest.now_ms))
            .with(":outcomes", attribute(outcomes, &part.id)?)
            .with(":attempt", n(-i64::from(rest.back)))
            .with(":lost", n(0));
        self.send(write).await.map(|_| ())
    }

    /// Records that Intercom accepted another request after one for the part had failed. The lease stays.
    pub async fn note_others_taken(&self, part: &Part, owner: &str) -> Result<(), LedgerError> {
        let write = Self::leased(part, owner, "SET others_taken = :others").with(":others", AttributeValue::Bool(true));
        self.send(write).await.map(|_| ())
    }

    /// Begins the attempts at a part again, before some of its users are given up. The lease stays, and is
    /// the first attempt.
    pub async fn begin_attempts(&self, part: &Part, owner: &str) -> Result<(), LedgerError> {
        self.send(Self::leased(part, owner, "SET attempt = :first").with(":first", n(1))).await.map(|_| ())
    }

    /// Records that the request may have created a job whose id is lost. The lease stays.
    pub async fn possibly_lost(&self, part: &Part, owner: &str, now_ms: i64) -> Result<(), LedgerError> {
        let write = Self::leased(part, owner, &format!("SET {LOST_UNTIL} ADD lost :lost")).with(":lost", n(1));
        self.send_counted(write, part, Counts { lost: 1, ..Counts::default() }, now_ms).await.map(|_| ())
    }

    /// Records that requests for users of the part, sent at `sent_ms` at the latest, have no known outcome.
    /// The lease stays.
    pub async fn answers_lost(&self, part: &Part, owner: &str, sent_ms: i64) -> Result<(), LedgerError> {
        // Another owner recorded the end of our lease, which is later.
        let write = Self::leased(part, owner, "SET lost_until_ms = :sent").with(":sent", n(sent_ms));
        self.send(write).await.map(|_| ())
    }

    /// Begins an update of a part that `owner` has leased.
    fn leased(part: &Part, owner: &str, update: &str) -> Write {
        Write::update(&part_key(&part.run, &part.id), update)
            .when("claim_owner = :owner AND attribute_not_exists(#end)")
            .with(":owner", s(owner))
    }

    /// Ends a part of which `owner` created no job: dropped, given up, or all users refused. An
    /// existing end stays. Another owner's lease may hide a job, so the end counts it as lost.
    pub async fn end_part(&self, part: &Part, end: PartEnd, owner: &str, now_ms: i64) -> Result<(), LedgerError> {
        self.end_once(part, Ending { end, failed: 0, owner, now_ms }).await
    }

    /// Ends a part like [`Self::end_part`], and counts its open users as errors in the same transaction.
    pub async fn give_up_part(&self, part: &Part, failed: u64, owner: &str, now_ms: i64) -> Result<(), LedgerError> {
        self.end_once(part, Ending { end: PartEnd::GivenUp, failed, owner, now_ms }).await
    }

    async fn end_once(&self, part: &Part, ending: Ending<'_>) -> Result<(), LedgerError> {
        const OURS: &str = "(attribute_not_exists(claim_owner) OR claim_owner = :owner)";
        // If the other owner released its lease in between, there is no time to store.
        const THEIRS: &str = "claim_owner <> :owner AND attribute_exists(claim_until_ms)";
        if self.try_end(part, ending, OURS, 0).await? || self.try_end(part, ending, THEIRS, 1).await? {
            return Ok(());
        }
        self.try_end(part, ending, OURS, 0).await.map(|_| ())
    }

    async fn try_end(&self, part: &Part, ending: Ending<'_>, whose: &str, lost: u32) -> Result<bool, LedgerError> {
        let Ending { end, failed, owner, now_ms } = ending;
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
        let counts = Counts { parts_ended: 1, lost: lost.into(), ..Counts::default() };
        let mut writes = vec![write];
        writes.extend(Self::counts_write(part, counts, now_ms)?);
        writes.extend((failed > 0).then(|| Self::errors_write(&part.run, failed)));
        self.send_all(writes).await
    }

    /// Returns the write of a part's progress, for the transaction that records its job: the done
    /// mark, or the outcomes of its users if some are open.
    pub(super) fn progress_write(progress: &PartProgress, owner: &str, row: &JobRow) -> Result<Write, LedgerError> {
        let PartProgress { id, outcomes } = progress;
        let at = part_key(&row.run, id);
        let write = if outcomes.left() == 0 {
            let update = "SET #end = :end, job = :job, #bucket = :bucket, expires_at = :expires \
                          REMOVE claim_owner, claim_until_ms, outcomes";
            Write::update(&at, update).with(":end", s("done")).with(":expires", n(expires_at_s(row.made_ms)))
        } else {
            let update = "SET outcomes = :outcomes, job = :job, #bucket = :bucket";
            Write::update(&at, update).with(":outcomes", attribute(outcomes, id)?)
        };
        Ok(write
            .when("claim_owner = :owner AND attribute_not_exists(#end)")
            .with(":job", s(&row.job))
            .with(":bucket", s(&row.bucket))
            .with(":owner", s(owner)))
    }
}
