//! A turn between two generations, or after a stopped run: polls unfinished parts and jobs.

use super::turn::LeasedTurn;
use crate::control;
use crate::domain::run::decide::{Commit, Decision, EarlierRun, Pauses, SettleFacts, after_earlier_run, after_wait};
use crate::domain::run::{Cursor, RunId};
use crate::runtime::clients::{Clients, StepError};

/// Checks whether earlier parts and jobs have ended. Then begins the next generation, or waits.
pub(super) async fn settle(turn: &LeasedTurn<'_>, cursor: Cursor) -> Result<Decision, StepError> {
    let (clients, facts) = (turn.clients, turn.facts());
    let pace = clients.settings.pace;
    let pauses = Pauses { parts_ms: pace.settle_ms, jobs_ms: pace.look_first_ms };
    if let Some(run) = cursor.after.clone() {
        let over_ms = jobs_over_ms(clients, &run, facts.now_ms).await?;
        return Ok(after_earlier_run(cursor, EarlierRun { run, over_ms }, pauses, &facts));
    }
    let accounts = clients.ledger.accounts(turn.run, &cursor).await?;
    if accounts.parts_open > 0 && turn.run.keeps_parts() {
        control::resend::request_if_lost(clients, turn.run, turn.at).await;
    }
    let settle = SettleFacts { accounts: &accounts, job_life_ms: clients.settings.job_life_ms, pauses };
    let decision = after_wait(cursor, &settle, &facts);
    if decision.commit == Commit::Generation {
        let generation = decision.next.generation;
        tracing::info!(run = turn.run.id.as_str(), run.generation = generation, "the scroll restarts");
    }
    Ok(decision)
}

/// Returns the time at which an ended run's last open job writes no more values, in Unix
/// milliseconds: a time in the past if all jobs are closed.
async fn jobs_over_ms(clients: &Clients, run: &RunId, now_ms: i64) -> Result<i64, StepError> {
    let ledger = &clients.ledger;
    let Some((run, cursor)) = ledger.run(run).await?.zip(ledger.cursor(run).await?) else { return Ok(now_ms) };
    let made_last_ms = ledger.accounts(&run, &cursor).await?.made_last_ms;
    Ok(made_last_ms.saturating_add(clients.settings.job_life_ms))
}
