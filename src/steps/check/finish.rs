//! Decides the end of a run from consistently read accounts.

use std::collections::BTreeSet;

use super::{CheckOutcome, read_back};
use crate::control::{self, ActiveRun, RunEnd};
use crate::domain::run::{Accounts, Counted, Cursor, Run, State, Verdict};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// The longest time between two reads of the accounts, in milliseconds. The rate limit may rise in
/// between.
const ACCOUNTS_REST_MAX_MS: i64 = 30 * 60_000;
/// The time between two reads of the accounts, in milliseconds, if only jobs are open and none was
/// closed.
const JOBS_REST_MS: i64 = 5 * 60_000;

/// Ends the active run if all of its parts and jobs have ended and its written values are checked,
/// or if it exceeds `max_errors`.
pub(super) async fn finish(clients: &Clients, at: &Invocation, outcome: &mut CheckOutcome) -> Result<(), StepError> {
    let ledger = &clients.ledger;
    let Some(ActiveRun { run, cursor }) = control::active_run(ledger).await? else { return Ok(()) };
    if run.state == State::Verifying {
        return read_back::go_on(clients, &run, &cursor, at, outcome).await;
    }
    let too_many = run.state.submits() && breaks_max_errors(clients, &run, &cursor).await?;
    let end = if too_many {
        RunEnd::uncounted(State::Failed, control::OVER_MAX_ERRORS)
    } else if run.state == State::Draining {
        // While parts are open, a closed job does not end the run. If only jobs are open, each
        // closed one may be the last.
        let (due_ms, for_parts) = clients.accounts_due.of(&run, cursor.generation);
        if at.clock.now_ms() < due_ms && (for_parts || outcome.closed == 0) {
            return Ok(());
        }
        let accounts = ledger.accounts_to_end(&run, &cursor).await?;
        match accounts.verdict(&run, &cursor) {
            Verdict::NotYet => {
                let may_be_lost = accounts.parts_open > 0
                    && run.keeps_parts()
                    && control::resend::request_if_lost(clients, &run, accounts.parts_open, at).await;
                let most_ms = if may_be_lost { control::resend::BETWEEN_READS_MS } else { ACCOUNTS_REST_MAX_MS };
                return defer(clients, &run, &cursor, &accounts, most_ms, at).await;
            }
            Verdict::Ends(state, reason) => {
                if let Some(run) = read_back::begin(clients, &run, &cursor, &accounts, state).await? {
                    return read_back::go_on(clients, &run, &cursor, at, outcome).await;
                }
                RunEnd { state, reason, totals: Some(accounts.totals) }
            }
        }
    } else {
        return Ok(());
    };
    conclude(clients, &run, &cursor, &end, at, outcome).await.map(drop)
}

/// Ends a run, or pauses it if all parts and jobs of its canary have ended. Returns whether it did.
pub(super) async fn conclude(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    end: &RunEnd,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<bool, StepError> {
    let (ledger, now_ms) = (&clients.ledger, at.clock.now_ms());
    if run.is_canary() && end.state != State::Failed {
        return Ok(control::pause_after_canary(ledger, run, &after_canary(cursor, end), now_ms).await?);
    }
    let ended = control::end(ledger, run, end, now_ms).await?;
    if ended {
        outcome.ended = Some((run.id.to_string(), end.state.to_string()));
    }
    Ok(ended)
}

/// Returns the reason of the pause after a canary: the outcomes of its users, what is missing, and
/// what the check of the written values showed.
fn after_canary(cursor: &Cursor, end: &RunEnd) -> String {
    let totals = end.totals.clone().unwrap_or_default();
    let Counted { read, written, unchanged, skipped, failed, .. } = Counted::of(&cursor.tally, &totals);
    let checked = totals.read_back.filter(|checked| checked.users > 0);
    let checked = checked.map(|checked| format!("; {} of {} read back are as written", checked.kept, checked.users));
    let more: String = checked.into_iter().chain(end.reason.iter().map(|why| format!("; {why}"))).collect();
    format!(
        "the first {read} users are done (then_pause): {written} written, {unchanged} unchanged, {skipped} skipped, \
         {failed} failed{more}. A resume goes on with all users"
    )
}

/// Returns whether more users failed than `max_errors` allows. The cheap counter counts a user once
/// per error. Only if the counter exceeds the limit, the distinct users are read.
async fn breaks_max_errors(clients: &Clients, run: &Run, cursor: &Cursor) -> Result<bool, StepError> {
    let most = run.limits.errors_max(cursor.tally.judged());
    let Some(most) = most.filter(|most| run.errors + cursor.tally.errors > *most) else {
        return Ok(false);
    };
    Ok(clients.ledger.users_in_error(run, BTreeSet::new(), most).await? > most)
}

/// Defers the next read of the accounts to the earliest time at which half of the open parts can be
/// submitted, and by at most `most_ms`.
async fn defer(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    accounts: &Accounts,
    most_ms: i64,
    at: &Invocation,
) -> Result<(), StepError> {
    let rest_ms = if accounts.parts_open > 0 {
        let patches = accounts.parts_open.saturating_mul(cursor.tally.patches) / cursor.parts.max(1);
        let speed = run.speed(clients.limiter.quota(at.clock).await?.cap());
        (speed.least_ms(patches) / 2).min(most_ms)
    } else {
        JOBS_REST_MS
    };
    let until_ms = at.clock.now_ms() + rest_ms;
    clients.accounts_due.defer(run, cursor.generation, until_ms, accounts.parts_open > 0);
    Ok(())
}
