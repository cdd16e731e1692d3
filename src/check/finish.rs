//! The end of a run, decided from strongly read rows.

use super::Outcome;
use crate::clients::{Clients, StepError};
use crate::invocation::Invocation;
use crate::run::{State, Verdict};

/// Ends the active run if everything that it sent is accounted for, or if a rail says so.
pub(super) async fn finish(clients: &Clients, at: &Invocation, outcome: &mut Outcome) -> Result<(), StepError> {
    let ledger = &clients.ledger;
    let Some(active) = ledger.active().await?.run else { return Ok(()) };
    let Some((run, cursor)) = ledger.run(&active).await?.zip(ledger.cursor(&active).await?) else { return Ok(()) };
    let too_many = run.rails.max_errors.is_some_and(|most| run.errors + cursor.tally.errors > most);
    let (state, reason, totals) = if too_many && run.state.submits() {
        (State::Failed, Some("more users are in error than max_errors allows; `errors` lists them".to_owned()), None)
    } else if run.state == State::Draining {
        let accounts = ledger.accounts(&run, &cursor).await?;
        match accounts.verdict(cursor.holes.len(), cursor.cut.as_deref()) {
            Verdict::NotYet => return Ok(()),
            Verdict::Ends(state, reason) => (state, reason, Some(accounts.totals)),
        }
    } else {
        return Ok(());
    };
    let free_at_ms = cursor.scroll_free_at_ms();
    if ledger.end(&run, state, reason.as_deref(), totals.as_ref(), at.clock.now_ms(), free_at_ms).await? {
        tracing::info!(run = run.run.as_str(), state = state.as_str(), reason, "run ended");
        outcome.ended = Some((run.run.to_string(), state.to_string()));
    }
    Ok(())
}
