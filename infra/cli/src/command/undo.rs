//! `undo`: restores the values from before an ended run.

use std::io::IsTerminal;
use std::num::NonZeroU32;

use clap::Args;
use intercom_bulk::control::{self, EarlierRun, undone};
use intercom_bulk::domain::run::{RunId, State};
use intercom_bulk::ledger::Ledger;
use intercom_bulk::runtime::event::{ControlEvent, UndoRequest};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::bounds::{per_minute, run_of};
use super::control::{invoke, run_id, show};
use super::local::{Shown, Worker, last_folder, ledger_in, stopped};
use super::retry::{last_run, now};
use super::run::connect;
use super::stack_options::StackOptions;
use super::{Access, CommandError, INTERRUPTED};
use crate::notify::Notify;
use crate::output;
use crate::session::{Session, drive};
use crate::state_dir::Place;
use crate::undone::{Restorable, age};
use intercom_bulk_emulator::engine::machine_wall;

/// The exit codes of `undo`, for its help.
const CODES: &str = "Exit codes: after a preview alone 0 nothing would be restored · 2 something would be. After an undo on this machine \
                     those of `run`: 0 complete · 1 failed or cancelled · 2 complete_with_errors · 3 incomplete · 4 paused · 130 interrupted. \
                     With --stack: 0 it is requested, or was before · 1 failed. 64 wrong usage, nothing was started: no such run, it has \
                     not ended or may still change values, it changed no user, or a later run wrote the same values";

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
    /// The ended run [default: the last]
    #[arg(value_name = "RUN", value_parser = run_id)]
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
            let named = match &self.run {
                Some(run) => run.clone(),
                None => last_run(&self.deployed.ledger().await?).await?,
            };
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
        let path = last_folder(state)?;
        let ledger = ledger_in(&path)?;
        let named = match &self.run {
            Some(run) => run.clone(),
            None => last_run(&ledger).await?,
        };
        let request = self.request(named, false);
        let active = ledger.active().await?;
        let unended = match &active.run {
            Some(id) => ledger.run(id).await?,
            None => None,
        };
        let resumed = unended.as_ref().filter(|run| run.undo.as_ref() == Some(&request.of()) && !run.limits.dry_run);
        if let (Some(run), None) = (&unended, resumed.filter(|run| run.state != State::Paused)) {
            let words = format!(
                "run {} has not ended: it is {}. `intercom-bulk resume` finishes it, and `intercom-bulk cancel` ends it",
                run.id, run.state
            );
            return Err(CommandError::Usage(words));
        }
        let open = async || {
            let (intercom, _, settings) = connect(&self.access)?;
            Worker::open(Place::take(Some(&path), "")?, intercom, settings).await
        };
        let shown = Shown { json: self.json, state };
        if let Some(run) = resumed {
            output::note(self.json, &format!("Run {} has not ended; resuming it.", run.id));
            // One process works on a ledger, so the previous process holds no lease any more.
            return open().await?.work(json!({"resume": "restarted"}), &run.id, shown, &self.notify).await;
        }
        let found = undone(&ledger, &request.of(), &active, machine_wall()()).await?.map_err(CommandError::Usage)?;
        let EarlierRun { run, users } = &found;
        let about = output::count(*users, "user");
        output::note(self.json, &format!("Run {} of plan {} changed about {about}.", run.id, run.plan));
        output::note(self.json, &age(run, machine_wall()()));
        let worker = open().await?;
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
        let (event, id) = start(&worker.engine.clients.ledger, &request, &found).await?;
        worker.work(event, &id, shown, &self.notify).await
    }

    /// Reads the users and counts what would be restored; `None` if it was interrupted.
    async fn preview(&self, worker: &Worker, found: &EarlierRun) -> Result<Option<Restorable>, CommandError> {
        let ledger = &worker.engine.clients.ledger;
        let request = self.request(found.run.id.clone(), true);
        let (event, id) = start(ledger, &request, found).await?;
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

/// Returns the event that starts the undo or its preview, and its run. An id of a run contains its second.
async fn start(ledger: &Ledger, request: &UndoRequest, found: &EarlierRun) -> Result<(Value, RunId), CommandError> {
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
