//! Waits between two generations, and after a stopped run. The next reading begins after all
//! earlier parts and jobs have ended, so that an older value never overwrites a newer one.

use super::{Commit, Decision, TurnAction, TurnFacts};
use crate::domain::run::{Accounts, Cursor, Phase, RunId};

/// The time without an ended part after which the next generation begins, in milliseconds: longer
/// than an outage of hours. The messages of the parts are then lost, or dead letters.
const PARTS_LIFE_MS: i64 = 4 * 3600 * 1000;

/// The waits between two polls of the unfinished work, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// The wait while parts have no end.
    pub parts_ms: i64,
    /// The wait while jobs have no end.
    pub jobs_ms: i64,
}

/// The unfinished work of the generation before.
#[derive(Clone, Copy, Debug)]
pub struct SettleFacts<'a> {
    /// The accounts of the run.
    pub accounts: &'a Accounts,
    /// The longest time after its creation at which a job can set values, in milliseconds.
    pub job_life_ms: i64,
    /// The waits between two polls.
    pub pauses: Pauses,
}

/// A stopped run. Its jobs may still set values.
#[derive(Clone, Debug)]
pub struct EarlierRun {
    /// The run.
    pub run: RunId,
    /// The latest end of its last job, in Unix milliseconds.
    pub over_ms: i64,
}

/// Begins the next generation once the parts and jobs of the one before have ended; waits until then.
pub fn after_wait(mut cursor: Cursor, settle: &SettleFacts<'_>, facts: &TurnFacts<'_>) -> Decision {
    let TurnFacts { run, now_ms } = *facts;
    let SettleFacts { accounts, job_life_ms, pauses } = *settle;
    if accounts.parts_open < cursor.settling.parts_left || cursor.settling.parts_left == 0 {
        cursor.settling.parts_left = accounts.parts_open;
        cursor.settling.parts_left_ms = now_ms;
    }
    // After a restart of the local engine the queue is empty: its parts have no end to wait for.
    let parts = if cursor.settling.queue_lost { 0 } else { accounts.parts_open };
    let parts_are_over = parts == 0 || now_ms - cursor.settling.parts_left_ms >= PARTS_LIFE_MS;
    let over_ms = accounts.made_last_ms + job_life_ms;
    let jobs_are_over = now_ms >= over_ms;
    if !parts_are_over || !jobs_are_over {
        let jobs = accounts.jobs_open;
        cursor.not_before_ms = match (parts_are_over, jobs) {
            (false, _) => now_ms + pauses.parts_ms,
            // Check closes them when it polls them.
            (true, 1..) => over_ms.min(now_ms + pauses.jobs_ms),
            // Their outcome is unknown, so wait until the maximum job lifetime has passed.
            (true, 0) => over_ms,
        };
        // The rate limit determines the time that parts take.
        cursor.waits_until_ms = parts_are_over.then(|| over_ms.max(cursor.reading_free_at_ms()));
        let maybe_lost = !jobs_are_over && accounts.totals.jobs_possibly_lost > 0;
        let under_way = UnderWay { parts, jobs, maybe_lost, died: cursor.settling.queue_lost };
        cursor.waits = Some(under_way.waits_for());
        return Decision::turn(cursor, TurnAction::Waited);
    }
    if let Some(why) = cursor.exhausted() {
        let so_far = cursor.cut.take().unwrap_or_else(|| format!("{} pages may be lost", cursor.gaps.len()));
        cursor.cut = Some(format!("{so_far}, and {why}; {}", run.read_so_far(&cursor.tally)));
        return Decision::drain(cursor);
    }
    // Two bounds on the users changed so far: the patches that were decided, and those that jobs took.
    cursor.changed_before = (cursor.changed_before + cursor.tally.patches).min(accounts.totals.patches);
    let free_at_ms = cursor.reading_free_at_ms();
    let mut next = cursor.next_generation(free_at_ms.max(now_ms), !cursor.excused);
    if free_at_ms > now_ms {
        next.waits = Some("the scroll of the generation before must expire first".to_owned());
    }
    Decision { next, commit: Commit::Generation, action: TurnAction::Regenerated }
}

/// The reason of a wait between two generations.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    /// Parts that may still be submitted.
    parts: u64,
    /// Jobs without a known end.
    jobs: u64,
    /// True if a job with an unknown id may exist.
    maybe_lost: bool,
    /// True if the process that submitted them is gone, and its queue with it.
    died: bool,
}

impl UnderWay {
    /// Returns the reason in words.
    fn waits_for(&self) -> String {
        const LEST: &str = "so that an older value cannot overwrite a newer one";
        let many = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        match (self.parts, self.jobs) {
            (0, 0) if self.died => format!(
                "a bulk request was under way when the process before this one ended, and whether Intercom took it is \
                 not known; the next reading waits until it can set no value any more, {LEST}"
            ),
            (0, 0) => format!("a bulk job whose id was lost may set values yet; the next reading waits for it, {LEST}"),
            (0, jobs) => {
                let maybe = if self.maybe_lost && self.died { ", and perhaps one whose id was lost" } else { "" };
                format!("{} sent before must end first{maybe}, {LEST}", many(jobs, "bulk job"))
            }
            (parts, 0) => format!("{} sent before must end first, {LEST}", many(parts, "part")),
            (parts, jobs) => {
                format!("{} and {} sent before must end first, {LEST}", many(parts, "part"), many(jobs, "bulk job"))
            }
        }
    }
}

/// Begins with the first page once the jobs of an earlier run are over; waits until then. Its parts
/// do not matter, because submit drops the parts of an ended run.
pub fn after_earlier_run(mut cursor: Cursor, earlier: EarlierRun, pauses: Pauses, facts: &TurnFacts<'_>) -> Decision {
    let EarlierRun { run, over_ms } = earlier;
    if over_ms <= facts.now_ms {
        cursor.after = None;
        cursor.phase = Phase::Turning;
        cursor.waits = None;
        cursor.waits_until_ms = None;
        return Decision::turn(cursor, TurnAction::Waited);
    }
    cursor.not_before_ms = over_ms.min(facts.now_ms + pauses.jobs_ms);
    cursor.waits_until_ms = Some(over_ms.max(cursor.reading_free_at_ms()));
    cursor.waits = Some(format!("jobs of {run}, which was stopped, may set values yet"));
    Decision::turn(cursor, TurnAction::Waited)
}
