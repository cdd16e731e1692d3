//! Continues the active run, and sends the messages that it needs for that. The steps scroll and
//! control accept such an event.

use crate::control::{self, ActiveRun, Continued, Resumed};
use crate::domain::run::RunId;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::Resume;
use crate::runtime::invocation::Invocation;

/// Continues the active run. If this is interrupted before a message is sent, the tick sends it.
pub(super) async fn resume(clients: &Clients, why: Resume, at: &Invocation) -> Result<Resumed, StepError> {
    let resumed = match why {
        Resume::Restarted => control::restart(&clients.ledger, at.clock).await?,
        Resume::Requested => control::resume(&clients.ledger, why, at.clock).await?,
    };
    let now_ms = at.clock.now_ms();
    let (run, turn, delay_ms) = match &resumed {
        Resumed::Regenerated(cursor) => (&cursor.run, Some(cursor.present()), cursor.not_before_ms - now_ms),
        Resumed::Restarted(Continued { run, turn, delay_ms })
        | Resumed::Continued(Continued { run, turn, delay_ms }) => (run, turn.clone(), *delay_ms),
        Resumed::Unchanged(_) | Resumed::NoRun => return Ok(resumed),
    };
    if let Some(turn) = turn {
        clients.queues.send_turn(&turn, delay_ms).await?;
    }
    if let Err(error) = send_parts(clients, run, at).await {
        tracing::warn!(run = run.as_str(), %error, "cannot send parts again; the tick does");
    }
    Ok(resumed)
}

/// Sends the messages of the run's parts that were requested, while this invocation has time.
async fn send_parts(clients: &Clients, id: &RunId, at: &Invocation) -> Result<(), StepError> {
    let active = control::active_run(&clients.ledger).await?;
    let Some(ActiveRun { run, cursor }) = active.filter(|active| active.run.id == *id) else { return Ok(()) };
    if run.keeps_parts() {
        control::resend::go_on(clients, &run, &cursor, at).await?;
    }
    Ok(())
}
