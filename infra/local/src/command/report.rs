//! `status`, `jobs` and `errors`: what the ledger says of a run, also while another terminal works on it.

use std::path::PathBuf;

use clap::Args;
use intercom_bulk::bucket::{Bucket, Width};
use intercom_bulk::ledger::{JobRow, Ledger};
use intercom_bulk::run::{Run, RunId};
use serde_json::json;

use super::CommandError;
use super::deployed::Deployed;
use crate::aws::Account;
use crate::engine::{EngineError, TABLE, machine_wall};
use crate::place::Place;
use crate::show;
use crate::summary::{jobs, left_alone};

/// Buckets of one request for a range: a day of minutes.
const BUCKETS_MAX: usize = 1_440;

#[derive(Debug, Args)]
pub(super) struct Which {
    /// The run [default: the last]
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Where runs are remembered [default: what `run` used last]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// JSON on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployed: Deployed,
}

#[derive(Debug, Args)]
pub(super) struct Jobs {
    #[command(flatten)]
    which: Which,
    /// Only jobs made from this bucket on, such as 2016-11-24T10:05Z; of all runs, unless --run is given
    #[arg(long, value_name = "BUCKET")]
    from: Option<String>,
    /// Up to this bucket [default: the same]
    #[arg(long, value_name = "BUCKET", requires = "from")]
    to: Option<String>,
}

impl Which {
    async fn ledger(&self) -> Result<Ledger, CommandError> {
        if self.deployed.is_named() {
            return self.deployed.ledger().await;
        }
        let path = Place::last(self.state.as_deref())?;
        let account = Account::open(Some(&path)).map_err(EngineError::from)?;
        Ok(Ledger::new(account.dynamodb, TABLE))
    }

    async fn find(&self, ledger: &Ledger) -> Result<Run, CommandError> {
        let id = match &self.run {
            Some(name) => RunId::parse(name),
            None => ledger.runs(1).await?.into_iter().next(),
        };
        let nothing = || {
            CommandError::Usage(match &self.run {
                Some(name) => format!("there is no run {name} in this state"),
                None => "no run was started in this state yet".to_owned(),
            })
        };
        ledger.run(&id.ok_or_else(nothing)?).await?.ok_or_else(nothing)
    }

    pub(super) async fn status(self) -> Result<u8, CommandError> {
        let ledger = self.ledger().await?;
        let run = self.find(&ledger).await?;
        let cursor = ledger.cursor(&run.run).await?;
        let cursor = cursor.ok_or_else(|| CommandError::Usage(format!("run {} has no cursor", run.run)))?;
        let accounts = ledger.accounts(&run, &cursor).await?;
        if self.json {
            show::json(&json!({
                "run": run.run, "state": run.state, "reason": run.reason, "generation": run.generation,
                "page": cursor.page, "users": cursor.tally.users, "count": run.listed.or(run.count),
                "patches": cursor.tally.patches, "holes": cursor.holes, "waits": cursor.waits,
                "parts_open": accounts.parts_open, "jobs_open": accounts.jobs_open, "totals": accounts.totals,
            }));
            return Ok(0);
        }
        let now_ms = machine_wall()();
        let took_ms = (run.ended_ms.unwrap_or(now_ms) - run.started_ms).max(1);
        let took = show::duration(std::time::Duration::from_millis(took_ms as u64));
        show::line(&format!("Run {} is {}, {took} after its start.", run.run, run.state));
        if let Some(reason) = &run.reason {
            show::line(&format!("  {reason}"));
        }
        let rate = cursor.tally.users as f64 / (took_ms as f64 / 1000.0);
        let of = run.listed.or(run.count).map(|count| format!(" of {count}")).unwrap_or_default();
        show::line(&format!(
            "  generation {}, page {}: {} users{of} at {rate:.0} users/s; {} to change, {} right already",
            run.generation, cursor.page, cursor.tally.users, cursor.tally.patches, cursor.tally.same
        ));
        let totals = &accounts.totals;
        show::line(&format!(
            "  {} users in {} bulk jobs, {} of them open; {} parts under way; {} users in error",
            totals.patches, totals.jobs, accounts.jobs_open, accounts.parts_open, totals.errors
        ));
        if let (Some(waits), false) = (&cursor.waits, run.state.ended()) {
            show::line(&format!("  waits: {waits}"));
        }
        left_alone(&cursor.tally);
        Ok(0)
    }

    pub(super) async fn errors(self) -> Result<u8, CommandError> {
        let ledger = self.ledger().await?;
        let run = self.find(&ledger).await?;
        let rows = ledger.errors(&run).await?;
        for row in &rows {
            if self.json {
                show::json(row);
            } else {
                show::line(&format!("{}  {}: {} ({})", row.user, row.code, row.message, row.at));
            }
        }
        if rows.is_empty() && !self.json {
            show::line(&format!("No user of run {} ended in an error.", run.run));
        }
        Ok(if rows.is_empty() { 0 } else { 2 })
    }
}

impl Jobs {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let ledger = self.which.ledger().await?;
        let found = if let Some(from) = &self.from {
            self.range(&ledger, from).await?
        } else {
            let run = self.which.find(&ledger).await?;
            jobs(&ledger, &run).await?.into_values().flatten().collect()
        };
        for job in &found {
            if self.which.json {
                show::json(job);
            } else {
                let end = job.end.map_or("open", |end| match end {
                    intercom_bulk::ledger::End::Completed => "completed",
                    intercom_bulk::ledger::End::CompletedWithErrors => "completed with errors",
                    intercom_bulk::ledger::End::Unknown => "unknown",
                });
                show::line(&format!("{}  {}  {} users, {} failed  {end}", job.bucket, job.job, job.users, job.failed));
            }
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
        let mut found = Vec::new();
        for bucket in first.to(&last, Width::MINUTE, BUCKETS_MAX) {
            found.extend(ledger.jobs(&bucket).await?);
        }
        let named = self.which.run.as_deref();
        found.retain(|job| named.is_none_or(|name| job.run.as_str() == name));
        Ok(found)
    }
}
