//! Between two generations: the next begins only when what the one before sent has ended, so that an old value never
//! overwrites a newer one.

use super::Did;
use super::turn::Decision;
use crate::clients::{Clients, StepError};
use crate::invocation::Invocation;
use crate::ledger::Commit;
use crate::run::{Cursor, Phase, Run, State};

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
    let accounts = clients.ledger.accounts(run, &cursor).await?;
    let life_ms = clients.settings.job_life_ms;
    // After a restart of the local engine the queue is empty: parts that were in it have no end to wait for.
    let parts_are_over = accounts.parts_open == 0 || cursor.queue_lost || now_ms - cursor.settling_since_ms >= life_ms;
    let jobs_are_over = now_ms - accounts.made_last_ms >= life_ms;
    if !parts_are_over || !jobs_are_over {
        let (parts, jobs) = (accounts.parts_open, accounts.jobs_open);
        let mut next = cursor;
        next.not_before_ms = now_ms + clients.settings.pace.settle_ms;
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
    let free_at_ms = cursor.scroll_free_at_ms();
    let next = cursor.next_generation(free_at_ms.max(now_ms), true);
    tracing::info!(run = run.run.as_str(), run.generation = next.generation, "the scroll begins again");
    Ok(Decision { next, commit: Commit::Generation, did: Did::Regenerated })
}
