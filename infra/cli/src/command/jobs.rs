//! `jobs`: the bulk jobs of a run, or of some buckets.

use clap::Args;
use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::ledger::{End, JobRow, Ledger};

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
}

impl Jobs {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let ledger = self.of.from.ledger().await?;
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
