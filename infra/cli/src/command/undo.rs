//! `undo`: restores the values from before an ended run.

use std::io::IsTerminal;
use std::num::NonZeroU32;

use clap::Args;
use intercom_bulk::control::{self, EarlierRun, undone};
use intercom_bulk::domain::run::{Run, RunId};
use intercom_bulk::ledger::Ledger;
use intercom_bulk::runtime::event::{ControlEvent, UndoRequest};
use serde_json::Value;

use super::bounds::per_minute;
use super::completions::runs;
use super::control::{invoke, run_id, show};
use super::earlier::{Here, named_or_last};
use super::local::{Shown, Worker, new_start, now, stopped};
use super::stack_options::StackOptions;
use super::{Access, CommandError, INTERRUPTED};
use crate::notify::Notify;
use crate::output;
use crate::session::{Session, drive};
use crate::undone::{Restorable, age};
use intercom_bulk_emulator::engine::machine_wall;

/// The exit codes of `undo`, for its help.
const CODES: &str = "Exit codes: after a preview alone 0 nothing would be restored · 2 something would be, or users failed · 3 it did not \
                     see all users · 1 it failed, or the answer was no. After an undo on this machine \
                     those of `run`: 0 complete · 1 failed or cancelled · 2 complete_with_errors · 3 incomplete · 4 paused · 130 interrupted. \
                     With --stack: 0 it is requested, or was before · 1 failed. 64 wrong usage, nothing was started: no such run, it has \
                     not ended or may still change values, it changed no user, or a later run wrote the same values (with --stack these are 1)";

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk undo [OPTIONS] [RUN]", after_help = CODES)]
#[command(long_about = "Restore the values from before a run.\n\n\
    A new run of the same API reads each user that the run changed by id. A value that is still the run's own is set back to \
    the one that the run read before. All others stay, and `changes --all` of the undo lists them with the reason:\n\n\
    not_written: the value from before the run is there\n\
    changed_since: something else set another value\n\
    gone: Intercom does not have the user any more\n\
    unsure: a request without a known end had another value before\n\n\
    First comes a preview, which reads these users and counts what would be restored. Then it asks. Without a terminal it \
    ends after the preview, unless --yes, which leaves the preview out.\n\n\
    Values that the run read may have been minutes or hours old when it wrote: a value that something else set in between is \
    not known, and cannot be restored. Messages that were sent and webhooks that were called stay so.\n\n\
    Later runs that wrote the same values must be undone first. An undo can be undone. On a stack it holds the plan: starts \
    of it are refused until `put` stores it again, or `start --unhold`.")]
pub(super) struct UndoRun {
    /// The ended run [default: the last that is no preview]
    #[arg(value_name = "RUN", value_parser = run_id, add = runs())]
    run: Option<RunId>,
    /// Undo the run without a preview and a question. With --stack it is needed to undo; without it the stack makes the
    /// preview
    #[arg(long)]
    yes: bool,
    /// Write at most this number of users per minute [default: as the run]
    #[arg(long, value_name = "N", value_parser = per_minute)]
    max_per_minute: Option<NonZeroU32>,
    /// Print only one JSON object, on standard output. Without --yes that is the preview
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    notify: Notify,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    deployed: StackOptions,
}

impl UndoRun {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        // `--state` is a flag only; LEDGER_TABLE may be left over in the environment.
        if self.access.state.is_none() && self.deployed.is_named() {
            self.notify.refuse()?;
            let named = named_or_last(self.run.as_ref(), &self.deployed.ledger().await?).await?;
            let request = UndoRequest { time: Some(now()), ..self.request(named, !self.yes) };
            let outcome = invoke(&self.deployed, &ControlEvent::Undo(request)).await?;
            show(&outcome, self.json)?;
            if !self.yes {
                output::note(self.json, "Nothing is restored: look at the preview, then add --yes.");
            }
            return Ok(0);
        }
        self.here().await
    }

    fn request(&self, run: RunId, dry_run: bool) -> UndoRequest {
        UndoRequest { undo: run, dry_run, time: None, max_per_minute: self.max_per_minute }
    }

    /// Works on the preview and the undo in this process.
    async fn here(&self) -> Result<u8, CommandError> {
        let state = self.access.state.as_deref();
        let here = Here::open(state).await?;
        let named = named_or_last(self.run.as_ref(), &here.ledger).await?;
        let request = self.request(named, false);
        let is_this = |run: &Run| run.undo.as_ref() == Some(&request.of()) && !run.limits.dry_run;
        let shown = Shown { json: self.json, state };
        if let Some(run) = here.resumed(is_this, self.json).await? {
            return here.worker(&self.access).await?.resume(&run, shown, &self.notify).await;
        }
        let found = undone(&here.ledger, &request.of(), &here.active, machine_wall()()).await?;
        let found = found.map_err(CommandError::Usage)?;
        let EarlierRun { run, users } = &found;
        let about = output::count(*users, "user");
        output::note(self.json, &format!("Run {} of plan {} changed about {about}.", run.id, run.plan));
        output::note(self.json, &age(run, machine_wall()()));
        let worker = here.worker(&self.access).await?;
        if !self.yes {
            let Some(restorable) = self.preview(&worker, &found).await? else { return Ok(INTERRUPTED) };
            restorable.show(self.json);
            let code = restorable.exit_code();
            if code != 2 || restorable.to_restore == 0 || self.json || !std::io::stdin().is_terminal() {
                if code == 2 && restorable.to_restore > 0 {
                    output::note(self.json, "Nothing is restored: answer at a terminal, or add --yes.");
                }
                return Ok(code);
            }
            output::note(false, "Changing an attribute can send messages, start series and call webhooks.");
            if !output::confirm("Restore them?") {
                output::note(false, "Nothing was changed.");
                return Ok(1);
            }
        }
        let (event, id) = start(&here.ledger, &request, &found.run).await?;
        worker.work(event, &id, shown, &self.notify).await
    }

    /// Reads the users and counts what would be restored; `None` if it was interrupted.
    async fn preview(&self, worker: &Worker, found: &EarlierRun) -> Result<Option<Restorable>, CommandError> {
        let ledger = &worker.engine.clients.ledger;
        let request = self.request(found.run.id.clone(), true);
        let (event, id) = start(ledger, &request, &found.run).await?;
        match drive(&worker.engine, event, &id, self.json).await.map_err(stopped)? {
            Session::Over { run, cursor, .. } => Ok(Some(Restorable::read(ledger, &found.run, &run, &cursor).await?)),
            Session::Interrupted => {
                if let Some(run) = ledger.run(&id).await?.filter(|run| !run.state.ended()) {
                    let now_ms = worker.engine.now_ms();
                    ledger.end_leases(&id, now_ms).await?;
                    control::cancel(ledger, &run, "the preview was interrupted", now_ms).await?;
                }
                output::note(false, "Stopped. A preview changes nothing.");
                Ok(None)
            }
        }
    }
}

/// Returns the event that starts the undo or its preview, and its run.
async fn start(ledger: &Ledger, request: &UndoRequest, of: &Run) -> Result<(Value, RunId), CommandError> {
    new_start(ledger, |at| request.start(of, at)).await
}
