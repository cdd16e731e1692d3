//! The pause of a run: its cause, the state that it interrupts, and its time.

use serde::{Deserialize, Serialize};

use super::{DEADLINE_MOST_MS, Run, Start, State};

/// The longest time for which an operator may pause a run, over all pauses, in milliseconds. Items
/// of the run expire long after its longest deadline plus this time.
pub const PAUSE_MOST_MS: i64 = 30 * 24 * 3600 * 1000;
const _: () = assert!(PAUSE_MOST_MS < DEADLINE_MOST_MS);

/// The cause of a pause. It decides what a later start does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PausedBy {
    /// An operator. The run keeps its place, later starts wait behind it, and its deadline stands
    /// still.
    Operator,
    /// A step: for example a path that no user has, or a token of another workspace. The run gives
    /// way to a later start.
    Step,
}

/// A pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Its cause.
    pub by: PausedBy,
    /// The state to which a resume returns: running or draining.
    pub from: State,
    /// Its begin, in Unix milliseconds.
    pub since_ms: i64,
}

impl Run {
    /// Returns the pause of a paused run. A turn pauses its run without a record, as earlier
    /// versions do.
    pub fn pause(&self) -> Option<Pause> {
        let unrecorded = || Pause { by: PausedBy::Step, from: State::Running, since_ms: self.started_ms };
        (self.state == State::Paused).then(|| self.paused.clone().unwrap_or_else(unrecorded))
    }

    /// Returns the pause by which an operator holds the run's place.
    pub fn hold(&self) -> Option<Pause> {
        self.pause().filter(|pause| pause.by == PausedBy::Operator)
    }

    /// Returns the time at which an operator's pause ends the run, in Unix milliseconds.
    pub fn hold_ends_ms(&self) -> Option<i64> {
        self.hold().map(|pause| pause.since_ms.saturating_add((PAUSE_MOST_MS - self.paused_ms).max(0)))
    }

    /// Returns whether the paused run ends in favor of a later start.
    pub fn gives_way(&self, supersede: bool) -> bool {
        self.state == State::Paused && (supersede || self.hold().is_none())
    }

    /// Returns whether the run, which is paused, ends in favor of this start: one that supersedes it. A run
    /// that a step paused waits for a decision; a start counts as one, but not a preview, a retry or an undo.
    pub fn gives_way_to(&self, start: &Start) -> bool {
        let decides = start.source.earlier().is_none() && !start.limits.dry_run;
        self.gives_way(start.supersede) && (start.supersede || decides)
    }

    /// Returns the run with a pause.
    #[must_use]
    pub fn with_pause(&self, pause: Pause, reason: &str) -> Self {
        Self { state: State::Paused, reason: Some(reason.to_owned()), paused: Some(pause), ..self.clone() }
    }

    /// Returns the run after a pause, if there is one, in this state. The time of an operator's
    /// pause is added to the deadline.
    #[must_use]
    pub fn continued(&self, state: State, now_ms: i64) -> Self {
        let held_ms = self.hold().map_or(0, |pause| (now_ms - pause.since_ms).max(0));
        Self {
            state,
            reason: None,
            paused: None,
            deadline_ms: self.deadline_ms.saturating_add(held_ms),
            paused_ms: self.paused_ms.saturating_add(held_ms),
            resumed_ms: if self.state == State::Paused { now_ms } else { self.resumed_ms },
            ..self.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(state: &str, paused: serde_json::Value) -> Run {
        let mut run = json!({"v": 1, "run": "p.1", "plan": "p", "state": state, "generation": 1, "started_ms": 7,
            "deadline_ms": 1_000});
        if !paused.is_null() {
            run["paused"] = paused;
        }
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn only_an_operators_pause_holds_the_place() {
        let by = |by: &str| json!({"by": by, "from": "draining", "since_ms": 300});
        for (run, holds, gives_way) in [
            (run("paused", by("operator")), true, false),
            (run("paused", by("step")), false, true),
            // A turn's, or an earlier version's.
            (run("paused", json!(null)), false, true),
            // An earlier version resumed it.
            (run("running", by("operator")), false, false),
        ] {
            assert_eq!((run.hold().is_some(), run.gives_way(false)), (holds, gives_way), "{run:?}");
            assert_eq!(run.gives_way(true), run.state == State::Paused, "{run:?}");
        }
    }

    #[test]
    fn deadline_stands_still_while_an_operator_pauses() {
        let by = |by: &str| json!({"by": by, "from": "running", "since_ms": 300});
        for (paused, now_ms, deadline_ms, paused_ms) in [
            (by("operator"), 800, 1_500, 500),
            // The clock of the process that paused it was ahead.
            (by("operator"), 200, 1_000, 0),
            (by("step"), 800, 1_000, 0),
            (json!(null), 800, 1_000, 0),
        ] {
            let continued = run("paused", paused.clone()).continued(State::Running, now_ms);
            assert_eq!((continued.deadline_ms, continued.paused_ms), (deadline_ms, paused_ms), "{paused}");
            assert_eq!((continued.pause(), continued.reason, continued.resumed_ms), (None, None, now_ms));
        }
    }

    #[test]
    fn all_pauses_of_a_run_together_are_bounded() {
        let held = run("paused", json!({"by": "operator", "from": "running", "since_ms": 300}));
        assert_eq!(held.hold_ends_ms(), Some(300 + PAUSE_MOST_MS));
        let again = Run { paused_ms: PAUSE_MOST_MS - 50, ..held.clone() };
        assert_eq!(again.hold_ends_ms(), Some(350));
        assert_eq!(Run { paused_ms: 2 * PAUSE_MOST_MS, ..held }.hold_ends_ms(), Some(300));
        assert_eq!(run("paused", json!(null)).hold_ends_ms(), None);
    }
}
