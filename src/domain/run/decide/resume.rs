//! The way in which a paused run continues.

use crate::domain::run::{Cursor, Phase, Run, State};

/// The facts about a paused run.
#[derive(Clone, Copy, Debug)]
pub struct ResumeFacts {
    /// The ledger has the content of the run's parts, so their messages can be sent again.
    pub keeps_parts: bool,
    /// Some part of the present generation has no end, or was dropped.
    pub misses_parts: bool,
    /// The present time, in Unix milliseconds.
    pub now_ms: i64,
}

/// The way in which a paused run continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeWay {
    /// All pages are read: it submits what is left.
    Drains,
    /// It reads on at its position, or waits on for the generation before.
    ReadsOn,
    /// A new generation reads all users again.
    Regenerates,
}

/// Decides how a run continues whose pause interrupted this state.
pub fn after_pause(run: &Run, cursor: &Cursor, facts: &ResumeFacts) -> ResumeWay {
    let from = run.pause().map_or(run.state, |pause| pause.from);
    let all_read = from != State::Running || cursor.phase == Phase::Ended;
    let ResumeFacts { keeps_parts, misses_parts, now_ms } = *facts;
    let is_canary_over = run.canary_ended == Some(cursor.generation) && cursor.phase == Phase::Ended;
    match () {
        // The other users are left to read.
        () if is_canary_over => ResumeWay::Regenerates,
        () if all_read && (keeps_parts || !misses_parts) => ResumeWay::Drains,
        // Messages that arrived during the pause are gone, and only they had the patches.
        () if !keeps_parts => ResumeWay::Regenerates,
        () if cursor.phase == Phase::Turning && has_expired(cursor, now_ms) => ResumeWay::Regenerates,
        () => ResumeWay::ReadsOn,
    }
}

/// Returns whether the exclusive reading at the cursor's position has expired.
fn has_expired(cursor: &Cursor, now_ms: i64) -> bool {
    cursor.position.is_exclusive() && cursor.reading_free_at_ms() <= now_ms
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::run::{EXCLUSIVE_LIFE_MS, Lease, Position, RunId};

    const NOW_MS: i64 = 1_000_000;

    fn paused(from: &str) -> Run {
        let run = json!({"v": 1, "run": "p.1", "plan": "p", "state": "paused", "generation": 1, "started_ms": 0,
            "deadline_ms": 0, "paused": {"by": "operator", "from": from, "since_ms": 0}});
        serde_json::from_value(run).unwrap()
    }

    /// A cursor whose exclusive reading was called so long ago.
    fn reading(called_before_ms: i64) -> Cursor {
        let mut cursor = Cursor::first(RunId::of("p", 0), 0, EXCLUSIVE_LIFE_MS);
        cursor.position = Position::Scroll { param: "x".to_owned() };
        cursor.exclusive.called_ms = NOW_MS - called_before_ms;
        cursor
    }

    #[test]
    fn resume_returns_to_the_state_before() {
        let first = Cursor::first(RunId::of("p", 0), 0, EXCLUSIVE_LIFE_MS);
        let settling = Cursor { phase: Phase::Settling, ..reading(2 * EXCLUSIVE_LIFE_MS) };
        let lease = Lease { owner: "o".to_owned(), message: "m".to_owned(), until_ms: NOW_MS - 1 };
        let page_under_way = Cursor { lease: Some(lease), ..reading(2 * EXCLUSIVE_LIFE_MS) };
        let ended = Cursor { phase: Phase::Ended, ..reading(2 * EXCLUSIVE_LIFE_MS) };
        for (from, cursor, keeps_parts, misses_parts, expected) in [
            ("draining", &ended, true, true, ResumeWay::Drains),
            ("verifying", &ended, true, false, ResumeWay::Drains),
            ("draining", &ended, false, false, ResumeWay::Drains),
            ("draining", &ended, false, true, ResumeWay::Regenerates),
            ("running", &first, true, true, ResumeWay::ReadsOn),
            ("running", &reading(10_000), true, true, ResumeWay::ReadsOn),
            ("running", &page_under_way, true, true, ResumeWay::ReadsOn),
            ("running", &settling, true, true, ResumeWay::ReadsOn),
            ("running", &reading(2 * EXCLUSIVE_LIFE_MS), true, true, ResumeWay::Regenerates),
            ("running", &first, false, false, ResumeWay::Regenerates),
            ("running", &reading(10_000), false, false, ResumeWay::Regenerates),
        ] {
            let facts = ResumeFacts { keeps_parts, misses_parts, now_ms: NOW_MS };
            assert_eq!(after_pause(&paused(from), cursor, &facts), expected, "{from} {keeps_parts} {misses_parts}");
        }
    }

    #[test]
    fn resume_after_a_canary_reads_all_users() {
        let facts = ResumeFacts { keeps_parts: true, misses_parts: false, now_ms: NOW_MS };
        let canary = Cursor { phase: Phase::Ended, ..reading(2 * EXCLUSIVE_LIFE_MS) };
        let later = Cursor { generation: 2, ..canary.clone() };
        let settling = Cursor { phase: Phase::Settling, ..canary.clone() };
        for (from, cursor, expected) in [
            ("draining", &canary, ResumeWay::Regenerates),
            ("verifying", &canary, ResumeWay::Regenerates),
            ("draining", &later, ResumeWay::Drains),
            ("running", &settling, ResumeWay::ReadsOn),
        ] {
            assert_eq!(after_pause(&Run { canary_ended: Some(1), ..paused(from) }, cursor, &facts), expected);
        }
    }
}
