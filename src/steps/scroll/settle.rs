//! Between two generations, and after a run that was stopped: the next begins only when what the one before sent has
//! ended, so that an old value never overwrites a newer one.

use super::Action;
use super::turn::Decision;
use crate::domain::run::{Cursor, Phase, Run, RunId, State};
use crate::ledger::Commit;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// How long no part of a generation may end before the next one begins without them: longer than an outage of hours. Their
/// messages are then lost, or dead letters.
const PARTS_LIFE_MS: i64 = 4 * 3600 * 1000;

/// Looks whether the generation is accounted for, and begins the next one or waits.
pub(super) async fn settle(
    clients: &Clients,
    run: &Run,
    mut cursor: Cursor,
    at: &Invocation,
) -> Result<Decision, StepError> {
    let now_ms = at.clock.now_ms();
    cursor.lease = None;
    if now_ms > run.deadline_ms {
        let reason = format!("past its deadline, before its last generation; {}", run.read_so_far(&cursor.tally));
        let reason = format!("{reason}{}", cursor.last_wait());
        return Ok(Decision::state(cursor, State::Incomplete, reason));
    }
    if let Some(before) = cursor.after.take() {
        return follow(clients, cursor, before, now_ms).await;
    }
    let accounts = clients.ledger.accounts(run, &cursor).await?;
    let life_ms = clients.settings.job_life_ms;
    if accounts.parts_open < cursor.parts_left || cursor.parts_left == 0 {
        (cursor.parts_left, cursor.parts_left_ms) = (accounts.parts_open, now_ms);
    }
    // After a restart of the local engine the queue is empty: parts that were in it have no end to wait for.
    let parts = if cursor.queue_lost { 0 } else { accounts.parts_open };
    let parts_are_over = parts == 0 || now_ms - cursor.parts_left_ms >= PARTS_LIFE_MS;
    let over_ms = accounts.made_last_ms + life_ms;
    let jobs_are_over = now_ms >= over_ms;
    if !parts_are_over || !jobs_are_over {
        let jobs = accounts.jobs_open;
        let mut next = cursor;
        let pace = clients.settings.pace;
        next.not_before_ms = match (parts_are_over, jobs) {
            (false, _) => now_ms + pace.settle_ms,
            // Check closes them, by looks of its own.
            (true, 1..) => over_ms.min(now_ms + pace.look_first_ms),
            // Nobody will tell how they ended, so that time alone is waited for.
            (true, 0) => over_ms,
        };
        // How long parts take is not known: the rate limit says.
        next.waits_until_ms = parts_are_over.then(|| over_ms.max(next.scroll_free_at_ms()));
        next.waits = Some(waits_for(&Waited { parts, jobs, maybe_lost: !jobs_are_over, died: next.queue_lost }));
        return Ok(Decision::turn(next, Action::Waited));
    }
    if let Some(why) = cursor.exhausted() {
        cursor.phase = Phase::Ended;
        let so_far = cursor.cut.take().unwrap_or_else(|| format!("{} pages may be lost", cursor.gaps.len()));
        cursor.cut = Some(format!("{so_far}, and {why}; {}", run.read_so_far(&cursor.tally)));
        return Ok(Decision { next: cursor, commit: Commit::State(State::Draining, None), did: Action::Ended });
    }
    // Two bounds: what was decided, and what jobs took.
    cursor.changed_before = (cursor.changed_before + cursor.tally.patches).min(accounts.totals.patches);
    let free_at_ms = cursor.scroll_free_at_ms();
    let mut next = cursor.next_generation(free_at_ms.max(now_ms), !cursor.excused);
    if free_at_ms > now_ms {
        next.waits = Some("the scroll of the generation before must expire first".to_owned());
    }
    tracing::info!(run = run.id.as_str(), run.generation = next.generation, "the scroll begins again");
    Ok(Decision { next, commit: Commit::Generation, did: Action::Regenerated })
}

/// The facts of a wait between two generations.
#[derive(Clone, Copy, Debug)]
struct Waited {
    /// Parts that may still be submitted.
    parts: u64,
    /// Jobs whose end is not known.
    jobs: u64,
    /// Whether a job may exist whose id is not known.
    maybe_lost: bool,
    /// Whether the process that submitted them is gone, and its queue with it.
    died: bool,
}

/// What a generation waits for, and why.
fn waits_for(waited: &Waited) -> String {
    const LEST: &str = "so that an older value cannot overwrite a newer one";
    let many = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (waited.parts, waited.jobs) {
        (0, 0) if waited.died => format!(
            "a bulk request was under way when the process before this one ended, and whether Intercom took it is not \
             known; the next reading waits until it can set no value any more, {LEST}"
        ),
        (0, 0) => format!("a bulk job whose id was lost may set values yet; the next reading waits for it, {LEST}"),
        (0, jobs) => {
            let maybe = if waited.maybe_lost && waited.died { ", and perhaps one whose id was lost" } else { "" };
            format!("{} sent before must end first{maybe}, {LEST}", many(jobs, "bulk job"))
        }
        (parts, jobs) => {
            format!("{} and {} sent before must end first, {LEST}", many(parts, "part"), many(jobs, "bulk job"))
        }
    }
}

/// Looks whether the jobs of the run before are over, and begins with the first page or waits. Its parts are none of it:
/// submit drops those of a run that ended.
async fn follow(clients: &Clients, mut cursor: Cursor, before: RunId, now_ms: i64) -> Result<Decision, StepError> {
    let over_ms = jobs_over_ms(clients, &before, now_ms).await?;
    if over_ms <= now_ms {
        cursor.phase = Phase::Turning;
        cursor.waits = None;
        cursor.waits_until_ms = None;
        return Ok(Decision::turn(cursor, Action::Waited));
    }
    cursor.not_before_ms = over_ms.min(now_ms + clients.settings.pace.look_first_ms);
    cursor.waits_until_ms = Some(over_ms.max(cursor.scroll_free_at_ms()));
    cursor.waits = Some(format!("jobs of {before}, which was stopped, may set values yet"));
    cursor.after = Some(before);
    Ok(Decision::turn(cursor, Action::Waited))
}

/// When the last job of an ended run is over, in Unix milliseconds: at once if all are closed.
pub(super) async fn jobs_over_ms(clients: &Clients, run: &RunId, now_ms: i64) -> Result<i64, StepError> {
    let ledger = &clients.ledger;
    let Some((run, cursor)) = ledger.run(run).await?.zip(ledger.cursor(run).await?) else { return Ok(now_ms) };
    let made_last_ms = ledger.accounts(&run, &cursor).await?.made_last_ms;
    Ok(made_last_ms.saturating_add(clients.settings.job_life_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_died_with_their_queue_are_not_said_to_be_under_way() {
        let waited = Waited { parts: 0, jobs: 0, maybe_lost: true, died: true };
        let lost = waits_for(&waited);
        assert!(lost.contains("whether Intercom took it is not known") && !lost.contains("part"), "{lost}");
        let jobs = waits_for(&Waited { jobs: 1, ..waited });
        assert!(jobs.starts_with("1 bulk job sent before must end first, and perhaps one"), "{jobs}");
        let alive = waits_for(&Waited { parts: 18, jobs: 2, died: false, ..waited });
        assert!(alive.starts_with("18 parts and 2 bulk jobs sent before must end first, so that"), "{alive}");
    }
}
