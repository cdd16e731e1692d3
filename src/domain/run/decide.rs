//! Decisions about a turn: pure functions from cursor and facts to a [`Decision`].
//!
//! `steps/scroll` reads the facts, calls these functions, and carries the decision out. Nothing
//! here reads a clock or calls a client.

use std::ops::ControlFlow;

use super::{Cursor, GAPS_MAX, IDLE_TURNS_MAX, Phase, Position, Run, State, past_deadline};

mod failure;
mod lag;
mod limits;
mod message;
mod page;
mod reading;
mod resume;
mod sample;
mod settle;

pub use failure::{FailureFacts, after_failure};
pub use lag::{awaits_list, until_list_shows, until_user_shows};
pub use limits::{must_count_failed, over_max_changes, over_max_errors, within_max_changes};
pub use message::{Delivery, is_stuck, not_leased};
pub use page::{
    AnswerFacts, PageFacts, after_answer, after_end, after_page, needs_count, paths_unseen, relationship_written,
};
pub use reading::after_reading_time;
pub use resume::{ResumeFacts, ResumeWay, after_pause};
pub use settle::{
    EarlierRuns, Pauses, SettleFacts, StartWait, after_earlier_runs, after_wait, earlier_runs, is_long_wait,
};

/// Leases of one turn that may expire before the pages of a list are begun again, in a generation
/// that counts. A page that ends each invocation then ends the run.
const LEASES_MAX: u32 = 8;

/// The facts that each decision needs.
#[derive(Clone, Copy, Debug)]
pub struct TurnFacts<'a> {
    /// The run, as read under the turn's lease.
    pub run: &'a Run,
    /// The present time, in Unix milliseconds.
    pub now_ms: i64,
}

/// The changes of a commit besides the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// Nothing.
    Turn,
    /// The run's state. An end also releases `ACTIVE`.
    State {
        /// The new state.
        state: State,
        /// The reason, for the operator.
        reason: Option<String>,
    },
    /// The run's generation: submit accepts no parts of an older one.
    Generation,
}

/// The effect of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnAction {
    /// A page was read.
    Turned,
    /// A page may be lost, and is recorded as a gap.
    Gap,
    /// The turn waits.
    Waited,
    /// No page is left to read.
    Ended,
    /// A new generation begins, or is prepared.
    Regenerated,
    /// The run failed, or was stopped by a limit.
    Stopped,
}

/// The decision of a turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The next cursor.
    pub next: Cursor,
    /// The other changes of the commit.
    pub commit: Commit,
    /// The effect of the turn.
    pub action: TurnAction,
}

impl Decision {
    /// Changes the cursor alone.
    pub fn turn(next: Cursor, action: TurnAction) -> Self {
        Self { next, commit: Commit::Turn, action }
    }

    /// Changes the run's state, too.
    pub fn state(next: Cursor, state: State, reason: impl Into<String>) -> Self {
        Self { next, commit: Commit::State { state, reason: Some(reason.into()) }, action: TurnAction::Stopped }
    }

    /// Ends the pages: the run submits what is queued.
    fn drain(mut next: Cursor) -> Self {
        next.phase = Phase::Ended;
        Self { next, commit: Commit::State { state: State::Draining, reason: None }, action: TurnAction::Ended }
    }

    /// Waits after a request without an answer that cost no page: each time longer, and at least
    /// until `least_ms`. The run's deadline bounds the wait.
    pub fn unanswered(mut next: Cursor, now_ms: i64, least_ms: i64, why: &str) -> Self {
        next.not_before_ms = next.rest(now_ms).max(least_ms);
        next.waits = Some(match next.unanswered.times {
            1 => why.to_owned(),
            times => format!("{why} ({times} tries since {})", time(next.unanswered.since_ms)),
        });
        Self::turn(next, TurnAction::Waited)
    }

    /// Waits until `until_ms`. The reason has a bound of its own, so the turn does not count as
    /// idle.
    pub fn wait(mut next: Cursor, until_ms: i64, why: impl Into<String>) -> Self {
        next.not_before_ms = until_ms;
        next.waits = Some(why.into());
        Self::turn(next, TurnAction::Waited)
    }

    /// Waits until `until_ms`. The turn counts as idle: [`IDLE_TURNS_MAX`] in a row end the pages.
    pub fn idle(next: Cursor, until_ms: i64, why: impl Into<String>) -> Self {
        let mut decision = Self::wait(next, until_ms, why);
        decision.next.idle_turns += 1;
        decision
    }

    /// Waits for a window of the rate limit. The other steps make progress in the present one.
    pub fn spent(mut next: Cursor, now_ms: i64, until_ms: i64) -> Self {
        next.found_spent(now_ms);
        Self::wait(next, until_ms, "the rate limit's window is spent")
    }

    /// Returns whether another turn follows.
    pub fn goes_on(&self) -> bool {
        match &self.commit {
            Commit::State { state, .. } => *state == State::Running,
            Commit::Turn | Commit::Generation => self.next.phase != Phase::Ended,
        }
    }
}

/// Formats a time in UTC.
fn time(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

/// Formats a time of day in UTC, for an operator who looks at a wait of hours.
pub(super) fn time_of_day(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%H:%M UTC").to_string()
}

/// Decides what an expired lease on the turn means. If its owner crashed between the request and
/// the commit, the page may be consumed. Continues with the cursor, without lease and with a gap
/// for each such page, or begins again.
pub fn after_crash(mut cursor: Cursor, facts: &TurnFacts<'_>) -> ControlFlow<Decision, Cursor> {
    let Some(died) = cursor.lease.take() else { return ControlFlow::Continue(cursor) };
    if cursor.phase == Phase::Settling {
        // Such a turn requests no page.
        return ControlFlow::Continue(cursor);
    }
    let exclusive = facts.run.reads_exclusively();
    if exclusive {
        // The owner may have requested a page until its lease expired.
        cursor.exclusive.called_ms = cursor.exclusive.called_ms.max(died.until_ms);
    }
    if !exclusive && facts.run.keeps_parts() && cursor.leases < LEASES_MAX {
        // The page is requested again. Parts of the reading before are void, because its lease is
        // over.
        return ControlFlow::Continue(cursor);
    }
    if !exclusive || cursor.position == Position::First {
        // The same page would be evaluated again, and parts of it may be in the queue under the
        // same names. A new generation gives them other names.
        cursor.settle(facts.now_ms);
        cursor.waits = Some("an invocation was cut off; the pages are begun again".to_owned());
        return ControlFlow::Break(Decision::turn(cursor, TurnAction::Regenerated));
    }
    // Each expired lease may have consumed one page. Parts of different pages have different names.
    for _ in 0..cursor.leases.max(1) {
        if cursor.gaps.len() < GAPS_MAX {
            cursor.gap();
        }
    }
    ControlFlow::Continue(cursor)
}

/// Stops or ends the pages when a bound is reached: the deadline, the number of pages, idle turns
/// or gaps. The bounds replace Lambda's detection of recursive loops.
pub fn bounds(cursor: &Cursor, facts: &TurnFacts<'_>) -> Option<Decision> {
    let TurnFacts { run, now_ms } = *facts;
    let stop = |state, reason: String| Some(Decision::state(cursor.clone(), state, reason));
    if now_ms > run.deadline_ms {
        return stop(State::Incomplete, past_deadline(run, cursor));
    }
    if cursor.phase == Phase::Settling {
        return None;
    }
    if cursor.pages_in_all > run.pages_max().saturating_mul(u64::from(cursor.generation)) {
        let pages = cursor.pages_in_all;
        return stop(State::Failed, format!("{pages} pages are far more than the workspace has users for"));
    }
    if cursor.idle_turns >= IDLE_TURNS_MAX {
        let (last, read) = (cursor.last_wait(), run.read_so_far(&cursor.tally));
        let cut = Some(format!("{IDLE_TURNS_MAX} turns in a row brought no page{last}; {read}"));
        return Some(Decision::drain(Cursor { cut, ..cursor.clone() }));
    }
    (cursor.gaps.len() >= GAPS_MAX).then(|| {
        let mut next = cursor.clone();
        next.settle(now_ms);
        next.waits = Some(format!("{GAPS_MAX} pages may be lost: the scroll is begun again"));
        Decision::turn(next, TurnAction::Regenerated)
    })
}

#[cfg(test)]
mod tests;
