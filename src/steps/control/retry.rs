//! An operator's request to retry users of an ended run.

use jiff::Timestamp;

use super::{Change, ControlOutcome};
use crate::control::{self, Retried};
use crate::domain::clock::Clock;
use crate::domain::run::{Retry, RunId, Source};
use crate::ledger::{Active, Ledger};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::{RetryRequest, StartEvent};

/// Sends the start of a retry to scroll. If the same retry runs or waits, nothing is sent.
pub(super) async fn retry(
    clients: &Clients,
    request: &RetryRequest,
    clock: Clock,
) -> Result<ControlOutcome, StepError> {
    let (ledger, users) = (&clients.ledger, request.users());
    let active = ledger.active().await?;
    let retried = control::retried(ledger, &users, &active, clock.now_ms()).await?;
    let Retried { run: first, users: number } = retried.map_err(|why| StepError::NotRetried { why })?;
    let now = Timestamp::from_second(clock.now_s()).unwrap_or(Timestamp::UNIX_EPOCH);
    let event = request.start(&first, now);
    let id = StartEvent::read(&event)?.run().unwrap_or_else(|| first.id.clone());
    if let Some(there) = there(ledger, &users, &active, &id).await? {
        let state = ledger.run(&there).await?.map(|run| run.state);
        let hint = Some(format!("it was requested before, for {}", users.words()));
        return Ok(ControlOutcome { did: Change::Nothing, run: Some(there.to_string()), state, reason: None, hint });
    }
    clients.queues.send_start(&event).await?;
    tracing::info!(run = id.as_str(), first = first.id.as_str(), users = number, "a retry is requested");
    let hint = Some(format!("{number} of {}", users.words()));
    Ok(ControlOutcome { did: Change::Requested, run: Some(id.to_string()), state: None, reason: None, hint })
}

/// Returns the run that does the same: the one of this id, or a retry of the same users that has not ended.
async fn there(ledger: &Ledger, retry: &Retry, active: &Active, id: &RunId) -> Result<Option<RunId>, StepError> {
    if ledger.run(id).await?.is_some() {
        return Ok(Some(id.clone()));
    }
    if let Some(active) = &active.run
        && ledger.run(active).await?.is_some_and(|run| run.retry.as_ref() == Some(retry))
    {
        return Ok(Some(active.clone()));
    }
    let source = Source::Retry(retry.clone());
    let waiting = ledger.waiting().await?.into_iter().find(|waiting| waiting.start.source == source);
    Ok(waiting.map(|waiting| waiting.start.run()))
}
