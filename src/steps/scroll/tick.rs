//! The schedule's check of the active run, and continuing a run after a pause or a restart.

use std::time::Duration;

use super::start::keep_report_of_submit;
use super::turn::send_page_again;
use super::waiting::begin_waiting;
use super::{Action, ScrollOutcome};
use crate::control::{self, ActiveRun, Continued, Resumed, RunEnd};
use crate::domain::run::decide::is_stuck;
use crate::domain::run::{Cursor, PAUSE_MOST_MS, Run, State, past_deadline};
use crate::ledger::Consistency;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::Resume;
use crate::runtime::invocation::Invocation;
use crate::steps::resume::resume as resume_and_send;

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3600 * 1000;
/// Time-out for reading the counts of an ending run.
const ACCOUNTS_TIMEOUT: Duration = Duration::from_secs(10);

/// Time after the deadline in which check ends a run that is verified, in milliseconds.
const VERIFYING_MS: i64 = 15 * 60_000;

/// Begins a waiting start if no run is active. Otherwise ends a run past its deadline, or resends a
/// stuck turn's message.
pub(super) async fn tick(clients: &Clients, at: &Invocation, outcome: &mut ScrollOutcome) -> Result<(), StepError> {
    if let Err(error) = keep_report_of_submit(clients, at).await {
        tracing::warn!(%error, "cannot make submit report its format; a later tick retries");
    }
    let Some(ActiveRun { run, cursor }) = control::active_run(&clients.ledger).await? else {
        return begin_waiting(clients, None, at, outcome).await;
    };
    outcome.run = Some(run.id.to_string());
    let now_ms = at.clock.now_ms();
    if let Some(ends_ms) = run.hold_ends_ms() {
        if is_replaced(clients, &run).await? {
            return begin_waiting(clients, Some(&run), at, outcome).await;
        }
        return hold_on(clients, &run, ends_ms, at, outcome).await;
    }
    // Check ends a run that is verified, also at its deadline. It may have no ticks.
    let deadline_ms = run.deadline_ms + if run.state == State::Verifying { VERIFYING_MS } else { 0 };
    if now_ms > deadline_ms {
        let missing = missing(clients, &run, &cursor).await;
        let reason = format!("{}; {missing}", past_deadline(&run, &cursor));
        return stop(clients, &run, reason, at, outcome).await;
    }
    if is_replaced(clients, &run).await? {
        return begin_waiting(clients, Some(&run), at, outcome).await;
    }
    let is_stuck = is_stuck(&run, &cursor, clients.settings.pace.stuck_ms, now_ms);
    if is_stuck {
        send_again(clients, &run, &cursor, now_ms).await?;
    }
    let resent = if run.keeps_parts() { control::resend::go_on(clients, &run, &cursor, at).await? } else { 0 };
    outcome.did.push(if is_stuck || resent > 0 { Action::Healed } else { Action::Nothing });
    Ok(())
}

/// Returns whether a start waits that takes the place of a paused run. A start that waited before the pause
/// replaces the run, as a later start does.
async fn is_replaced(clients: &Clients, run: &Run) -> Result<bool, StepError> {
    Ok(run.state == State::Paused
        && clients.ledger.waiting().await?.iter().any(|waiting| run.gives_way_to(&waiting.start)))
}

/// Sends the messages of a stuck turn again: its own, and those of the page that was committed last.
async fn send_again(clients: &Clients, run: &Run, cursor: &Cursor, now_ms: i64) -> Result<(), StepError> {
    let times = cursor.resends + 1;
    let waits = format!(
        "no invocation turned the page, so its message was resent ({times}): check the scroll function's errors and the \
         pages queue"
    );
    clients.ledger.resend(cursor, &waits, now_ms).await?;
    send_page_again(clients, cursor).await?;
    clients.queues.send_turn(&cursor.present(), 0).await?;
    tracing::warn!(run = run.id.as_str(), cursor.turn, times, "a stuck turn's message was sent again");
    Ok(())
}

/// Cancels a run whose pause by an operator lasts too long. Until then the run keeps its place, and
/// its deadline stands still.
async fn hold_on(
    clients: &Clients,
    run: &Run,
    ends_ms: i64,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let now_ms = at.clock.now_ms();
    if now_ms < ends_ms {
        outcome.did.push(Action::Nothing);
        return Ok(());
    }
    let reason = format!("an operator paused it for {} days, the longest pause", PAUSE_MOST_MS / DAY_MS);
    if control::cancel(&clients.ledger, run, &reason, now_ms).await? {
        outcome.did.push(Action::Stopped);
        outcome.not_complete += 1;
    }
    Ok(())
}

/// Describes the unfinished parts and jobs of a run that ends early. The time-out keeps a slow ledger
/// from blocking its end.
pub(super) async fn missing(clients: &Clients, run: &Run, cursor: &Cursor) -> String {
    match tokio::time::timeout(ACCOUNTS_TIMEOUT, clients.ledger.accounts_counted(run, cursor, Consistency::Strong))
        .await
    {
        Ok(Ok(accounts)) => accounts.missing(run.held_back),
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
    match resume_and_send(clients, why, at).await? {
        Resumed::NoRun => return begin_waiting(clients, None, at, outcome).await,
        Resumed::Restarted(Continued { run, .. }) => {
            outcome.run = Some(run.to_string());
            outcome.did.push(Action::Healed);
        }
        Resumed::Unchanged(run) => {
            outcome.run = Some(run.to_string());
            outcome.did.push(Action::Nothing);
        }
        Resumed::Regenerated(cursor) => {
            outcome.run = Some(cursor.run.to_string());
            outcome.did.push(Action::Regenerated);
        }
        Resumed::Continued(Continued { run, .. }) => {
            outcome.run = Some(run.to_string());
            outcome.did.push(Action::Resumed);
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
