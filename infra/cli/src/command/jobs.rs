//! `jobs`: the bulk jobs of a run, or of some buckets.

use std::collections::BTreeMap;

use clap::Args;
use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::run::BucketCounts;
use intercom_bulk::ledger::{Consistency, End, JobRow, Ledger};
use serde::Serialize;

use super::CommandError;
use super::ledger_options::RunOptions;
use crate::output::{self, count};
use crate::summary::jobs;

/// Maximum number of buckets in a range: the minutes of a day. Each bucket is a request.
const BUCKETS_MAX: usize = 1_440;

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk jobs [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 done · 1 there is no run yet, or the ledger cannot be read · 64 wrong usage, or no such run"
)]
pub(super) struct Jobs {
    #[command(flatten)]
    of: RunOptions,
    /// Only jobs created in this bucket or later, such as 2016-11-24T10:05Z; of all runs without
    /// --run
    #[arg(long, value_name = "BUCKET")]
    from: Option<String>,
    /// Only jobs up to this bucket [default: the same]
    #[arg(long, value_name = "BUCKET", requires = "from")]
    to: Option<String>,
    /// A line for each bucket of a run: the number of its jobs by state
    #[arg(long, conflicts_with = "from")]
    by_bucket: bool,
}

/// The jobs of a bucket by state.
#[derive(Debug, Default, Serialize)]
struct OfBucket {
    bucket: String,
    jobs: i64,
    open: i64,
    completed: i64,
    completed_with_errors: i64,
    unknown: i64,
    /// Items of the jobs.
    items: i64,
}

impl Jobs {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let ledger = self.of.from.ledger().await?;
        if self.by_bucket {
            return self.buckets(&ledger).await;
        }
        let found = if let Some(from) = &self.from {
            self.range(&ledger, from).await?
        } else {
            let run = self.of.find(&ledger).await?;
            jobs(&ledger, &run).await?.into_values().flatten().collect()
        };
        for job in &found {
            output::result(self.of.from.json, job, || {
                let end = job.end.map_or("open", |end| match end {
                    End::Completed => "completed",
                    End::CompletedWithErrors => "completed with errors",
                    End::Unknown if job.failed_unnamed => "failed without naming the users",
                    End::Unknown => "unknown",
                });
                let users = count(job.users, "user");
                format!("{}  {}  {users}, {} failed  {end}", job.bucket, job.job, job.failed)
            });
        }
        Ok(0)
    }

    /// Shows the jobs of a run by bucket and state, from its counts.
    async fn buckets(&self, ledger: &Ledger) -> Result<u8, CommandError> {
        let run = self.of.find(ledger).await?;
        if !run.keeps_parts() {
            let words = format!("run {} was begun by a version that kept no counts: `jobs` lists its jobs", run.id);
            return Err(CommandError::Usage(words));
        }
        let mut buckets: BTreeMap<Bucket, OfBucket> = BTreeMap::new();
        for BucketCounts { bucket, counts, .. } in ledger.counts(&run.id, Consistency::Eventual).await? {
            let of = buckets.entry(bucket).or_default();
            of.jobs += counts.jobs;
            of.open += counts.jobs_open();
            of.completed += counts.completed;
            of.completed_with_errors += counts.completed_with_errors;
            of.unknown += counts.unknown;
            of.items += counts.items;
        }
        for (bucket, mut of) in buckets.into_iter().filter(|(_, of)| of.jobs > 0) {
            of.bucket = bucket.to_string();
            output::result(self.of.from.json, &of, || of.words());
        }
        Ok(0)
    }

    async fn range(&self, ledger: &Ledger, from: &str) -> Result<Vec<JobRow>, CommandError> {
        let parse = |name: &str| {
            let wrong = format!("\"{name}\" is no bucket; one is written 2016-11-24T10:05Z");
            Bucket::parse(name).ok_or(CommandError::Usage(wrong))
        };
        let first = parse(from)?;
        let last = parse(self.to.as_deref().unwrap_or(from))?;
        if last < first {
            let words = format!("--to {last} is before --from {first}: the earlier bucket comes first");
            return Err(CommandError::Usage(words));
        }
        let buckets = first.to(&last, Width::MINUTE, BUCKETS_MAX + 1);
        if buckets.len() > BUCKETS_MAX {
            let words = format!(
                "from {first} to {last} is more than a day, and each minute is a request: ask for a day at a time, or for \
                 all jobs of a run with `jobs --run ID`"
            );
            return Err(CommandError::Usage(words));
        }
        let mut found = Vec::new();
        for bucket in buckets {
            found.extend(ledger.jobs(&bucket).await?);
        }
        let named = self.of.name.as_deref();
        found.retain(|job| named.is_none_or(|name| job.run.as_str() == name));
        Ok(found)
    }
}

impl OfBucket {
    /// For example `2016-11-24T10:05Z  4 jobs with 400 items: 1 open, 3 completed`.
    fn words(&self) -> String {
        let states = [
            (self.open, "open"),
            (self.completed, "completed"),
            (self.completed_with_errors, "completed with errors"),
            (self.unknown, "unknown"),
        ];
        let states: Vec<String> =
            states.iter().filter(|(jobs, _)| *jobs > 0).map(|(jobs, state)| format!("{jobs} {state}")).collect();
        let number = |number: i64, thing: &str| count(number.max(0).unsigned_abs(), thing);
        let (jobs, items) = (number(self.jobs, "job"), number(self.items, "item"));
        format!("{}  {jobs} with {items}: {}", self.bucket, states.join(", "))
    }
}
