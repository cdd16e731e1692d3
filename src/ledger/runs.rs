//! Runs, and the names that they send for companies.

use serde::{Deserialize, Serialize};

use super::attributes::{self, key, n, run_pk, s};
use super::select::{Keys, Select};
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::api::{Api, ApiVersion, LastApi};
use crate::domain::run::{Run, RunId, State, WorkspaceBinding};
use crate::domain::user::UserId;

/// Runs that are searched for those of a plan.
const RUNS_SEARCHED: usize = 100;

/// A key after all those of the list of runs, which begin with digits.
const AFTER_ALL_RUNS: &str = "~";

/// Runs of a plan among which the last one that did not fail is searched.
const RUNS_OF_PLAN: usize = 10;
/// Entries of the list of runs that are read at once in search of those of a plan. A ledger may hold many
/// runs of other plans: one that starts each minute makes 130,000 before they expire.
const RUNS_AT_ONCE: usize = 1_000;

/// A name for a company.
#[derive(Clone, Copy, Debug)]
pub struct CompanyName<'a> {
    /// The company's id.
    pub company: &'a str,
    /// The name.
    pub name: &'a str,
}

/// The outcome of reserving a company's name for a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserved {
    /// The name is reserved for this user.
    New,
    /// Another user reserved the same name.
    Same,
    /// Another name is reserved.
    Other,
}

#[derive(Serialize, Deserialize)]
struct Company {
    name: String,
    generation: u32,
    /// The user who reserved the name. If the answer to the write is lost, its retry finds this
    /// row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<UserId>,
}

impl Ledger {
    /// Returns the run, read consistently.
    pub async fn run(&self, run: &RunId) -> Result<Option<Run>, LedgerError> {
        self.get(&key(run_pk(run), "RUN")).await
    }

    /// Sets the run's deadline, unless it changed since the run was read.
    pub async fn extend_deadline(&self, run: &Run, deadline_ms: i64) -> Result<(), LedgerError> {
        let write = Write::update(&key(run_pk(&run.id), "RUN"), "SET deadline_ms = :next")
            .when("deadline_ms = :was")
            .with(":next", n(deadline_ms))
            .with(":was", n(run.deadline_ms));
        self.send(write).await.map(|_| ())
    }

    /// Stores the workspace of a run that began while it was unknown. Returns the run's workspace:
    /// another writer may have stored one first.
    pub async fn set_workspace(&self, run: &RunId, app_id: &str) -> Result<Option<WorkspaceBinding>, LedgerError> {
        let write = Write::update(&key(run_pk(run), "RUN"), "SET #workspace.app_id = :app")
            .when("attribute_exists(#workspace) AND attribute_not_exists(#workspace.app_id)")
            .with(":app", s(app_id));
        self.send(write).await?;
        Ok(self.run(run).await?.and_then(|run| run.workspace))
    }

    /// Reserves a company's name for a user of the run, so that two users cannot name one company
    /// differently.
    pub async fn reserve_company(
        &self,
        run: &RunId,
        generation: u32,
        CompanyName { company, name }: CompanyName<'_>,
        user: &UserId,
    ) -> Result<Reserved, LedgerError> {
        let at = key(run_pk(run), format!("COMPANY#{company}"));
        let item = attributes::item(&at, &Company { name: name.to_owned(), generation, user: Some(user.clone()) })?;
        let write = Write::put(item)
            .when("attribute_not_exists(pk) OR generation < :generation")
            .with(":generation", n(generation));
        if self.send(write).await? {
            return Ok(Reserved::New);
        }
        let there: Option<Company> = self.get(&at).await?;
        Ok(match there.filter(|there| there.name == name) {
            Some(there) if there.user.as_ref() == Some(user) => Reserved::New,
            Some(_) => Reserved::Same,
            None => Reserved::Other,
        })
    }

    /// Returns at most `most` runs of the same plan that began before this one, newest first, from
    /// the latest `RUNS_SEARCHED` of the ledger.
    pub async fn runs_before(&self, run: &Run, most: usize) -> Result<Vec<RunId>, LedgerError> {
        let of_plan = |id: &RunId| id.plan() == run.plan;
        let found = self.newest_runs(&place_among_the_runs(run).sk, RUNS_SEARCHED).await?;
        Ok(found.into_iter().filter(of_plan).take(most).collect())
    }

    /// Returns the runs of this ledger that began after this one, by their start.
    pub async fn runs_after(&self, run: &Run) -> Result<Vec<RunId>, LedgerError> {
        let from = place_among_the_runs(run).sk;
        let select = Select::of("RUNS", Keys::Between(from, AFTER_ALL_RUNS.to_owned()));
        let mut found = Vec::new();
        self.select(&select, |items| {
            found.extend(items.iter().filter_map(run_of).filter(|id| *id != run.id));
            Ok(true)
        })
        .await?;
        Ok(found)
    }

    /// Returns the API of the plan's last run that did not fail. A run stored without a version has
    /// the newest one of its family. A run that this version of the program cannot read is left out. If
    /// a later one failed because Intercom does not serve the bulk jobs of API 1.x, the result names it.
    pub async fn last_api_of(&self, plan: &str) -> Result<Option<LastApi>, LedgerError> {
        let mut unwritable = None;
        let (mut before, mut read) = (AFTER_ALL_RUNS.to_owned(), 0);
        while read < RUNS_OF_PLAN {
            let runs = self.next_runs_of(plan, &mut before).await?;
            if runs.is_empty() {
                break;
            }
            for id in runs {
                read += 1;
                match self.run(&id).await {
                    Ok(Some(run)) if run.state != State::Failed => {
                        let version = run.version.unwrap_or(ApiVersion::newest(run.api));
                        return Ok(Some(LastApi { run: id, version, unwritable }));
                    }
                    Ok(Some(run)) if run.api == Api::V1 && run.jobs_not_served => {
                        unwritable.get_or_insert(id);
                    }
                    Ok(_) | Err(LedgerError::Newer { .. } | LedgerError::Decode { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(None)
    }

    /// Returns the newest runs of a plan before a key of the list of runs, newest first: those of the
    /// first read that has one, and at most [`RUNS_OF_PLAN`]. Sets the key to the last one read.
    async fn next_runs_of(&self, plan: &str, before: &mut String) -> Result<Vec<RunId>, LedgerError> {
        let mut found = Vec::new();
        let keys = Keys::LastBefore(before.clone());
        let select = Select { items: RUNS_AT_ONCE, attributes: Some("sk, #run"), ..Select::of("RUNS", keys) };
        self.select(&select, |items| {
            for item in items {
                if let Some(run) = run_of(&item).filter(|run| run.plan() == plan && found.len() < RUNS_OF_PLAN) {
                    found.push(run);
                }
                attributes::text(&item, "sk").clone_into(before);
            }
            Ok(found.is_empty())
        })
        .await?;
        Ok(found)
    }

    /// Returns at most `most` runs of this ledger, newest first.
    pub async fn runs(&self, most: usize) -> Result<Vec<RunId>, LedgerError> {
        self.newest_runs(AFTER_ALL_RUNS, most).await
    }

    /// Returns at most `most` runs before a key, newest first. Each run has its own partition, so
    /// this reads the list that [`Self::begin`] maintains.
    async fn newest_runs(&self, before: &str, most: usize) -> Result<Vec<RunId>, LedgerError> {
        let mut found = Vec::new();
        let select = Select { items: most, ..Select::of("RUNS", Keys::LastBefore(before.to_owned())) };
        self.select(&select, |items| {
            found.extend(items.iter().filter_map(run_of));
            Ok(found.len() < most)
        })
        .await?;
        found.truncate(most);
        Ok(found)
    }
}

/// Returns the run of an item of the list of runs.
fn run_of(item: &attributes::Item) -> Option<RunId> {
    RunId::parse(item.get("run")?.as_s().ok()?)
}

/// Returns the key of a run in the list of runs.
pub(super) fn place_among_the_runs(run: &Run) -> Key {
    key("RUNS", format!("{:015}#{}", run.started_ms, run.id))
}

/// Returns the item of a run in the list of runs.
pub(super) fn among_the_runs(run: &Run) -> attributes::Item {
    let mut item = place_among_the_runs(run).attributes();
    item.insert("run".to_owned(), s(&run.id));
    item
}
