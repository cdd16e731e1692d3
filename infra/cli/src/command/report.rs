//! `status`, `jobs` and `errors`: what the ledger says of a run, also while another terminal works on it.

mod seen;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::run::{Run, RunId};
use intercom_bulk::ledger::{JobRow, Ledger};
use serde_json::json;

use self::seen::Seen;
use super::CommandError;
use super::deployed::Deployed;
use crate::jobs_seen::JobsSeen;
use crate::output::{self, count};
use crate::progress::Sample;
use crate::state_dir::{Place, PlaceError, whose};
use crate::summary::jobs;
use intercom_bulk_emulator::aws::Account;
use intercom_bulk_emulator::engine::{EngineError, TABLE, machine_wall};

/// Buckets of a range at most, each of them a request: a day of minutes.
const BUCKETS_MAX: usize = 1_440;
/// From the last bulk request to the end of its job as the ledger learns it: the first poll, and a tick.
const LOCAL_TAIL: Duration = Duration::from_millis(3_500);
const CLOUD_TAIL: Duration = Duration::from_mins(2);

#[derive(Debug, Args)]
pub(super) struct QueueName {
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
    which: QueueName,
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
    which: QueueName,
}

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk errors [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 no user failed · 1 there is no run yet, or the ledger cannot be read · 2 users failed · \
    64 wrong usage, or no such run"
)]
pub(super) struct Errors {
    #[command(flatten)]
    which: QueueName,
}

impl QueueName {
    /// No run in particular.
    pub(super) fn all(state: Option<PathBuf>, deployed: Deployed) -> Self {
        Self { run: None, state, json: false, deployed }
    }

    pub(super) async fn ledger(&self) -> Result<Ledger, CommandError> {
        self.ledger_and_folder().await.map(|(ledger, _)| ledger)
    }

    /// The ledger, and the folder that it lies in unless it is a stack's.
    async fn ledger_and_folder(&self) -> Result<(Ledger, Option<PathBuf>), CommandError> {
        // A folder is named on the command line alone; a table may be left over in the environment.
        if self.state.is_none() && self.deployed.is_named() {
            return Ok((self.deployed.ledger().await?, None));
        }
        let path = Place::last(self.state.as_deref())?;
        if let Some(words) = whose(&path, self.state.as_deref()) {
            output::note(false, &words);
        }
        let account = Account::open(Some(&path)).map_err(EngineError::from)?;
        Ok((Ledger::new(account.dynamodb, TABLE), Some(path)))
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
        let (ledger, folder) = which.ledger_and_folder().await?;
        if let Some(behind) = which.waits(&ledger).await?
            && let Some(id) = which.run.as_deref().and_then(RunId::parse)
            && ledger.run(&id).await?.is_none()
        {
            if which.json {
                output::json(&json!({ "run": id, "state": "waiting", "behind": behind }));
            } else {
                output::line(&format!("R{}.", &waits(&id, behind.as_ref())[1..]));
            }
            return Ok(0);
        }
        let run = which.find(&ledger).await?;
        let cursor = ledger.cursor(&run.id).await?;
        let cursor = cursor.ok_or_else(|| CommandError::Step(format!("run {} has no cursor", run.id)))?;
        let accounts = ledger.accounts(&run, &cursor).await?;
        let jobs = JobsSeen::default().read(&ledger, &run).await?;
        let now_ms = machine_wall()();
        // A stack works by itself; a local run has a process that holds its folder.
        let at_work = folder.as_deref().and_then(Place::is_held).filter(|_| !run.state.ended());
        let took = Duration::from_millis((run.ended_ms.unwrap_or(now_ms) - run.started_ms).max(1) as u64);
        let tail = if folder.is_some() { LOCAL_TAIL } else { CLOUD_TAIL };
        let seen = Seen {
            sample: Sample::of(&run, &cursor, &jobs, now_ms, took, tail),
            totals: if run.state.ended() || at_work == Some(false) {
                accounts.totals.clone()
            } else {
                accounts.totals_at(now_ms)
            },
            accounts: &accounts,
            run: &run,
            cursor: &cursor,
            at_work,
            took,
        };
        if which.json {
            output::json(&seen.json());
        } else {
            seen.words().iter().for_each(|line| output::line(line));
        }
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
                output::json(row);
            } else {
                output::line(&format!("{}  {}: {} ({})", row.user, row.code, row.message, row.at));
            }
        }
        if rows.is_empty() && !which.json {
            output::line(&format!("No user of run {} failed.", run.id));
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
                output::json(job);
            } else {
                let end = job.end.map_or("open", |end| match end {
                    intercom_bulk::ledger::End::Completed => "completed",
                    intercom_bulk::ledger::End::CompletedWithErrors => "completed with errors",
                    intercom_bulk::ledger::End::Unknown if job.failed_unnamed => "failed without naming the users",
                    intercom_bulk::ledger::End::Unknown => "unknown",
                });
                let users = count(job.users, "user");
                output::line(&format!("{}  {}  {users}, {} failed  {end}", job.bucket, job.job, job.failed));
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
