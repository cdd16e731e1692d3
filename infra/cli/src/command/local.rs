//! The ledger on this machine, and work on one of its runs until the run ends.

use std::path::{Path, PathBuf};

use intercom_bulk::domain::run::{Cursor, Run, RunId, State};
use intercom_bulk::intercom::Intercom;
use intercom_bulk::ledger::Ledger;
use intercom_bulk::runtime::config::Settings;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::bounds::run_of;
use super::run::connect;
use super::{Access, CommandError, INTERRUPTED};
use crate::notify::Notify;
use crate::output;
use crate::session::{Session, SessionError, drive};
use crate::state_dir::{Place, whose};
use crate::summary::Summary;
use crate::under_way::UnderWay;
use intercom_bulk_emulator::aws::{Account, forget_bodies};
use intercom_bulk_emulator::engine::{Engine, EngineError, TABLE, machine_wall};

/// Returns the note after a stop.
fn after_stop(run: Option<&Run>) -> String {
    let finishes = output::finishes(run);
    if run.is_some_and(|run| run.state == State::Verifying) {
        return format!("Stopped. All users are written. {finishes}");
    }
    let again = if run.is_some_and(Run::reads_exclusively) {
        " If pages are left and Intercom's scroll has expired (after a minute), it reads all users again."
    } else {
        ""
    };
    format!("Stopped. {finishes}{again}")
}

/// Returns the named folder, or the one that `run` used last. Tells whose folder it is.
pub(super) fn last_folder(named: Option<&Path>) -> Result<PathBuf, CommandError> {
    let path = Place::last(named)?;
    if let Some(words) = whose(&path, named) {
        output::note(false, &words);
    }
    Ok(path)
}

/// Opens the ledger in a folder beside the process that works on it.
pub(super) fn ledger_in(path: &Path) -> Result<Ledger, CommandError> {
    Ok(Ledger::new(Account::open(Some(path)).map_err(EngineError::from)?.dynamodb, TABLE))
}

/// Returns the option of a further command on the ledger in this folder.
pub(super) fn state_option(folder: &Path) -> String {
    format!(" --state {}", folder.display())
}

/// The form of a run's summary.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    /// Print JSON only.
    pub(super) json: bool,
    /// The named folder of the state.
    pub(super) state: Option<&'a Path>,
}

/// The one process that works on a ledger.
pub(super) struct Worker {
    place: Place,
    pub(super) engine: Engine,
}

impl Worker {
    /// Opens the ledger of a folder that this process has taken.
    pub(super) async fn open(place: Place, intercom: Intercom, settings: Settings) -> Result<Self, CommandError> {
        let account = Account::open_alone(&place.path).map_err(EngineError::from)?;
        let engine = Engine::open(&account.dynamodb, &account.sqs, intercom, settings, machine_wall()).await?;
        Ok(Self { place, engine })
    }

    /// Takes the ledger of a folder for this process.
    pub(super) async fn take(path: &Path, access: &Access) -> Result<Self, CommandError> {
        let (intercom, _, settings) = connect(access)?;
        Self::open(Place::take(Some(path), "")?, intercom, settings).await
    }

    /// Works on a run that another process left, as [`Worker::work`] does.
    pub(super) async fn resume(&self, run: &Run, shown: Shown<'_>, notify: &Notify) -> Result<u8, CommandError> {
        tell_under_way(&self.engine, run, shown.json).await?;
        self.work(restarted(), &run.id, shown, notify).await
    }

    /// Sends `event` to its step, works until the run ends, pauses, or is interrupted, and notifies.
    /// Returns the exit code.
    pub(super) async fn work(
        &self,
        event: Value,
        id: &RunId,
        shown: Shown<'_>,
        notify: &Notify,
    ) -> Result<u8, CommandError> {
        let code = self.drive(event, id, shown).await?;
        notify.tell(&self.engine.clients.ledger, id).await;
        Ok(code)
    }

    async fn drive(&self, event: Value, id: &RunId, shown: Shown<'_>) -> Result<u8, CommandError> {
        let driven = drive(&self.engine, event, id, shown.json).await;
        // The queue ends with this process, so its message bodies are of no use.
        let _ = forget_bodies(&self.place.path);
        match driven.map_err(stopped)? {
            Session::Interrupted => {
                let ledger = &self.engine.clients.ledger;
                // A step that was under way at the stop may have ended or paused the run.
                let run = ledger.run(id).await?;
                let over = run.as_ref().filter(|run| !run.state.works());
                if let Some((run, cursor)) = over.zip(ledger.cursor(id).await?) {
                    self.summarize(run, &cursor, shown).await?;
                } else {
                    output::note(false, &after_stop(run.as_ref()));
                }
                Ok(INTERRUPTED)
            }
            Session::Over { run, cursor, .. } => self.summarize(&run, &cursor, shown).await,
        }
    }

    /// Shows the run's summary. Returns its exit code.
    async fn summarize(&self, run: &Run, cursor: &Cursor, shown: Shown<'_>) -> Result<u8, CommandError> {
        let summary = Summary::read(&self.engine.clients.ledger, run, cursor, self.engine.now_ms()).await?;
        let state = shown.state.map(state_option).unwrap_or_default();
        summary.show(shown.json, Some(&state));
        Ok(summary.exit_code())
    }
}

/// Tells which requests were under way when the process before this one ended, and what follows.
pub(super) async fn tell_under_way(engine: &Engine, run: &Run, json: bool) -> Result<(), CommandError> {
    let unknown_life_ms = engine.clients.settings.settle_times().life_ms(run);
    let now_ms = engine.now_ms();
    for words in UnderWay::read(&engine.clients.ledger, run, unknown_life_ms, now_ms).await?.words(now_ms) {
        output::note(json, &words);
    }
    Ok(())
}

pub(super) fn stopped(error: SessionError) -> CommandError {
    match error {
        SessionError::Ledger(error) => CommandError::Ledger(error),
        other => CommandError::Step(output::flags(&other.to_string())),
    }
}

/// Returns the event that resumes a run of the process before. One process works on a ledger, so that
/// process holds no lease any more.
pub(super) fn restarted() -> Value {
    json!({"resume": "restarted"})
}

/// Returns the start event of a second whose run neither exists nor waits, and its run: a run's id contains its
/// second, so a run that began in this second would be taken for the new one.
pub(super) async fn new_start(
    ledger: &Ledger,
    event_at: impl Fn(Timestamp) -> Value,
) -> Result<(Value, RunId), CommandError> {
    let waiting = ledger.waiting().await?;
    let mut at = now();
    loop {
        let event = event_at(at);
        let id = run_of(&event)?;
        if waiting.iter().all(|waits| waits.start.run() != id) && ledger.run(&id).await?.is_none() {
            return Ok((event, id));
        }
        at = at.saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
    }
}

/// Returns the present second, by the machine's clock.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(machine_wall()().div_euclid(1000)).unwrap_or(Timestamp::UNIX_EPOCH)
}
