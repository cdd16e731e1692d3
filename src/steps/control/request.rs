//! An operator's request for a new run about an ended one: a retry or an undo.

use jiff::Timestamp;
use serde_json::Value;

use super::{Change, ControlOutcome};
use crate::control::{self, EarlierRun};
use crate::domain::clock::Clock;
use crate::domain::run::{Limits, Run, RunId, Source};
use crate::ledger::{Active, Ledger};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::{RetryRequest, StartEvent, UndoRequest};

/// Sends the start of a retry to scroll. If the same retry runs or waits, nothing is sent.
pub(super) async fn retry(
    clients: &Clients,
    request: &RetryRequest,
    clock: Clock,
) -> Result<ControlOutcome, StepError> {
    let (ledger, users) = (&clients.ledger, request.users());
    let active = ledger.active().await?;
    let retried = control::retried(ledger, &users, &active, clock.now_ms()).await?;
    let EarlierRun { run: first, users: number } = retried.map_err(|why| StepError::NotRetried { why })?;
    let event = request.start(&first, now(clock));
    let new = NewStart { event, source: Source::Retry(users.clone()), is_dry: false };
    let hint = format!("{number} of {}", users.words());
    request_run(clients, &active, new, format!("for {}", users.words()), hint).await
}

/// Sends the start of an undo, or of its preview, to scroll. If the same runs or waits, nothing is sent.
pub(super) async fn undo(clients: &Clients, request: &UndoRequest, clock: Clock) -> Result<ControlOutcome, StepError> {
    let (ledger, undo) = (&clients.ledger, request.of());
    let active = ledger.active().await?;
    let undone = control::undone(ledger, &undo, &active, clock.now_ms()).await?;
    let EarlierRun { run: first, users } = undone.map_err(|why| StepError::NotUndone { why })?;
    let event = request.start(&first, now(clock));
    let new = NewStart { event, source: Source::Undo(undo), is_dry: request.dry_run };
    let what = if request.dry_run { "a preview of the undo" } else { "the undo" };
    let hint = format!("{what} of {}, which changed about {users} users", first.id);
    request_run(clients, &active, new, format!("as {what} of {}", first.id), hint).await
}

fn now(clock: Clock) -> Timestamp {
    Timestamp::from_second(clock.now_s()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A start about an ended run.
struct NewStart {
    event: Value,
    source: Source,
    is_dry: bool,
}

impl NewStart {
    /// Returns whether it does the same as a start or a run with this source and these limits.
    fn is_like(&self, source: &Source, limits: &Limits) -> bool {
        *source == self.source && limits.dry_run == self.is_dry
    }
}

/// Sends a start, unless the same runs or waits. `before` says for what it was requested then.
async fn request_run(
    clients: &Clients,
    active: &Active,
    new: NewStart,
    before: String,
    hint: String,
) -> Result<ControlOutcome, StepError> {
    let ledger = &clients.ledger;
    let Some(id) = StartEvent::read(&new.event)?.run() else {
        return Err(StepError::NoPlan { name: new.event["plan"].to_string() });
    };
    if let Some(there) = there(ledger, &new, active, &id).await? {
        let state = ledger.run(&there).await?.map(|run| run.state);
        let hint = Some(format!("it was requested before, {before}"));
        return Ok(ControlOutcome { did: Change::Nothing, run: Some(there.to_string()), state, reason: None, hint });
    }
    clients.queues.send_start(&new.event).await?;
    tracing::info!(run = id.as_str(), hint, "a run about an ended one is requested");
    let (run, hint) = (Some(id.to_string()), Some(hint));
    Ok(ControlOutcome { did: Change::Requested, run, state: None, reason: None, hint })
}

/// Returns the run that does the same: the one of this id, or one that has not ended.
async fn there(ledger: &Ledger, new: &NewStart, active: &Active, id: &RunId) -> Result<Option<RunId>, StepError> {
    if ledger.run(id).await?.is_some() {
        return Ok(Some(id.clone()));
    }
    if let Some(active) = &active.run
        && ledger.run(active).await?.is_some_and(|run| new.is_like(&source_of(&run), &run.limits))
    {
        return Ok(Some(active.clone()));
    }
    let waiting = ledger.waiting().await?;
    let same = waiting.into_iter().find(|waiting| new.is_like(&waiting.start.source, &waiting.start.limits));
    Ok(same.map(|waiting| waiting.start.run()))
}

/// Returns the source of a run about an earlier one. That of another run is of no interest.
fn source_of(run: &Run) -> Source {
    match (&run.retry, &run.undo) {
        (Some(retry), _) => Source::Retry(retry.clone()),
        (None, Some(undo)) => Source::Undo(undo.clone()),
        (None, None) => Source::All,
    }
}
