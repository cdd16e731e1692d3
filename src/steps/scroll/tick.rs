//! The schedule's check of the active run, and continuing a run after a pause or a restart.

use std::time::Duration;

use super::start::make_way;
use super::waiting::begin_waiting;
use super::{Action, ScrollOutcome};
use crate::domain::run::decide::is_stuck;
use crate::domain::run::{Cursor, Run, State};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::Resume;
use crate::runtime::invocation::Invocation;

/// Time-out for reading the rows of an ending run, to count its unfinished parts and jobs.
const ACCOUNTS_TIMEOUT: Duration = Duration::from_secs(10);
/// Tries to resume a run whose cursor moves in between.
const RESUME_TRIES: u32 = 5;

/// Begins a waiting start if no run is active. Otherwise ends a run past its deadline, or resends a
/// stuck turn's message.
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
        // A start that waited before the pause replaces the run, as a later start does.
        make_way(clients, &waiting.start, at).await?;
        return begin_waiting(clients, at, outcome).await;
    }
    if !is_stuck(&run, &cursor, clients.settings.pace.stuck_ms, now_ms) {
        outcome.did.push(Action::Nothing);
        return Ok(());
    }
    let times = cursor.resends + 1;
    let waits = format!(
        "no invocation turned the page, so its message was resent ({times}): check the scroll function's errors and the \
         pages queue"
    );
    clients.ledger.resend(&cursor, &waits, now_ms).await?;
    clients.queues.send_turn(&cursor.present(), 0).await?;
    tracing::warn!(run = run.id.as_str(), cursor.turn, times, "a stuck turn's message was sent again");
    outcome.did.push(Action::Healed);
    Ok(())
}

/// Describes the unfinished parts and jobs of a run that ends early. The time-out keeps a large
/// run's rows from blocking its end.
pub(super) async fn missing(clients: &Clients, run: &Run, cursor: &Cursor) -> String {
    match tokio::time::timeout(ACCOUNTS_TIMEOUT, clients.ledger.accounts(run, cursor)).await {
        Ok(Ok(accounts)) => accounts.missing(),
        Ok(Err(_)) | Err(_) => "unfinished parts and jobs could not be counted".to_owned(),
    }
}

/// Continues the active run in a new generation, which does not count toward the maximum number of
/// generations.
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
            // Only jobs are unfinished, and check polls those.
            break;
        }
        // The holder of a lease may request a page until the lease expires. After a restart of the
        // only process, the holder has made its last request before now.
        let now_ms = at.clock.now_ms();
        let called_ms = match (&cursor.lease, why) {
            (Some(lease), Resume::Restarted) => lease.until_ms.min(now_ms),
            (Some(lease), Resume::Requested) => lease.until_ms,
            (None, _) => 0,
        };
        let queue_lost = why == Resume::Restarted;
        let done = clients.ledger.resettle(&run, &cursor, called_ms, queue_lost, now_ms).await?;
        if let Some(next) = done {
            clients.queues.send_turn(&next.present(), next.not_before_ms - at.clock.now_ms()).await?;
            outcome.did.push(Action::Regenerated);
            return Ok(());
        }
        // A turn was leased or committed in between.
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
        tracing::error!(run = run.id.as_str(), state = state.as_str(), reason, "run ended early");
        outcome.did.push(Action::Stopped);
        outcome.not_complete += 1;
    }
    Ok(())
}
