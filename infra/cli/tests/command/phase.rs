//! Derives a killed run's phase from its ledger and from the workspace's state.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use intercom_bulk::domain::run::{Accounts, State};
use intercom_bulk::ledger::{self, Ledger};
use intercom_bulk_emulator::aws::Account;

use crate::world::World;

/// The phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The process has requested no page: it starts, or waits for the previous scroll and its jobs.
    Starting,
    /// It reads pages and has submitted nothing.
    Scrolling,
    /// It submits parts.
    Submitting,
    /// All parts are in jobs without a known end.
    Draining,
}

impl Phase {
    pub(crate) const ALL: [Self; 4] = [Self::Starting, Self::Scrolling, Self::Submitting, Self::Draining];

    /// Returns the phase in which a process died. `before` is the workspace's state at its start.
    pub(crate) fn of(world: &World, left: &Left, before: &intercom_simulator::State) -> Self {
        let now = world.state();
        let since = |route: &str| {
            let count = |state: &intercom_simulator::State| state.requests.get(route).copied().unwrap_or(0);
            count(&now) - count(before)
        };
        match () {
            () if left.only_jobs() => Self::Draining,
            () if since("GET /users/scroll") == 0 => Self::Starting,
            () if since("POST /bulk/users") > 0 => Self::Submitting,
            () => Self::Scrolling,
        }
    }
}

/// The ledger on disk, while no engine works on it.
#[derive(Default)]
pub(crate) struct Left {
    /// The active run's state and accounts.
    pub(crate) active: Option<(State, Accounts)>,
    /// Ids of the jobs of all runs.
    pub(crate) jobs: BTreeSet<String>,
    /// Jobs without an end.
    pub(crate) jobs_open: u64,
    /// Jobs that may exist without a row, by the ledger's count.
    pub(crate) jobs_possibly_lost: u64,
    /// Runs.
    pub(crate) runs: usize,
}

const TABLE: &str = "intercom-bulk-ledger";

/// Returns the only workspace's state below a folder; `None` if the command did not create it.
fn state_directory(folder: &Path) -> Option<PathBuf> {
    let bulk = folder.join(".bulk");
    let last = std::fs::read_to_string(bulk.join("last")).ok()?;
    Some(bulk.join(last.trim()))
}

impl Left {
    /// Returns whether only ends of jobs are missing: then the next start reads no user again.
    pub(crate) fn only_jobs(&self) -> bool {
        self.active.as_ref().is_some_and(|(state, accounts)| {
            matches!(state, State::Draining | State::Verifying) && accounts.parts_open == 0
        })
    }

    /// Reads the state; empty if the command died at once.
    pub(crate) fn read(world: &World) -> Self {
        let Some(directory) = state_directory(world.folder.path()) else { return Self::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let account = Account::open(Some(&directory)).unwrap();
        runtime.block_on(async {
            ledger::create(&account.dynamodb, TABLE).await.unwrap();
            Self::of(&Ledger::new(account.dynamodb, TABLE)).await
        })
    }

    async fn of(ledger: &Ledger) -> Self {
        let mut left = Self::default();
        let active = ledger.active().await.unwrap().run;
        for id in ledger.runs(usize::MAX).await.unwrap() {
            let (run, cursor) = (ledger.run(&id).await.unwrap().unwrap(), ledger.cursor(&id).await.unwrap().unwrap());
            let accounts = ledger.accounts(&run, &cursor).await.unwrap();
            left.runs += 1;
            left.jobs_open += accounts.jobs_open();
            left.jobs_possibly_lost += accounts.totals.jobs_possibly_lost;
            for bucket in ledger.buckets_of(&id).await.unwrap() {
                let jobs = ledger.jobs(&bucket).await.unwrap().into_iter();
                left.jobs.extend(jobs.filter(|job| job.run == id).map(|job| job.job.to_string()));
            }
            if active.as_ref() == Some(&id) {
                left.active = Some((run.state, accounts));
            }
        }
        left
    }
}
