//! `status`, `jobs` and `errors`: what the ledger says of a run, also while another terminal works on it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use intercom_bulk::bucket::{Bucket, Width};
use intercom_bulk::ledger::{JobRow, Ledger};
use intercom_bulk::run::{Run, RunId};
use serde_json::json;

use super::CommandError;
use super::deployed::Deployed;
use crate::aws::Account;
use crate::engine::{EngineError, TABLE, machine_wall};
use crate::place::{Place, PlaceError, whose};
use crate::progress::{Sample, Sent};
use crate::show;
use crate::summary::{jobs, left_alone, possibly_lost};

/// Buckets of a range at most, each of them a request: a day of minutes.
const BUCKETS_MAX: usize = 1_440;

#[derive(Debug, Args)]
pub(super) struct Which {
    /// The run [default: the last]
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Where runs are remembered [default: what `run` used last]
    #[arg(long, value_name = "DIR", conflicts_with = "stack")]
    state: Option<PathBuf>,
    /// JSON on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployed: Deployed,
}

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk jobs [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 done · 1 there is no run yet, or the ledger cannot be read · 64 wrong usage, or no such run"
)]
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

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk status [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 shown, whatever the run's state · 1 there is no run yet, or the ledger cannot be read · \
    64 wrong usage, or no such run"
)]
pub(super) struct Status {
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk errors [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 no user failed · 1 there is no run yet, or the ledger cannot be read · 2 users failed · \
    64 wrong usage, or no such run"
)]
pub(super) struct Errors {
    #[command(flatten)]
    which: Which,
}

impl Which {
    /// No run in particular.
    pub(super) fn all(state: Option<PathBuf>, deployed: Deployed) -> Self {
        Self { run: None, state, json: false, deployed }
    }

    pub(super) async fn ledger(&self) -> Result<Ledger, CommandError> {
        // A folder is named on the command line alone; a table may be left over in the environment.
        if self.state.is_none() && self.deployed.is_named() {
            return self.deployed.ledger().await;
        }
        let path = Place::last(self.state.as_deref())?;
        if let Some(words) = whose(&path, self.state.as_deref()) {
            show::note(false, &words);
        }
        let account = Account::open(Some(&path)).map_err(EngineError::from)?;
        Ok(Ledger::new(account.dynamodb, TABLE))
    }

    async fn find(&self, ledger: &Ledger) -> Result<Run, CommandError> {
        let id = match &self.run {
            Some(name) => RunId::parse(name),
            None => ledger.runs(1).await?.into_iter().next(),
        };
        let nothing = || match &self.run {
            Some(name) => {
                CommandError::Usage(format!("there is no run {name} in this state; `history` lists its runs"))
            }
            None => CommandError::Place(PlaceError::Nothing),
        };
        let id = id.ok_or_else(nothing)?;
        if let Some(run) = ledger.run(&id).await? {
            return Ok(run);
        }
        match self.waits(ledger).await? {
            Some(behind) => Err(CommandError::Usage(waits(&id, behind.as_ref()))),
            None => Err(nothing()),
        }
    }

    /// For a start that has not begun: the run whose end it waits for, if one is active. None where there is no such start.
    async fn waits(&self, ledger: &Ledger) -> Result<Option<Option<RunId>>, CommandError> {
        let Some(id) = self.run.as_deref().and_then(RunId::parse) else { return Ok(None) };
        if !ledger.waiting().await?.iter().any(|waiting| waiting.start.run() == id) {
            return Ok(None);
        }
        Ok(Some(ledger.active().await?.run))
    }
}

/// A start that has not begun, in words.
fn waits(id: &RunId, behind: Option<&RunId>) -> String {
    match behind {
        Some(active) => format!("run {id} has not begun: it waits for the end of {active}"),
        None => format!("run {id} has not begun: it waits for the next tick"),
    }
}

impl Status {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let Self { which } = self;
        let ledger = which.ledger().await?;
        if let Some(behind) = which.waits(&ledger).await?
            && let Some(id) = which.run.as_deref().and_then(RunId::parse)
            && ledger.run(&id).await?.is_none()
        {
            if which.json {
                show::json(&json!({ "run": id, "state": "waiting", "behind": behind }));
            } else {
                show::line(&format!("R{}.", &waits(&id, behind.as_ref())[1..]));
            }
            return Ok(0);
        }
        let run = which.find(&ledger).await?;
        let cursor = ledger.cursor(&run.run).await?;
        let cursor = cursor.ok_or_else(|| CommandError::Step(format!("run {} has no cursor", run.run)))?;
        let accounts = ledger.accounts(&run, &cursor).await?;
        let now_ms = machine_wall()();
        let took = Duration::from_millis((run.ended_ms.unwrap_or(now_ms) - run.started_ms).max(1) as u64);
        let totals = &accounts.totals;
        let closed = totals.jobs.saturating_sub(accounts.jobs_open);
        let sent = Sent { users: totals.patches, jobs: totals.jobs, closed };
        let sample = Sample::of(&run, &cursor, sent, now_ms, took);
        // When a later generation began is not recorded: an estimate from the run's beginning would be far off.
        let left = sample.left().filter(|_| run.generation == 1);
        let reason = run.reason.as_deref().map(show::flags);
        if which.json {
            show::json(&json!({
                "run": run.run, "state": run.state, "reason": reason, "generation": run.generation,
                "page": cursor.page, "users": cursor.tally.users, "count": run.listed.or(run.count),
                "patches": cursor.tally.patches, "holes": cursor.holes, "waits": cursor.waits,
                "parts_open": accounts.parts_open, "jobs_open": accounts.jobs_open, "totals": accounts.totals,
                "seconds_left": left.map(|left| left.as_secs()),
            }));
            return Ok(0);
        }
        let after = show::duration(took);
        let left = left.map(|left| format!(", about {} left", show::duration(left))).unwrap_or_default();
        show::line(&format!("Run {} is {}, {after} after its start{left}.", run.run, run.state));
        for words in reason.iter().map(String::as_str).chain(sample.waits()) {
            show::line(&format!("  {words}"));
        }
        let rate = cursor.tally.users as f64 / took.as_secs_f64();
        let of = run.listed.or(run.count).map(|count| format!(" of {count}")).unwrap_or_default();
        show::line(&format!(
            "  generation {}, page {}: {} users{of} at {rate:.0} users/s; {} to change, {} right already",
            run.generation, cursor.page, cursor.tally.users, cursor.tally.patches, cursor.tally.same
        ));
        show::line(&format!(
            "  {} users in {} bulk jobs, {} of them open; {} parts under way; {} users in error",
            totals.patches, totals.jobs, accounts.jobs_open, accounts.parts_open, totals.errors
        ));
        let more = possibly_lost(totals.jobs_possibly_lost).into_iter().chain(left_alone(&cursor.tally));
        more.for_each(|line| show::line(&line));
        Ok(0)
    }
}

impl Errors {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let Self { which } = self;
        let ledger = which.ledger().await?;
        let run = which.find(&ledger).await?;
        let rows = ledger.errors(&run).await?;
        for row in &rows {
            if which.json {
                show::json(row);
            } else {
                show::line(&format!("{}  {}: {} ({})", row.user, row.code, row.message, row.at));
            }
        }
        if rows.is_empty() && !which.json {
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
                let users = show::count(job.users, "user");
                show::line(&format!("{}  {}  {users}, {} failed  {end}", job.bucket, job.job, job.failed));
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
        let named = self.which.run.as_deref();
        found.retain(|job| named.is_none_or(|name| job.run.as_str() == name));
        Ok(found)
    }
}
