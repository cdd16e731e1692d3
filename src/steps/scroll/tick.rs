//! The schedule's check of the active run, and continuing a run after a pause or a restart.

use std::time::Duration;

use super::turn::send_page_again;
use super::waiting::begin_waiting;
use super::{Action, ScrollOutcome};
use crate::control::{self, ActiveRun, Resumed, RunEnd};
use crate::domain::run::decide::is_stuck;
use crate::domain::run::{Cursor, FORMAT_1, Phase, Run, State, past_deadline};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::Resume;
use crate::runtime::invocation::Invocation;

/// Time-out for reading the rows of an ending run, to count its unfinished parts and jobs.
const ACCOUNTS_TIMEOUT: Duration = Duration::from_secs(10);

/// Begins a waiting start if no run is active. Otherwise ends a run past its deadline, or resends a
/// stuck turn's message.
pub(super) async fn tick(clients: &Clients, at: &Invocation, outcome: &mut ScrollOutcome) -> Result<(), StepError> {
    let Some(ActiveRun { run, cursor }) = control::active_run(&clients.ledger).await? else {
        return begin_waiting(clients, at, outcome).await;
    };
    outcome.run = Some(run.id.to_string());
    let now_ms = at.clock.now_ms();
    if now_ms > run.deadline_ms {
        let missing = missing(clients, &run, &cursor).await;
        let reason = format!("{}; {missing}", past_deadline(&run, &cursor));
        return stop(clients, &run, reason, at, outcome).await;
    }
    if run.state == State::Paused
        && let Some(waiting) = clients.ledger.waiting().await?.first()
    {
        // A start that waited before the pause replaces the run, as a later start does.
        control::supersede_paused(&clients.ledger, &waiting.start.run(), at.clock).await?;
        return begin_waiting(clients, at, outcome).await;
    }
    if !is_stuck(&run, &cursor, clients.settings.pace.stuck_ms, now_ms) {
        let resent = if run.keeps_parts() { control::resend::go_on(clients, &run, &cursor, at).await? } else { 0 };
        outcome.did.push(if resent > 0 { Action::Healed } else { Action::Nothing });
        return Ok(());
    }
    let times = cursor.resends + 1;
    let waits = format!(
        "no invocation turned the page, so its message was resent ({times}): check the scroll function's errors and the \
         pages queue"
    );
    clients.ledger.resend(&cursor, &waits, now_ms).await?;
    send_page_again(clients, &cursor).await?;
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

/// Continues the active run. If no run is active, begins a waiting start.
pub(super) async fn resume(
    clients: &Clients,
    why: Resume,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let resumed = match why {
        Resume::Restarted => control::restart(&clients.ledger, at.clock).await?,
        Resume::Requested => control::resume(&clients.ledger, why, at.clock).await?,
    };
    match resumed {
        Resumed::NoRun => return begin_waiting(clients, at, outcome).await,
        Resumed::Restarted(cursor) => {
            outcome.run = Some(cursor.run.to_string());
            clients.ledger.request_resend(&cursor.run, at.clock.now_ms()).await?;
            if cursor.phase != Phase::Ended {
                clients.queues.send_turn(&cursor.present(), cursor.not_before_ms - at.clock.now_ms()).await?;
            }
            outcome.did.push(Action::Healed);
        }
        Resumed::Unchanged(run) => {
            outcome.run = Some(run.to_string());
            outcome.did.push(Action::Nothing);
        }
        Resumed::Regenerated(cursor) => {
            outcome.run = Some(cursor.run.to_string());
            if cursor.v > FORMAT_1 {
                // Messages of a paused run were deleted.
                clients.ledger.request_resend(&cursor.run, at.clock.now_ms()).await?;
            }
            clients.queues.send_turn(&cursor.present(), cursor.not_before_ms - at.clock.now_ms()).await?;
            outcome.did.push(Action::Regenerated);
        }
    }
    Ok(())
}

/// Ends a run early, as incomplete.
async fn stop(
    clients: &Clients,
    run: &Run,
    reason: String,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let end = RunEnd::uncounted(State::Incomplete, reason);
    if control::end(&clients.ledger, run, &end, at.clock.now_ms()).await? {
        outcome.did.push(Action::Stopped);
        outcome.not_complete += 1;
    }
    Ok(())
}
