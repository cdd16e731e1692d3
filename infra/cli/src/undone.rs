//! The preview of an undo.

use std::collections::BTreeMap;
use std::time::Duration;

use intercom_bulk::domain::run::{Cursor, Run, State};
use intercom_bulk::ledger::{Ledger, LedgerError};
use jiff::Timestamp;
use serde::Serialize;

use crate::changed::Changed;
use crate::error_kinds::{self, Kind, kinds};
use crate::output::{self, duration};
use crate::preview::{cut, preview_code, sample};
use crate::summary::skip_reasons;

/// The values that an undo would restore, and those that would stay.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Restorable {
    /// The run that would be undone.
    pub(crate) undoes: String,
    /// The run that made this preview.
    pub(crate) run: String,
    /// Its end.
    pub(crate) state: State,
    /// Users that the run changed, or may have changed.
    pub(crate) users: u64,
    /// Users with a value that would be restored.
    pub(crate) to_restore: u64,
    /// Users of whom all values would stay.
    pub(crate) skipped: u64,
    /// Users with values that would stay, by reason.
    #[serde(rename = "left_alone")]
    pub(crate) skip_reasons: BTreeMap<String, u64>,
    /// Users that could not be read.
    pub(crate) errors: u64,
    pub(crate) errors_by_code: BTreeMap<String, Kind>,
    /// The time at which the run began to read its users, and the time of its end.
    pub(crate) read_from: Option<Timestamp>,
    pub(crate) read_until: Option<Timestamp>,
    /// Some of the values that would be restored.
    pub(crate) sample: Vec<Changed>,
    /// The reason of the preview's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

impl Restorable {
    /// Creates it from the rows of the preview `run` of the undo of `first`.
    pub(crate) async fn read(ledger: &Ledger, first: &Run, run: &Run, cursor: &Cursor) -> Result<Self, LedgerError> {
        let tally = &cursor.tally;
        Ok(Self {
            undoes: first.id.to_string(),
            run: run.id.to_string(),
            state: run.state,
            users: tally.read(),
            to_restore: tally.patches,
            skipped: tally.skipped,
            skip_reasons: tally.skip_reasons.clone(),
            errors: tally.errors,
            errors_by_code: error_kinds::read(ledger, run).await?,
            read_from: Timestamp::from_millisecond(first.started_ms).ok(),
            read_until: first.ended_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
            sample: sample(ledger, run).await?,
            reason: run.reason.as_deref().map(output::flags),
        })
    }

    /// Returns 2 if something would be restored, 3 if the preview did not see all users.
    pub(crate) fn exit_code(&self) -> u8 {
        preview_code(self.state, self.to_restore, self.errors)
    }

    /// Prints it as text, or as one object.
    pub(crate) fn show(&self, json_only: bool) {
        if json_only {
            return output::json(self);
        }
        self.words().iter().for_each(|line| output::line(line));
    }

    pub(crate) fn words(&self) -> Vec<String> {
        let cut = cut(self.state, self.reason.as_deref());
        let so_far = if cut.is_some() { " so far" } else { "" };
        let mut lines = Vec::from_iter(cut);
        let Self { undoes, to_restore, users, .. } = self;
        lines.push(format!("Undo of {undoes}: {to_restore} of {users} users{so_far} would be restored."));
        lines.push(format!("  {} skipped, {} failed", self.skipped, self.errors));
        lines.extend(skip_reasons(&self.skip_reasons, &BTreeMap::new()));
        lines.extend(kinds(&self.errors_by_code));
        if !self.skip_reasons.is_empty() {
            lines.push(format!("  `intercom-bulk changes {} --all` lists the values that would stay.", self.run));
        }
        if !self.sample.is_empty() {
            lines.push("  Some of the values that would be restored:".to_owned());
            lines.extend(self.sample.iter().flat_map(Changed::words));
        }
        lines
    }
}

/// Returns how old the values are that an undo of the run restores.
pub(crate) fn age(first: &Run, now_ms: i64) -> String {
    let ended_ms = first.ended_ms.unwrap_or(first.started_ms);
    let whole = |ms: i64| duration(Duration::from_secs(ms.max(0).unsigned_abs() / 1000));
    let (ago, took) = (whole(now_ms - ended_ms), whole(ended_ms - first.started_ms));
    format!(
        "It read its users within {took} and ended {ago} ago. A value that something else set between that read and the \
         run's write is not known."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn restorable(state: State, to_restore: u64, errors: u64) -> Restorable {
        Restorable {
            undoes: "p.1".to_owned(),
            run: "p.2".to_owned(),
            state,
            users: 9,
            to_restore,
            skipped: 9 - to_restore - errors,
            skip_reasons: BTreeMap::from([("changed_since".to_owned(), 2)]),
            errors,
            errors_by_code: BTreeMap::new(),
            read_from: None,
            read_until: None,
            sample: Vec::new(),
            reason: None,
        }
    }

    #[test]
    fn exit_code_tells_whether_something_would_be_restored() {
        for (state, to_restore, errors, code) in [
            (State::Complete, 0, 0, 0),
            (State::Complete, 3, 0, 2),
            (State::CompleteWithErrors, 0, 1, 2),
            (State::Incomplete, 3, 0, 3),
            (State::Failed, 0, 0, 1),
        ] {
            assert_eq!(restorable(state, to_restore, errors).exit_code(), code, "{state}");
        }
    }

    #[test]
    fn words_count_by_outcome_and_name_the_list() {
        let words = restorable(State::Complete, 7, 0).words().join("\n");
        assert!(words.starts_with("Undo of p.1: 7 of 9 users would be restored.\n  2 skipped, 0 failed"), "{words}");
        assert!(
            words.contains("Skipped because: changed since ×2") && words.contains("`intercom-bulk changes p.2 --all`"),
            "{words}"
        );
    }

    #[test]
    fn age_of_the_values_is_that_of_the_run() {
        let run = serde_json::json!({"v": 3, "run": "p.20161124T100500Z", "plan": "p", "state": "complete",
            "generation": 1, "started_ms": 1_000, "ended_ms": 126_000, "deadline_ms": 0});
        let first: Run = serde_json::from_value(run).unwrap();
        let age = age(&first, 126_000 + 3 * 3_600_000);
        assert!(age.contains("within 2 min 5 s and ended 3 h 0 min ago"), "{age}");
    }
}
