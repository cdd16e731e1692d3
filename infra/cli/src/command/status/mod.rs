//! `status`: the progress of a run, also while another terminal works on it.

mod seen;

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use intercom_bulk::domain::run::{Accounts, Cursor, Run, State};
use intercom_bulk::ledger::{Consistency, Ledger, LedgerError};
use serde_json::json;

use self::seen::Seen;
use super::CommandError;
use super::ledger_options::RunOptions;
use crate::jobs_seen::JobsSeen;
use crate::output;
use crate::progress::Sample;
use crate::state_dir::Place;
use intercom_bulk_emulator::engine::machine_wall;

/// Time from the last bulk request until the ledger has the end of its job: a first poll and a
/// tick.
const LOCAL_TAIL: Duration = Duration::from_millis(3_500);
const CLOUD_TAIL: Duration = Duration::from_mins(2);

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk status [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 shown, whatever the run's state · 1 there is no run yet, or the ledger cannot be read · \
    64 wrong usage, or no such run"
)]
pub(super) struct Status {
    #[command(flatten)]
    of: RunOptions,
}

impl Status {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let (ledger, folder) = self.of.from.ledger_and_folder().await?;
        let json = self.of.from.json;
        if let Some(waiting) = self.of.waiting(&ledger).await?
            && ledger.run(&waiting.id).await?.is_none()
        {
            let shown =
                json!({ "run": waiting.id, "state": "waiting", "behind": waiting.behind, "held": waiting.held });
            output::result(json, &shown, || format!("R{}.", &waiting.words()[1..]));
            return Ok(0);
        }
        let run = self.of.find(&ledger).await?;
        let cursor = ledger.cursor(&run.id).await?;
        let cursor = cursor.ok_or_else(|| CommandError::Step(format!("run {} has no cursor", run.id)))?;
        // A stack runs by itself; a local run needs a process that holds its folder.
        let at_work = Place::works_on(folder.as_deref(), &run);
        let accounts = accounts(&ledger, &run, &cursor, at_work).await?;
        let jobs = JobsSeen::default().read(&ledger, &run).await?;
        let now_ms = machine_wall()();
        let took = Duration::from_millis((run.ended_ms.unwrap_or(now_ms) - run.started_ms).max(1) as u64);
        let tail = if folder.is_some() { LOCAL_TAIL } else { CLOUD_TAIL };
        let seen = Seen {
            sample: Sample::of(&run, &cursor, &jobs, now_ms, took, tail).reading_back(&ledger, &run, now_ms).await?,
            // The jobs of a run without stored totals, such as a cancelled one, are still checked.
            totals: if run.totals.is_some() || at_work == Some(false) {
                accounts.totals.clone()
            } else {
                accounts.totals_at(now_ms)
            },
            behind: if run.state == State::Paused { ledger.waiting().await?.len() as u64 } else { 0 },
            now_ms,
            accounts: &accounts,
            run: &run,
            cursor: &cursor,
            at_work,
            took,
        };
        if json {
            output::json(&seen.json());
        } else {
            seen.words().iter().for_each(|line| output::line(line));
        }
        Ok(0)
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
