//! `status`: the progress of a run, also while another terminal works on it.

mod seen;
mod watch;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use intercom_bulk::domain::run::{Accounts, Cursor, Run, State, Totals};
use intercom_bulk::ledger::{Consistency, Ledger, LedgerError};
use serde_json::{Value, json};

use self::seen::Seen;
use super::CommandError;
use super::ledger_options::{RunOptions, Waiting};
use crate::jobs_seen::JobsSeen;
use crate::output;
use crate::progress::Sample;
use crate::state_dir::Place;
use crate::undone::Restorable;
use intercom_bulk_emulator::engine::machine_wall;

/// Time from the last bulk request until the ledger has the end of its job: a first poll and a
/// tick.
const LOCAL_TAIL: Duration = Duration::from_millis(3_500);
const CLOUD_TAIL: Duration = Duration::from_mins(2);

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk status [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 shown, whatever the run's state · 1 there is no run yet, or the ledger cannot be read · \
    64 wrong usage, or no such run\n\
    With --watch those of the run's end: 0 complete · 1 failed or cancelled, or no process works on it · 2 \
    complete_with_errors · 3 incomplete · 4 paused · 130 interrupted: the run goes on"
)]
pub(super) struct Status {
    #[command(flatten)]
    of: RunOptions,
    /// Follow the run until it ends or pauses; Ctrl-C stops the watching only. On a terminal one line is
    /// updated, otherwise each change is a line (an object with --json). With `NO_COLOR` or TERM=dumb a terminal
    /// gets lines, too
    #[arg(long)]
    watch: bool,
}

/// The run of a status.
enum Found {
    /// Its start waits.
    Waiting(Waiting),
    /// It has begun.
    Begun(Box<Look>),
}

/// A run at one moment, as the ledger has it.
struct Look {
    run: Run,
    cursor: Cursor,
    accounts: Accounts,
    totals: Totals,
    sample: Sample,
    at_work: Option<bool>,
    behind: u64,
    restorable: Option<Restorable>,
    options: Option<String>,
    now_ms: i64,
    took: Duration,
}

impl Status {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let (ledger, folder) = self.of.from.ledger_and_folder().await?;
        if self.watch {
            return watch::follow(self.of, &ledger, folder.as_deref()).await;
        }
        let json = self.of.from.json;
        match look(&self.of, &ledger, folder.as_deref()).await? {
            Found::Waiting(waiting) => output::result(json, &waiting.json(), || waiting.sentence()),
            Found::Begun(look) => look.seen().show(json),
        }
        Ok(0)
    }
}

/// Reads the run that the options name. `folder` is that of a local ledger.
async fn look(of: &RunOptions, ledger: &Ledger, folder: Option<&Path>) -> Result<Found, CommandError> {
    if let Some(waiting) = of.waiting(ledger).await?
        && ledger.run(&waiting.id).await?.is_none()
    {
        return Ok(Found::Waiting(waiting));
    }
    let run = of.find(ledger).await?;
    let cursor = ledger.cursor(&run.id).await?;
    let cursor = cursor.ok_or_else(|| CommandError::Step(format!("run {} has no cursor", run.id)))?;
    // A stack runs by itself; a local run needs a process that holds its folder.
    let at_work = Place::works_on(folder, &run);
    let accounts = accounts(ledger, &run, &cursor, at_work).await?;
    let jobs = JobsSeen::default().read(ledger, &run).await?;
    let now_ms = machine_wall()();
    let took = Duration::from_millis((run.ended_ms.unwrap_or(now_ms) - run.started_ms).max(1) as u64);
    let tail = if folder.is_some() { LOCAL_TAIL } else { CLOUD_TAIL };
    Ok(Found::Begun(Box::new(Look {
        sample: Sample::of(&run, &cursor, &jobs, now_ms, took, tail).reading_back(ledger, &run, now_ms).await?,
        // The jobs of a run without stored totals, such as a cancelled one, are still checked.
        totals: if run.totals.is_some() || at_work == Some(false) {
            accounts.totals.clone()
        } else {
            accounts.totals_at(now_ms)
        },
        behind: if run.state == State::Paused { ledger.waiting().await?.len() as u64 } else { 0 },
        restorable: restorable(ledger, &run, &cursor).await?,
        options: of.from.options(),
        now_ms,
        accounts,
        run,
        cursor,
        at_work,
        took,
    })))
}

/// Reads the result of a run, if it is the preview of an undo that has ended.
async fn restorable(ledger: &Ledger, run: &Run, cursor: &Cursor) -> Result<Option<Restorable>, LedgerError> {
    let of = run.undo.as_ref().filter(|_| run.limits.dry_run && run.state.ended());
    let Some(undo) = of else { return Ok(None) };
    let Some(first) = ledger.run(&undo.run).await? else { return Ok(None) };
    Restorable::read(ledger, &first, run, cursor).await.map(Some)
}

impl Look {
    fn seen(&self) -> Seen<'_> {
        Seen {
            run: &self.run,
            cursor: &self.cursor,
            accounts: &self.accounts,
            totals: self.totals.clone(),
            sample: self.sample.clone(),
            at_work: self.at_work,
            behind: self.behind,
            restorable: self.restorable.as_ref(),
            options: self.options.as_deref(),
            now_ms: self.now_ms,
            took: self.took,
        }
    }
}

impl Seen<'_> {
    /// Prints it as text, or as one object.
    fn show(&self, json: bool) {
        if json {
            return output::json(&self.json());
        }
        self.words().iter().for_each(|line| output::line(line));
    }
}

impl Waiting {
    fn json(&self) -> Value {
        json!({ "run": self.id, "state": "waiting", "behind": self.behind, "held": self.held })
    }

    fn sentence(&self) -> String {
        format!("R{}.", &self.words()[1..])
    }
}

/// Returns the accounts of a run: by its counts while it goes on. At its end, its totals are exact. The
/// rows are read if it ended without totals, or if its process is gone, which may hold leases.
async fn accounts(ledger: &Ledger, run: &Run, cursor: &Cursor, at_work: Option<bool>) -> Result<Accounts, LedgerError> {
    if at_work == Some(false) || run.state.ended() && run.totals.is_none() {
        return ledger.accounts(run, cursor).await;
    }
    let mut accounts = ledger.accounts_counted(run, cursor, Consistency::Eventual).await?;
    if let Some(totals) = &run.totals {
        accounts.totals = totals.clone();
        return Ok(accounts);
    }
    accounts.held = ledger.held(&run.id).await?;
    // The run's counter includes errors of earlier generations, which were read again.
    if run.generation > 1 && accounts.totals.errors > 0 {
        accounts.totals.errors = ledger.users_in_error(run, BTreeSet::new(), u64::MAX).await?;
    }
    Ok(accounts)
}
