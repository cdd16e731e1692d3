//! `retry`: reads users of an ended run again, and writes what they lack by its plan.

use std::io::IsTerminal;
use std::num::NonZeroU32;

use clap::Args;
use intercom_bulk::control::{EarlierRun, retried};
use intercom_bulk::domain::run::{RunId, State};
use intercom_bulk::ledger::Ledger;
use intercom_bulk::plan::Plan;
use intercom_bulk::runtime::event::{ControlEvent, RetryRequest};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::bounds::{per_minute, run_of};
use super::control::{invoke, run_id, show};
use super::local::{Shown, Worker, last_folder, ledger_in};
use super::run::connect;
use super::stack_options::StackOptions;
use super::{Access, CommandError};
use crate::notify::Notify;
use crate::output;
use crate::state_dir::{Place, PlaceError};
use intercom_bulk_emulator::engine::machine_wall;

/// The exit codes of `retry`, for its help.
const CODES: &str = "Exit codes: on this machine those of `run`: 0 complete · 1 failed or cancelled · 2 complete_with_errors: some users \
                     failed again · 3 incomplete · 4 paused · 130 interrupted. With --stack: 0 the retry is requested, or was before · 1 failed. \
                     64 wrong usage, nothing was started: no such run, it has not ended, or no user matches";

/// Runs among which the last one is searched that is no preview.
const RUNS_SEARCHED: usize = 100;

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk retry [OPTIONS] [RUN]", after_help = CODES)]
#[command(long_about = "Retry the users of a run that failed.\n\n\
    A new run of the same stored plan and API reads these users by id, evaluates the plan for each, and writes the values \
    that are not right. A user whose cause is removed gets the value; one who has it by now is unchanged; one who still \
    fails is listed by `errors` of the new run. Remove the causes first.\n\n\
    Failed users are those that `errors` lists. --code takes those with one code. --unknown takes the users that were read \
    and have no known end: the run ended before they were sent, or their job or answer was lost. Users that the run did not \
    read are in no list: a new run of the plan reads them.\n\n\
    The run keeps its errors; `history` and `status` show what the new run retries. To finish a retry that was stopped, \
    `resume` it.")]
pub(super) struct RetryRun {
    /// The ended run [default: the last]
    #[arg(value_name = "RUN", value_parser = run_id)]
    run: Option<RunId>,
    /// Only the users that failed with this code, as `errors` lists it
    #[arg(long, value_name = "CODE", conflicts_with = "unknown")]
    code: Option<String>,
    /// The users without a known end instead of the failed ones
    #[arg(long)]
    unknown: bool,
    /// Write at most this number of users per minute [default: as the run]
    #[arg(long, value_name = "N", value_parser = per_minute)]
    max_per_minute: Option<NonZeroU32>,
    /// Do not ask for confirmation before changing a real workspace
    #[arg(long)]
    yes: bool,
    /// Print only one JSON object, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    notify: Notify,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    deployed: StackOptions,
}

impl RetryRun {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        // `--state` is a flag only; LEDGER_TABLE may be left over in the environment.
        if self.access.state.is_none() && self.deployed.is_named() {
            self.notify.refuse()?;
            let named = match &self.run {
                Some(run) => run.clone(),
                None => last_run(&self.deployed.ledger().await?).await?,
            };
            let request = RetryRequest { time: Some(now()), ..self.request(named) };
            show(&invoke(&self.deployed, &ControlEvent::Retry(request)).await?, self.json)?;
            return Ok(0);
        }
        self.here().await
    }

    fn request(&self, run: RunId) -> RetryRequest {
        let Self { code, unknown, max_per_minute, .. } = self;
        RetryRequest { retry: run, code: code.clone(), unknown: *unknown, time: None, max_per_minute: *max_per_minute }
    }

    /// Works on the retry in this process.
    async fn here(&self) -> Result<u8, CommandError> {
        let state = self.access.state.as_deref();
        let path = last_folder(state)?;
        let ledger = ledger_in(&path)?;
        let named = match &self.run {
            Some(run) => run.clone(),
            None => last_run(&ledger).await?,
        };
        let (request, active) = (self.request(named), ledger.active().await?);
        let stopped = match &active.run {
            Some(id) => ledger.run(id).await?,
            None => None,
        };
        let resumed = stopped.as_ref().filter(|run| run.retry.as_ref() == Some(&request.users()));
        if let (Some(run), None) = (&stopped, resumed.filter(|run| run.state != State::Paused)) {
            let words = format!(
                "run {} has not ended: it is {}. `intercom-bulk resume` finishes it, and `intercom-bulk cancel` ends it",
                run.id, run.state
            );
            return Err(CommandError::Usage(words));
        }
        let (event, id) = if let Some(run) = resumed {
            output::note(self.json, &format!("Run {} has not ended; resuming it.", run.id));
            // One process works on a ledger, so the previous process holds no lease any more.
            (json!({"resume": "restarted"}), run.id.clone())
        } else {
            let found = retried(&ledger, &request.users(), &active, machine_wall()()).await?;
            let found = found.map_err(CommandError::Usage)?;
            if !self.confirmed(&ledger, &request, &found).await? {
                output::note(false, "Nothing was changed.");
                return Ok(1);
            }
            start(&ledger, &request, &found).await?
        };
        let (intercom, _, settings) = connect(&self.access)?;
        let worker = Worker::open(Place::take(Some(&path), "")?, intercom, settings).await?;
        worker.work(event, &id, Shown { json: self.json, state }, &self.notify).await
    }

    /// Shows the users and the plan, and asks for confirmation before a real workspace is changed.
    async fn confirmed(
        &self,
        ledger: &Ledger,
        request: &RetryRequest,
        found: &EarlierRun,
    ) -> Result<bool, CommandError> {
        let (_, reached, _) = connect(&self.access)?;
        let EarlierRun { run, users } = found;
        let plan = Plan::of_run(&ledger.plan_of(&run.id).await?)?;
        let count = output::count(*users, "user");
        output::note(self.json, &format!("{count} of plan {}: {}.", run.plan, request.users().words()));
        if self.yes || reached.base_url.is_loopback() {
            return Ok(true);
        }
        if let Some(workspace) = &run.workspace {
            output::note(false, &format!("Workspace: {workspace}"));
        }
        output::note(
            false,
            &format!("Each is read again; values that are not right are set: {}", plan.targets().join(", ")),
        );
        output::note(false, "Changing an attribute can send messages, start series and call webhooks.");
        if !std::io::stdin().is_terminal() {
            let words = "this would change a real workspace: answer at a terminal, or add --yes";
            return Err(CommandError::Usage(words.to_owned()));
        }
        Ok(output::confirm("Retry them?"))
    }
}

/// Returns the event that starts the retry, and its run. An id of a run contains its second.
async fn start(ledger: &Ledger, request: &RetryRequest, found: &EarlierRun) -> Result<(Value, RunId), CommandError> {
    let mut at = now();
    loop {
        let event = request.start(&found.run, at);
        let id = run_of(&event)?;
        if ledger.run(&id).await?.is_none() {
            return Ok((event, id));
        }
        at = at.saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
    }
}

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(machine_wall()().div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Returns the last run that is no preview.
pub(super) async fn last_run(ledger: &Ledger) -> Result<RunId, CommandError> {
    for id in ledger.runs(RUNS_SEARCHED).await? {
        if ledger.run(&id).await?.is_some_and(|run| !run.limits.dry_run) {
            return Ok(id);
        }
    }
    Err(CommandError::Place(PlaceError::Nothing))
}
