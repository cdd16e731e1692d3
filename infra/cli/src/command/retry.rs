//! `retry`: reads users of an ended run again, and writes what they lack by its plan.

use std::io::IsTerminal;
use std::num::NonZeroU32;

use clap::Args;
use intercom_bulk::control::{EarlierRun, retried};
use intercom_bulk::domain::run::{Run, RunId};
use intercom_bulk::ledger::Ledger;
use intercom_bulk::plan::Plan;
use intercom_bulk::runtime::event::{ControlEvent, RetryRequest};

use super::bounds::per_minute;
use super::completions::runs;
use super::control::{invoke, run_id, show};
use super::earlier::{Here, named_or_last};
use super::local::{Shown, new_start, now};
use super::run::connect;
use super::stack_options::StackOptions;
use super::{Access, CommandError};
use crate::notify::Notify;
use crate::output;
use intercom_bulk_emulator::engine::machine_wall;

/// The exit codes of `retry`, for its help.
const CODES: &str = "Exit codes: on this machine those of `run`: 0 complete · 1 failed or cancelled · 2 complete_with_errors: some users \
                     failed again · 3 incomplete · 4 paused · 130 interrupted. With --stack: 0 the retry is requested, or was before · 1 failed. \
                     64 wrong usage, nothing was started: no such run, it has not ended, or no user matches (with --stack these are 1)";

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
    /// The ended run [default: the last that is no preview]
    #[arg(value_name = "RUN", value_parser = run_id, add = runs())]
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
            let named = named_or_last(self.run.as_ref(), &self.deployed.ledger().await?).await?;
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
        let here = Here::open(state).await?;
        let request = self.request(named_or_last(self.run.as_ref(), &here.ledger).await?);
        let is_this = |run: &Run| run.retry.as_ref() == Some(&request.users());
        let shown = Shown { json: self.json, state };
        if let Some(run) = here.resumed(is_this, self.json).await? {
            return here.worker(&self.access).await?.resume(&run, shown, &self.notify).await;
        }
        let found = retried(&here.ledger, &request.users(), &here.active, machine_wall()()).await?;
        let found = found.map_err(CommandError::Usage)?;
        if !self.confirmed(&here.ledger, &request, &found).await? {
            output::note(false, "Nothing was changed.");
            return Ok(1);
        }
        let (event, id) = new_start(&here.ledger, |at| request.start(&found.run, at)).await?;
        here.worker(&self.access).await?.work(event, &id, shown, &self.notify).await
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
