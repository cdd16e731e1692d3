//! Bulk jobs by bucket: recorded with their parts' done marks, polled when due, closed once.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, stream};

use super::attributes::{self, attribute, key, n, run_pk, s};
use super::job_rows::{Closing, JobRow};
use super::table::DUE_INDEX;
use super::{Key, Ledger, LedgerError, PartProgress, Write};
use crate::domain::bucket::Bucket;
use crate::domain::job::JobId;
use crate::domain::run::RunId;

pub(super) const OPEN: &str = "OPEN";
/// Buckets that are read concurrently. A long run has thousands.
const BUCKETS_AT_ONCE: usize = 16;
/// Rows of due jobs that are read concurrently.
const READ_AT_ONCE: usize = 8;

fn job_key(bucket: &Bucket, job: &JobId) -> Key {
    key(format!("BUCKET#{bucket}"), format!("JOB#{job}"))
}

impl Ledger {
    /// Records a job and the progress of its parts in one transaction. If a part is no longer
    /// leased by `owner`, another owner submitted it too: the job is then recorded first, as a
    /// resubmission, and after it the progress of the parts that `owner` has leased. Returns whether
    /// it is a resubmission. The call is idempotent.
    pub async fn record_job(&self, row: &JobRow, progress: &[PartProgress], owner: &str) -> Result<bool, LedgerError> {
        let at = job_key(&row.bucket, &row.job);
        let mut writes = vec![Write::put(attributes::item(&at, row)?).when("attribute_not_exists(pk)")];
        for part in progress {
            writes.push(Self::progress_write(part, owner, row)?);
        }
        if self.transact(writes).await? {
            return Ok(false);
        }
        // An existing row was written by this call before its answer was lost.
        match self.get::<JobRow>(&at).await? {
            Some(there) if !there.resubmission => return Ok(false),
            Some(_) => {}
            None => self.put(&at, &JobRow { resubmission: true, ..row.clone() }).await?,
        }
        for part in progress {
            self.send(Self::progress_write(part, owner, row)?).await?;
        }
        Ok(true)
    }

    /// Returns at most `most` due open jobs, longest due first. The index is eventually consistent,
    /// so each row is read again.
    pub async fn due(&self, now_ms: i64, most: i32) -> Result<Vec<JobRow>, LedgerError> {
        let (mut rows, mut from) = (Vec::new(), None);
        loop {
            let request = self.client.query().table_name(&self.table).index_name(DUE_INDEX).limit(most);
            let found = request
                .key_condition_expression("#open = :open AND due_ms <= :now")
                .expression_attribute_names("#open", "open")
                .expression_attribute_values(":open", s(OPEN))
                .expression_attribute_values(":now", n(now_ms))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|e| LedgerError::call("Query", e))?;
            let keys = found.items.unwrap_or_default().into_iter().filter_map(|item| {
                let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
                Some(key(text("pk")?, text("sk")?))
            });
            let mut reads =
                stream::iter(keys).map(|key| async move { self.get::<JobRow>(&key).await }).buffered(READ_AT_ONCE);
            let mut newer = 0;
            while let Some(read) = reads.next().await {
                match read {
                    Ok(row) => {
                        rows.extend(row.filter(|row| row.end.is_none() && row.due_ms.is_some_and(|due| due <= now_ms)));
                    }
                    Err(error) if error.is_newer() => newer += 1,
                    Err(error) => return Err(error),
                }
            }
            from = found.last_evaluated_key;
            // A page of jobs in a newer format must not hide the jobs behind it.
            if newer == 0 || !rows.is_empty() || from.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Reschedules the next poll of a job. It has no effect if another check polled in between.
    pub async fn reschedule(&self, row: &JobRow, due_ms: i64) -> Result<(), LedgerError> {
        let update = "SET due_ms = :due, looks = :looks";
        let values = [(":due", n(due_ms)), (":looks", n(row.looks + 1)), (":seen", n(row.looks))];
        self.update_job(row, update, "looks = :seen AND attribute_exists(#open)", &values).await.map(|_| ())
    }

    /// Closes a job in one conditional write. Returns `false` if it was already closed.
    pub async fn close_job(&self, row: &JobRow, closing: &Closing) -> Result<bool, LedgerError> {
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
        update.push_str(" REMOVE #open, due_ms");
        self.update_job(row, &update, "attribute_exists(#open)", &values).await
    }

    async fn update_job(
        &self,
        row: &JobRow,
        update: &str,
        condition: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<bool, LedgerError> {
        let write = Write::update(&job_key(&row.bucket, &row.job), update).when(condition);
        self.send(values.iter().fold(write, |write, (name, value)| write.with(name, value.clone()))).await
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

    /// Reads the jobs of a run, bucket by bucket.
    pub(super) async fn each_job_of(&self, run: &RunId, mut each: impl FnMut(JobRow)) -> Result<(), LedgerError> {
        let buckets = self.buckets_of(run).await?;
        let reads: Vec<_> = buckets.iter().map(|bucket| self.jobs_of(bucket, run)).collect();
        let mut jobs = stream::iter(reads).buffer_unordered(BUCKETS_AT_ONCE);
        while let Some(jobs) = jobs.next().await {
            jobs?.into_iter().for_each(&mut each);
        }
        Ok(())
    }

    /// Returns the jobs of a run in a bucket.
    async fn jobs_of(&self, bucket: &Bucket, run: &RunId) -> Result<Vec<JobRow>, LedgerError> {
        let mut jobs = Vec::new();
        self.pages(&format!("BUCKET#{bucket}"), "JOB#", |items| {
            for item in items {
                if item.get("run").and_then(|of| of.as_s().ok()).is_some_and(|of| of == run.as_str()) {
                    jobs.push(attributes::read(item, "JOB")?);
                }
            }
            Ok(true)
        })
        .await?;
        Ok(jobs)
    }

    /// Returns the buckets that hold jobs of a run.
    pub async fn buckets_of(&self, run: &RunId) -> Result<Vec<Bucket>, LedgerError> {
        let found = self.query(&run_pk(run), "BUCKETS#", usize::MAX).await?;
        let name = |item: &attributes::Item| Bucket::parse(item.get("bucket")?.as_s().ok()?);
        Ok(found.iter().filter_map(name).collect())
    }

    /// Records that a bucket holds jobs of a run; called before the first job of that bucket is
    /// created.
    pub async fn note_bucket(&self, run: &RunId, bucket: &Bucket, now_ms: i64) -> Result<(), LedgerError> {
        let mut item = key(run_pk(run), format!("BUCKETS#{bucket}")).attributes();
        item.insert("bucket".to_owned(), s(bucket));
        self.put_expiring(item, now_ms).await
    }
}
