//! Between two generations, and after a run that was stopped: the next begins only when what the one before sent has
//! ended, so that an old value never overwrites a newer one.

use super::Did;
use super::turn::Decision;
use crate::clients::{Clients, StepError};
use crate::invocation::Invocation;
use crate::ledger::Commit;
use crate::run::{Cursor, Phase, Run, RunId, State};

/// Looks whether the generation is accounted for, and begins the next one or waits.
pub(super) async fn settle(
    clients: &Clients,
    run: &Run,
    mut cursor: Cursor,
    at: &Invocation,
) -> Result<Decision, StepError> {
    let now_ms = at.clock.now_ms();
    cursor.claim = None;
    if now_ms > run.deadline_ms {
        let reason = format!("past its deadline, before its last generation; {}", run.read_so_far(&cursor.tally));
        return Ok(Decision::state(cursor, State::Incomplete, reason));
    }
    if let Some(before) = cursor.after.take() {
        return follow(clients, cursor, before, now_ms).await;
    }
    let accounts = clients.ledger.accounts(run, &cursor).await?;
    let life_ms = clients.settings.job_life_ms;
    // After a restart of the local engine the queue is empty: parts that were in it have no end to wait for.
    let parts_are_over = accounts.parts_open == 0 || cursor.queue_lost || now_ms - cursor.settling_since_ms >= life_ms;
    let jobs_are_over = now_ms - accounts.made_last_ms >= life_ms;
    if !parts_are_over || !jobs_are_over {
        let (parts, jobs) = (accounts.parts_open, accounts.jobs_open);
        let mut next = cursor;
        let pace = clients.settings.pace;
        let over_ms = accounts.made_last_ms + life_ms;
        next.not_before_ms = match (parts_are_over, jobs) {
            (false, _) => now_ms + pace.settle_ms,
            // Check closes them, by looks of its own.
            (true, 1..) => over_ms.min(now_ms + pace.look_first_ms),
            // Nobody will tell how they ended, so that time alone is waited for.
            (true, 0) => over_ms,
        };
        let maybe = if jobs == 0 && !jobs_are_over { ", and maybe one whose id was lost" } else { "" };
        next.waits =
            Some(format!("{parts} parts and {jobs} jobs of generation {} are under way{maybe}", next.generation));
        return Ok(Decision::turn(next, Did::Waited));
    }
    if let Some(why) = cursor.exhausted() {
        cursor.phase = Phase::Ended;
        let so_far = cursor.cut.take().unwrap_or_else(|| format!("{} pages may be lost", cursor.holes.len()));
        cursor.cut = Some(format!("{so_far}, and {why}; {}", run.read_so_far(&cursor.tally)));
        return Ok(Decision { next: cursor, commit: Commit::State(State::Draining, None), did: Did::Ended });
    }
    // Two bounds: what was decided, and what jobs took.
    cursor.changed_before = (cursor.changed_before + cursor.tally.patches).min(accounts.totals.patches);
    let free_at_ms = cursor.scroll_free_at_ms();
    let next = cursor.next_generation(free_at_ms.max(now_ms), true);
    tracing::info!(run = run.run.as_str(), run.generation = next.generation, "the scroll begins again");
    Ok(Decision { next, commit: Commit::Generation, did: Did::Regenerated })
}

/// Looks whether the jobs of the run before are over, and begins with the first page or waits. Its parts are none of it:
/// submit drops those of a run that ended.
async fn follow(clients: &Clients, mut cursor: Cursor, before: RunId, now_ms: i64) -> Result<Decision, StepError> {
    let over_ms = jobs_over_ms(clients, &before, now_ms).await?;
    if over_ms <= now_ms {
        cursor.phase = Phase::Turning;
        cursor.waits = None;
        return Ok(Decision::turn(cursor, Did::Waited));
    }
    cursor.not_before_ms = over_ms.min(now_ms + clients.settings.pace.look_first_ms);
    cursor.waits = Some(format!("jobs of {before}, which was stopped, may set values yet"));
    cursor.after = Some(before);
    Ok(Decision::turn(cursor, Did::Waited))
}

/// When the last job of an ended run is over, in Unix milliseconds: at once if all are closed.
pub(super) async fn jobs_over_ms(clients: &Clients, run: &RunId, now_ms: i64) -> Result<i64, StepError> {
    let ledger = &clients.ledger;
    let Some((run, cursor)) = ledger.run(run).await?.zip(ledger.cursor(run).await?) else { return Ok(now_ms) };
    let made_last_ms = ledger.accounts(&run, &cursor).await?.made_last_ms;
    Ok(made_last_ms.saturating_add(clients.settings.job_life_ms))
}
