//! Bulk jobs by bucket: recorded with their parts' done marks, and closed once.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Deserializer};

use super::attributes::{self, attribute, key, n, number, run_pk, s};
use super::counts::Change;
use super::job_rows::{Closing, JobRow, ReadUsers, own_users};
use super::select::Select;
use super::{End, Key, Ledger, LedgerError, PartProgress, Write};
use crate::domain::bucket::Bucket;
use crate::domain::job::JobId;
use crate::domain::part::{Part, PartId};
use crate::domain::run::{FORMAT_1, RunId};

pub(super) const OPEN: &str = "OPEN";
/// Buckets that are read concurrently. A long run has thousands.
const BUCKETS_AT_ONCE: usize = 16;

/// The attributes of a job that the accounts of its run need.
#[derive(Debug, Deserialize)]
pub(super) struct JobSeen {
    /// The sort key has it.
    #[serde(rename = "sk", deserialize_with = "of_sort_key")]
    pub(super) job: JobId,
    pub(super) generation: u32,
    pub(super) users: u64,
    pub(super) made_ms: i64,
    #[serde(default)]
    pub(super) resubmission: bool,
    pub(super) repeated: Option<u64>,
    pub(super) end: Option<End>,
    #[serde(default)]
    pub(super) failed: u64,
    #[serde(default)]
    pub(super) gone: u64,
    #[serde(default)]
    pub(super) changed_since: u64,
    #[serde(default)]
    pub(super) users_read: bool,
    #[serde(default)]
    pub(super) unattributed: u64,
    pub(super) again: Option<PartId>,
    #[serde(default)]
    pub(super) again_users: u64,
    #[serde(default)]
    pub(super) failed_unnamed: bool,
}

impl JobSeen {
    pub(super) fn own_users(&self) -> u64 {
        own_users(self.users, self.resubmission, self.repeated)
    }
}

const OF_JOB: &str = "sk, v, generation, #users, made_ms, resubmission, repeated, #end, failed, gone, \
                      changed_since, users_read, unattributed, again, again_users, failed_unnamed";

fn of_sort_key<'de, D: Deserializer<'de>>(from: D) -> Result<JobId, D::Error> {
    let sk = String::deserialize(from)?;
    let job = sk.strip_prefix("JOB#").and_then(JobId::new);
    job.ok_or_else(|| serde::de::Error::custom("the sort key names no job"))
}

/// The jobs of a bucket to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    Open,
}

fn job_key(bucket: &Bucket, job: &JobId) -> Key {
    key(format!("BUCKET#{bucket}"), format!("JOB#{job}"))
}

impl Ledger {
    /// Records a job, the progress of its parts and its counts in one transaction. If a part is no
    /// longer leased by `owner`, another owner submitted it too: the job is then recorded as a resubmission,
    /// with the progress of the parts that `owner` has leased. Returns whether it is a resubmission. The call
    /// is idempotent.
    pub async fn record_job(&self, row: &JobRow, progress: &[PartProgress], owner: &str) -> Result<bool, LedgerError> {
        let at = job_key(&row.bucket, &row.job);
        let (mut row, mut ours): (JobRow, Vec<&PartProgress>) = (row.clone(), progress.iter().collect());
        loop {
            let mut writes = vec![Write::put(attributes::item(&at, &row)?).when("attribute_not_exists(pk)")];
            for part in &ours {
                writes.push(Self::progress_write(part, owner, &row)?);
            }
            if row.v > FORMAT_1 {
                let ended = ours.iter().filter(|part| part.outcomes.left() == 0).count();
                writes.push(Change::made(&row, ended).write()?);
            }
            if self.transact(writes).await? {
                return Ok(row.resubmission);
            }
            // An existing row was written by this call before its answer was lost.
            if let Some(there) = self.get::<JobRow>(&at).await? {
                return Ok(there.resubmission);
            }
            let before = ours.len();
            self.leave_others(&mut row, &mut ours, owner).await?;
            // The condition of one of them failed, and their rows do not show why.
            if ours.len() == before {
                (row.repeated, ours) = (None, Vec::new());
            }
        }
    }

    /// Leaves out the parts that `owner` has not leased any more: their users are in another job, or will be.
    async fn leave_others(
        &self,
        row: &mut JobRow,
        ours: &mut Vec<&PartProgress>,
        owner: &str,
    ) -> Result<(), LedgerError> {
        let mut repeated = row.repeated.unwrap_or_default();
        for part in std::mem::take(ours) {
            let now = self.part(&row.run, &part.id).await?;
            if now.as_ref().is_some_and(|now| now.end.is_none() && now.lease_owner.as_deref() == Some(owner)) {
                ours.push(part);
                continue;
            }
            let all = now.map_or(0, |now| now.users);
            for of in row.parts.iter_mut().filter(|of| of.part == part.id) {
                of.repeated = true;
                repeated += of.users.as_ref().map_or(all, |users| users.len() as u64);
            }
        }
        row.resubmission = true;
        // A row of format 1 does not name its parts.
        row.repeated = (!ours.is_empty() && row.v > FORMAT_1).then_some(repeated);
        Ok(())
    }

    /// Closes a job, and counts it and its failed users, in one transaction. Returns `false` if it was
    /// already closed.
    pub async fn close_job(&self, row: &JobRow, closing: &Closing) -> Result<bool, LedgerError> {
        self.close_job_with(row, closing, None).await
    }

    /// The same, and writes the patches of the job's follow-up part in the same transaction. Two checks of
    /// one job may find that other users lack the new values: the patches are those of the one that closed
    /// the job.
    pub async fn close_job_with(
        &self,
        row: &JobRow,
        closing: &Closing,
        body: Option<(&Part, i64)>,
    ) -> Result<bool, LedgerError> {
        let end = attribute(closing.end, &row.job)?;
        let mut update = "SET #end = :end, failed = :failed, unattributed = :unattributed".to_owned();
        let mut values =
            vec![(":end", end), (":failed", n(closing.failed)), (":unattributed", n(closing.unattributed))];
        if let Some((again, users)) = &closing.again {
            let value = attribute(again, &row.job)?;
            update.push_str(", again = :again, again_users = :again_users");
            values.extend([(":again", value), (":again_users", n(*users))]);
        }
        if closing.failed_unnamed {
            update.push_str(", failed_unnamed = :unnamed");
            values.push((":unnamed", AttributeValue::Bool(true)));
        }
        if let Some(ReadUsers { gone, changed_since }) = closing.read {
            update.push_str(", users_read = :read, gone = :gone, changed_since = :changed");
            values.extend([(":read", AttributeValue::Bool(true)), (":gone", n(gone)), (":changed", n(changed_since))]);
        }
        update.push_str(" REMOVE #open, due_ms, #found");
        let mut writes = vec![Self::job_write(row, &update, "attribute_exists(#open)", values)];
        if row.v > FORMAT_1 {
            writes.push(Change::closed(row, closing).write()?);
        }
        if closing.failed > 0 {
            writes.push(Self::errors_write(&row.run, closing.failed));
        }
        if let Some((part, now_ms)) = body {
            writes.push(Self::body_write(part, now_ms)?);
        }
        self.send_all(writes).await
    }

    pub(super) fn job_write(row: &JobRow, update: &str, condition: &str, values: Vec<(&str, AttributeValue)>) -> Write {
        let write = Write::update(&job_key(&row.bucket, &row.job), update).when(condition);
        values.into_iter().fold(write, |write, (name, value)| write.with(name, value))
    }

    /// Returns a job, read consistently.
    pub async fn job(&self, row: &JobRow) -> Result<Option<JobRow>, LedgerError> {
        self.get(&job_key(&row.bucket, &row.job)).await
    }

    /// Returns whether a job is open.
    pub async fn is_open(&self, bucket: &Bucket, job: &JobId) -> Result<bool, LedgerError> {
        Ok(self.get::<JobRow>(&job_key(bucket, job)).await?.is_some_and(|row| row.end.is_none()))
    }

    /// Returns the jobs of a bucket: a query of one partition.
    pub async fn jobs(&self, bucket: &Bucket) -> Result<Vec<JobRow>, LedgerError> {
        let found = self.query(&format!("BUCKET#{bucket}"), "JOB#", usize::MAX).await?;
        found.into_iter().map(|item| attributes::read(item, "JOB")).collect()
    }

    /// Reads jobs of a run in these buckets, in any order.
    pub(super) async fn jobs_seen(
        &self,
        run: &RunId,
        buckets: &[Bucket],
        which: Which,
        mut each: impl FnMut(&Bucket, JobSeen),
    ) -> Result<(), LedgerError> {
        let mut left = buckets.iter();
        let mut reads = FuturesUnordered::new();
        loop {
            // A long run has tens of thousands of buckets, and a future for each would need much memory.
            let more = left.by_ref().take(BUCKETS_AT_ONCE - reads.len());
            reads.extend(more.map(|bucket| Box::pin(self.jobs_of(bucket, run, which))));
            let Some(read) = reads.next().await else { return Ok(()) };
            let (bucket, jobs) = read?;
            for job in jobs {
                each(bucket, job);
            }
        }
    }

    /// Returns jobs of a run in a bucket, and the bucket.
    async fn jobs_of<'a>(
        &self,
        bucket: &'a Bucket,
        run: &RunId,
        which: Which,
    ) -> Result<(&'a Bucket, Vec<JobSeen>), LedgerError> {
        let mut jobs = Vec::new();
        let only = match which {
            Which::All => "#run = :run",
            Which::Open => "#run = :run AND attribute_exists(#open)",
        };
        let select = Select {
            attributes: Some(OF_JOB),
            only: Some((only, vec![(":run", s(run))])),
            ..Select::new(format!("BUCKET#{bucket}"), "JOB#")
        };
        self.select(&select, |items| {
            for item in items {
                jobs.push(attributes::read(item, "JOB")?);
            }
            Ok(true)
        })
        .await?;
        Ok((bucket, jobs))
    }

    /// Returns the buckets that hold jobs of a run.
    pub async fn buckets_of(&self, run: &RunId) -> Result<Vec<Bucket>, LedgerError> {
        let mut buckets: Vec<Bucket> = Vec::new();
        let select = Select { attributes: Some("#bucket, generation, jobs"), ..Select::new(run_pk(run), "BUCKETS#") };
        self.select(&select, |items| {
            for item in items {
                // An item without a generation is of a run of format 1.
                let has_jobs =
                    !item.contains_key("generation") || number(&item, "jobs").is_some_and(|jobs: u64| jobs > 0);
                let name = item.get("bucket").and_then(|name| name.as_s().ok());
                buckets.extend(name.filter(|_| has_jobs).and_then(|name| Bucket::parse(name)));
            }
            Ok(true)
        })
        .await?;
        // Several generations may have jobs in one bucket.
        buckets.dedup();
        Ok(buckets)
    }

    /// Records that a bucket holds jobs of a run of format 1; called before the first job of that
    /// bucket is recorded. In later formats, the counts of the bucket show it.
    pub async fn note_bucket(&self, run: &RunId, bucket: &Bucket, now_ms: i64) -> Result<(), LedgerError> {
        let mut item = key(run_pk(run), format!("BUCKETS#{bucket}")).attributes();
        item.insert("bucket".to_owned(), s(bucket));
        self.put_expiring(item, now_ms).await
    }
}
