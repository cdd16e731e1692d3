//! `resume`: continues a run that is paused, or that was stopped on this machine.

use std::time::Duration;

use clap::Args;
use intercom_bulk::control;
use intercom_bulk::domain::run::{Run, RunId, State};
use intercom_bulk::ledger::Ledger;
use intercom_bulk::runtime::event::{ControlEvent, Target};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::completions::runs;
use super::control::{invoke, run_id, show, target};
use super::local::{Shown, Worker, last_folder, ledger_in};
use super::stack_options::StackOptions;
use super::{Access, CommandError};
use crate::notify::Notify;
use crate::output;
use crate::state_dir::Place;

/// The exit codes of `resume`, for its help.
const CODES: &str = "Exit codes: on this machine those of `run`: 0 complete · 1 failed or cancelled · 2 complete_with_errors · \
                     3 incomplete · 4 paused again · 130 interrupted. With --stack: 0 the run continues, or did so already · 1 failed, or the \
                     run has ended. 64 wrong usage: no run is active, no such run (with --stack 1), or a stack or credentials are missing";

/// The time in which a `run` that noticed the pause ends.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk resume [OPTIONS] [RUN]", after_help = CODES)]
#[command(long_about = "Continue a run that is paused, or that was stopped on this machine.\n\n\
    Queued patches are submitted first. If all pages are read, nothing else is left to do. With API 1.x a scroll that was \
    not called for a minute has expired, so the users are read again; those that are done cost a read and no write.\n\n\
    On this machine the command works until the run ends, as `run` does. It needs no plan file: a run keeps its own copy \
    of its plan. With --stack the functions continue it.")]
pub(super) struct ResumeRun {
    /// The run [default: the active one]
    #[arg(value_name = "RUN", value_parser = run_id, add = runs())]
    run: Option<RunId>,
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

impl ResumeRun {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let target = target(self.run.clone());
        // `--state` is a flag only; LEDGER_TABLE may be left over in the environment.
        if self.access.state.is_none() && self.deployed.is_named() {
            self.notify.refuse()?;
            let outcome = invoke(&self.deployed, &ControlEvent::Resume(target)).await?;
            show(&outcome, self.json)?;
            let continues = ["running", "draining", "verifying"].iter().any(|state| outcome["state"] == *state);
            return Ok(u8::from(!continues));
        }
        self.here(&target).await
    }

    /// Works on the run in this process.
    async fn here(&self, target: &Target) -> Result<u8, CommandError> {
        let state = self.access.state.as_deref();
        let path = last_folder(state)?;
        let run = find(&ledger_in(&path)?, target).await?;
        if run.state.ended() || run.state.works() && Place::is_held(&path) == Some(true) {
            let hint = if run.state.ended() { "the run has ended" } else { "a process works on it" };
            show(&json!({"did": "nothing", "run": run.id, "state": run.state, "hint": hint}), self.json)?;
            return Ok(u8::from(run.state.ended()));
        }
        let began = Instant::now();
        while Place::is_held(&path) == Some(true) && began.elapsed() < ENDS_WITHIN {
            sleep(LOOK).await;
        }
        let worker = Worker::take(&path, &self.access).await?;
        let was = if run.state == State::Paused { "is paused" } else { "has not ended" };
        output::note(self.json, &format!("Run {} {was}; resuming it.", run.id));
        worker.resume(&run, Shown { json: self.json, state }, &self.notify).await
    }
}

/// Returns the run to resume: only the active one has not ended.
async fn find(ledger: &Ledger, target: &Target) -> Result<Run, CommandError> {
    let found = control::find(ledger, target).await?;
    found.ok_or_else(|| {
        CommandError::Usage(match target {
            Target::Active => "no run is active; `history` lists the runs".to_owned(),
            Target::Run(run) => format!("there is no run {run} in this state; `history` lists its runs"),
        })
    })
}
