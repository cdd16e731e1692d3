//! Pauses of a run, and their end.

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes::{attribute, n, s};
use super::{Ledger, LedgerError};
use crate::domain::run::{Pause, Run, State};

impl Ledger {
    /// Pauses a run that was read as `run`, or changes its pause. Returns `false` if another writer
    /// changed the run first.
    pub async fn pause(&self, run: &Run, pause: Pause, reason: &str) -> Result<bool, LedgerError> {
        // A change of the pause is no news.
        let is_new = run.state != State::Paused;
        let report = is_new.then(|| Self::report_write(&run.id, pause.since_ms)).transpose()?;
        self.change_run(run, &run.with_pause(pause, reason), report.into_iter().collect(), None).await
    }

    /// Ends the pause of a run that was read as `run`: it continues in this state, at its cursor.
    /// Returns `false` if another writer changed the run first.
    pub async fn unpause(&self, run: &Run, state: State, now_ms: i64) -> Result<bool, LedgerError> {
        self.change_run(run, &run.continued(state, now_ms), Vec::new(), None).await
    }
}

/// The change of a run's pause and deadline, as parts of an update.
#[derive(Debug, Default, PartialEq)]
pub(super) struct PauseChange {
    pub(super) set: Vec<&'static str>,
    pub(super) remove: Vec<&'static str>,
    pub(super) conditions: Vec<&'static str>,
    pub(super) values: Vec<(&'static str, AttributeValue)>,
}

impl PauseChange {
    /// Returns the change from `was`, as it was read, to `now`.
    pub(super) fn of(was: &Run, now: &Run) -> Result<Self, LedgerError> {
        let mut change = Self::default();
        // A pause in the item of a run that is not paused is over: an earlier version resumed it.
        let is_new = was.state == State::Paused || now.paused != was.paused;
        match now.paused.as_ref().filter(|_| now.state == State::Paused && is_new) {
            Some(pause) => {
                change.set.push("paused = :paused");
                change.values.push((":paused", attribute(pause, "RUN")?));
            }
            None => change.remove.push("paused"),
        }
        if was.state == State::Paused && was.paused.is_none() {
            // An operator may hold its pause since then.
            change.conditions.push("attribute_not_exists(paused)");
        }
        if let Some(pause) = was.paused.as_ref().filter(|_| was.state == State::Paused) {
            // Another operator may have resumed and paused it in between.
            change.conditions.push("paused.since_ms = :since");
            change.values.push((":since", n(pause.since_ms)));
            if now.state.submits() {
                // A turn that was under way at the pause may have read the last page in between.
                change.conditions.push("paused.#from = :from");
                change.values.push((":from", s(pause.from)));
            }
        }
        if now.resumed_ms != was.resumed_ms {
            change.set.push("resumed_ms = :resumed");
            change.values.push((":resumed", n(now.resumed_ms)));
        }
        if now.deadline_ms != was.deadline_ms {
            change.set.push("deadline_ms = :deadline, paused_ms = :held");
            change.conditions.push("deadline_ms = :deadline_was");
            change.values.extend([
                (":deadline", n(now.deadline_ms)),
                (":deadline_was", n(was.deadline_ms)),
                (":held", n(now.paused_ms)),
            ]);
        }
        Ok(change)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn run(state: &str, paused: Value) -> Run {
        let mut run = json!({"v": 1, "run": "p.1", "plan": "p", "state": state, "generation": 1, "started_ms": 0,
            "deadline_ms": 1_000});
        if !paused.is_null() {
            run["paused"] = paused;
        }
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn pause_is_stored_with_the_state_and_removed_with_it() {
        let operator = |since_ms: i64| json!({"by": "operator", "from": "running", "since_ms": since_ms});
        let running = run("running", Value::Null);
        let held = run("paused", operator(300));
        let drained = run("paused", json!({"by": "operator", "from": "draining", "since_ms": 300}));
        let resumed_by_an_earlier_version = run("running", operator(300));
        let (by_a_turn, cancelled) = (run("paused", Value::Null), run("cancelled", Value::Null));
        let since = "paused.since_ms = :since";
        for (was, now, set, conditions) in [
            (&running, &held, vec!["paused = :paused"], vec![]),
            (&held, &drained, vec!["paused = :paused"], vec![since]),
            (&by_a_turn, &held, vec!["paused = :paused"], vec!["attribute_not_exists(paused)"]),
            (&by_a_turn, &cancelled, vec![], vec!["attribute_not_exists(paused)"]),
            (
                &held,
                &held.continued(State::Running, 700),
                vec!["resumed_ms = :resumed", "deadline_ms = :deadline, paused_ms = :held"],
                vec![since, "paused.#from = :from", "deadline_ms = :deadline_was"],
            ),
            (&running, &Run { state: State::Draining, ..running.clone() }, vec![], vec![]),
            // A turn pauses it: the stored pause is an older one.
            (
                &resumed_by_an_earlier_version,
                &Run { state: State::Paused, ..resumed_by_an_earlier_version.clone() },
                vec![],
                vec![],
            ),
        ] {
            let change = PauseChange::of(was, now).unwrap();
            assert_eq!((&change.set, &change.conditions), (&set, &conditions), "{was:?} → {now:?}");
            let keeps = set.first() == Some(&"paused = :paused");
            assert_eq!(change.remove, if keeps { vec![] } else { vec!["paused"] }, "{was:?} → {now:?}");
        }
    }
}
