//! A turn between two generations, or before the first page: polls unfinished parts and jobs, and
//! earlier runs that are not settled.

use std::time::Duration;

use super::turn::LeasedTurn;
use crate::control::{self, Looking};
use crate::domain::run::Cursor;
use crate::domain::run::decide::{
    Commit, Decision, Pauses, SettleFacts, after_earlier_runs, after_wait, earlier_runs, is_long_wait,
};
use crate::ledger::Active;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Time-out of a look at an earlier run. A look at a large run is left to check, which has more
/// time.
const LOOK_TIMEOUT: Duration = Duration::from_secs(8);

/// Time reserved for the commit of a turn, in milliseconds.
const FOR_THE_COMMIT_MS: i64 = 5_000;

/// Returns `ACTIVE` after a look at the earlier runs whose look is due.
pub(super) async fn unsettled(clients: &Clients, at: &Invocation) -> Result<Active, StepError> {
    let looking = Looking { times: clients.settings.settle_times(), timeout: LOOK_TIMEOUT };
    Ok(control::unsettled(&clients.ledger, &looking, at.clock).await?)
}

/// Checks whether earlier parts, jobs and runs have ended. Then begins the first page or the next
/// generation, or waits.
pub(super) async fn settle(turn: &mut LeasedTurn<'_>, cursor: Cursor) -> Result<Decision, StepError> {
    let clients = turn.clients;
    let pace = clients.settings.pace;
    let pauses = Pauses { parts_ms: pace.settle_ms, jobs_ms: pace.look_first_ms, jobs_most_ms: pace.look_most_ms };
    let earlier = earlier_runs(&unsettled(clients, turn.at).await?.unsettled);
    let facts = turn.facts();
    let decision = if cursor.after.is_some() {
        after_earlier_runs(cursor, earlier.as_ref(), pauses, &facts)
    } else {
        // Leave time for the commit, so that this invocation is not killed under its lease.
        let timeout = Duration::from_millis((turn.at.left_ms() - FOR_THE_COMMIT_MS).max(0).unsigned_abs());
        let Ok(accounts) = tokio::time::timeout(timeout, clients.ledger.unfinished(turn.run, &cursor)).await else {
            tracing::error!(run = turn.run.id.as_str(), "the unfinished parts and jobs cannot be read in time");
            let why = "the parts and jobs sent before could not be read in time; the next turn reads them again";
            return Ok(Decision::wait(cursor, facts.now_ms + pace.look_most_ms, why));
        };
        let accounts = accounts?;
        if accounts.parts_open > 0 && turn.run.keeps_parts() && !turn.run.held_back {
            control::resend::request_if_lost(clients, turn.run, accounts.parts_open, turn.at).await;
        }
        let unknown_life_ms = clients.settings.settle_times().life_ms(turn.run);
        let settle = SettleFacts {
            accounts: &accounts,
            read_ms: turn.at.clock.now_ms(),
            earlier: earlier.as_ref(),
            unknown_life_ms,
            pauses,
        };
        after_wait(cursor, &settle, &facts)
    };
    if decision.commit == Commit::Generation {
        let generation = decision.next.generation;
        tracing::info!(run = turn.run.id.as_str(), run.generation = generation, "the scroll restarts");
    }
    if is_long_wait(&decision, &facts) {
        let waits = decision.next.waits.as_deref();
        tracing::error!(run = turn.run.id.as_str(), waits, "a run has waited for more than an hour");
        turn.outcome.long_waits += 1;
    }
    Ok(decision)
}
