//! The schedule's watch over the active run, and going on after a pause or a restart.

use std::time::Duration;

use super::start::{begin_waiting, make_way};
use super::{Did, Outcome};
use crate::clients::{Clients, StepError};
use crate::event::Resume;
use crate::invocation::Invocation;
use crate::run::{Cursor, Phase, Run, State};

/// How long the rows of a run that ends are read for what is missing.
const ACCOUNTS_TIMEOUT: Duration = Duration::from_secs(10);
/// Looks at a run that goes on while it is asked to begin anew.
const RESUME_TRIES: u32 = 5;
/// Times that a stuck turn's message is sent again before the run is ended.
const NUDGES_MAX: u32 = 5;

/// Begins what waits, ends what is past its deadline, and sends a stuck turn's message again.
pub(super) async fn tick(clients: &Clients, at: &Invocation, outcome: &mut Outcome) -> Result<(), StepError> {
    let Some((run, cursor)) = active(clients).await? else { return begin_waiting(clients, at, outcome).await };
    outcome.run = Some(run.run.to_string());
    let now_ms = at.clock.now_ms();
    if now_ms > run.deadline_ms {
        let missing = missing(clients, &run, &cursor).await;
        let reason = format!("past its deadline; {}; {missing}", run.read_so_far(&cursor.tally));
        return stop(clients, &run, State::Incomplete, &reason, at, outcome).await;
    }
    if run.state == State::Paused
        && let Some(waiting) = clients.ledger.waiting().await?.first()
    {
        // It waited before the pause, and is no less a decision than one that comes after.
        make_way(clients, &waiting.start, at).await?;
        return begin_waiting(clients, at, outcome).await;
    }
    let claimed_until_ms = cursor.claim.as_ref().map_or(0, |claim| claim.until_ms);
    let busy_until_ms = claimed_until_ms.max(cursor.not_before_ms).max(cursor.committed_ms);
    let stuck = now_ms - busy_until_ms > clients.settings.pace.stuck_ms;
    if run.state != State::Running || cursor.phase == Phase::Ended || !stuck {
        outcome.did.push(Did::Nothing);
        return Ok(());
    }
    if cursor.nudges >= NUDGES_MAX {
        let missing = missing(clients, &run, &cursor).await;
        let reason = format!(
            "its messages were sent again five times and nobody turned the page: look at the scroll function's errors \
             and at the pages queue; {}; {missing}",
            run.read_so_far(&cursor.tally)
        );
        return stop(clients, &run, State::Incomplete, &reason, at, outcome).await;
    }
    clients.ledger.nudge(&cursor).await?;
    clients.queues.send_turn(&cursor.present(), 0).await?;
    tracing::warn!(run = run.run.as_str(), cursor.turn, "a stuck turn's message was sent again");
    outcome.did.push(Did::Healed);
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
    outcome: &mut Outcome,
) -> Result<(), StepError> {
    for _ in 0..RESUME_TRIES {
        let Some((run, cursor)) = active(clients).await? else { return begin_waiting(clients, at, outcome).await };
        outcome.run = Some(run.run.to_string());
        if run.state == State::Draining && clients.ledger.accounts(&run, &cursor).await?.parts_open == 0 {
            // Only jobs are under way; check finds their ends.
            break;
        }
        // Who holds a claim may call as late as it allows; a dead one has called before now.
        let now_ms = at.clock.now_ms();
        let called_ms = match (&cursor.claim, why) {
            (Some(claim), Resume::Restarted) => claim.until_ms.min(now_ms),
            (Some(claim), Resume::Asked) => claim.until_ms,
            (None, _) => 0,
        };
        let queue_lost = why == Resume::Restarted;
        let done = clients.ledger.resettle(&run, &cursor, called_ms, queue_lost, now_ms).await?;
        if let Some(next) = done {
            clients.queues.send_turn(&next.present(), next.not_before_ms - at.clock.now_ms()).await?;
            outcome.did.push(Did::Regenerated);
            return Ok(());
        }
        // A turn was claimed or committed meanwhile.
    }
    outcome.did.push(Did::Nothing);
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
    outcome: &mut Outcome,
) -> Result<(), StepError> {
    if clients.ledger.end(run, state, Some(reason), None, at.clock.now_ms()).await? {
        tracing::error!(run = run.run.as_str(), state = state.as_str(), reason, "run ended before its time");
        outcome.did.push(Did::Stopped);
        outcome.not_complete += 1;
    }
    Ok(())
}
