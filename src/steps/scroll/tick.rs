//! The schedule's watch over the active run, and going on after a pause or a restart.

use std::time::Duration;

use super::start::make_way;
use super::waiting::begin_waiting;
use super::{Action, ScrollOutcome};
use crate::domain::run::decide::is_stuck;
use crate::domain::run::{Cursor, Run, State};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::Resume;
use crate::runtime::invocation::Invocation;

/// How long the rows of a run that ends are read for what is missing.
const ACCOUNTS_TIMEOUT: Duration = Duration::from_secs(10);
/// Looks at a run that goes on while it is asked to begin again.
const RESUME_TRIES: u32 = 5;

/// Begins what waits, ends what is past its deadline, and sends a stuck turn's message again.
pub(super) async fn tick(clients: &Clients, at: &Invocation, outcome: &mut ScrollOutcome) -> Result<(), StepError> {
    let Some((run, cursor)) = active(clients).await? else { return begin_waiting(clients, at, outcome).await };
    outcome.run = Some(run.id.to_string());
    let now_ms = at.clock.now_ms();
    if now_ms > run.deadline_ms {
        let missing = missing(clients, &run, &cursor).await;
        let last = cursor.last_wait();
        let reason = format!("past its deadline; {}{last}; {missing}", run.read_so_far(&cursor.tally));
        return stop(clients, &run, State::Incomplete, &reason, at, outcome).await;
    }
    if run.state == State::Paused
        && let Some(waiting) = clients.ledger.waiting().await?.first()
    {
        // It waited before the pause, and is no less a decision than one that comes after.
        make_way(clients, &waiting.start, at).await?;
        return begin_waiting(clients, at, outcome).await;
    }
    if !is_stuck(&run, &cursor, clients.settings.pace.stuck_ms, now_ms) {
        outcome.did.push(Action::Nothing);
        return Ok(());
    }
    let times = cursor.resends + 1;
    let waits = format!(
        "no invocation turned the page, and its message was sent again ({times}): look at the scroll function's errors and \
         at the pages queue"
    );
    clients.ledger.resend(&cursor, &waits, now_ms).await?;
    clients.queues.send_turn(&cursor.present(), 0).await?;
    tracing::warn!(run = run.id.as_str(), cursor.turn, times, "a stuck turn's message was sent again");
    outcome.did.push(Action::Healed);
    Ok(())
}

/// What a run that is ended before its time leaves under way, in words. The end must not depend on how long the rows of a
/// large run take to read.
pub(super) async fn missing(clients: &Clients, run: &Run, cursor: &Cursor) -> String {
    match tokio::time::timeout(ACCOUNTS_TIMEOUT, clients.ledger.accounts(run, cursor)).await {
        Ok(Ok(accounts)) => accounts.missing(),
        Ok(Err(_)) | Err(_) => "what has no known end could not be counted".to_owned(),
    }
}

/// Goes on with the active run by a new generation, which does not count against the bound on generations.
pub(super) async fn resume(
    clients: &Clients,
    why: Resume,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    for _ in 0..RESUME_TRIES {
        let Some((run, cursor)) = active(clients).await? else { return begin_waiting(clients, at, outcome).await };
        outcome.run = Some(run.id.to_string());
        if run.state == State::Draining && clients.ledger.accounts(&run, &cursor).await?.parts_open == 0 {
            // Only jobs are under way; check finds their ends.
            break;
        }
        // Who holds a lease may call as late as it allows; a dead one has called before now.
        let now_ms = at.clock.now_ms();
        let called_ms = match (&cursor.lease, why) {
            (Some(lease), Resume::Restarted) => lease.until_ms.min(now_ms),
            (Some(lease), Resume::Asked) => lease.until_ms,
            (None, _) => 0,
        };
        let queue_lost = why == Resume::Restarted;
        let done = clients.ledger.resettle(&run, &cursor, called_ms, queue_lost, now_ms).await?;
        if let Some(next) = done {
            clients.queues.send_turn(&next.present(), next.not_before_ms - at.clock.now_ms()).await?;
            outcome.did.push(Action::Regenerated);
            return Ok(());
        }
        // A turn was leased or committed meanwhile.
    }
    outcome.did.push(Action::Nothing);
    Ok(())
}

async fn active(clients: &Clients) -> Result<Option<(Run, Cursor)>, StepError> {
    let Some(run) = clients.ledger.active().await?.run else { return Ok(None) };
    let (found, cursor) = (clients.ledger.run(&run).await?, clients.ledger.cursor(&run).await?);
    Ok(found.zip(cursor))
}

async fn stop(
    clients: &Clients,
    run: &Run,
    state: State,
    reason: &str,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    if clients.ledger.end(run, state, Some(reason), None, at.clock.now_ms()).await? {
        tracing::error!(run = run.id.as_str(), state = state.as_str(), reason, "run ended before its time");
        outcome.did.push(Action::Stopped);
        outcome.not_complete += 1;
    }
    Ok(())
}
