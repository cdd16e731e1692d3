//! Test cases in a plan: `[[test]]` with a user, and the result that the plan must have for it.
//!
//! A run ignores them, and its copy of the plan does not have them.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Inner;
use super::evaluate::{Evaluation, Note};
use crate::domain::kept::is_same;
use crate::domain::user::User;

/// A test case of a plan.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: Option<String>,
    pub(super) line: Option<usize>,
    /// The UTC day of `today`, in Unix seconds.
    pub(super) today: Option<i64>,
    pub(super) user: User,
    pub(super) expected: Outcome,
}

/// The result of a plan for a user.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// The values that it sets, by target. Null clears.
    pub(super) values: BTreeMap<String, Json>,
    /// The reasons for which it skips the user or a target. An expected result has at most one.
    pub(super) skips: Vec<String>,
    /// The codes of errors, each with its place. An expected result has at most one, without a place.
    pub(super) errors: Vec<(&'static str, String)>,
}

/// The result of a test case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseResult {
    /// The name of the case, if it has one.
    pub name: Option<String>,
    /// Its number in the plan, from 1.
    pub number: usize,
    /// Its line in the plan's file, if that is known.
    pub line: Option<usize>,
    /// True if the plan does what the case expects.
    pub passed: bool,
    /// The expected result, in words.
    pub expected: String,
    /// The result of the plan, in words.
    pub got: String,
}

impl Case {
    pub(super) fn check(&self, plan: &Inner, number: usize) -> CaseResult {
        let got = match plan.contacts.skip(&self.user) {
            Some(role) => Outcome { skips: vec![role.to_owned()], ..Outcome::default() },
            None => Outcome::of(plan.evaluate(&self.user, self.today)),
        };
        CaseResult {
            name: self.name.clone(),
            number,
            line: self.line,
            passed: self.expected.is_met_by(&got),
            expected: self.expected.words(),
            got: got.words(),
        }
    }
}

impl Outcome {
    fn of(evaluation: Evaluation) -> Self {
        let changes = evaluation.patch.map(|patch| patch.changes).unwrap_or_default();
        let mut outcome = Self::default();
        outcome.values.extend(changes.into_iter().map(|change| (change.target.to_string(), change.new)));
        for note in evaluation.notes {
            match note {
                Note::Same | Note::MissedKey { .. } => {}
                Note::Skipped(reason) => outcome.skips.push(reason.as_str().to_owned()),
                Note::Failed { target, code, message } => {
                    outcome.errors.push((code.as_str(), format!(" of {target} ({message})")));
                }
            }
        }
        outcome
    }

    /// The values must be exactly those. An error that is not expected is a difference, and so is a
    /// missing one; a reason to skip counts only if one is expected.
    fn is_met_by(&self, got: &Self) -> bool {
        let same = |(target, value): (&String, &Json)| got.values.get(target).is_some_and(|got| is_same(value, got));
        self.values.len() == got.values.len()
            && self.values.iter().all(same)
            && self.skips.iter().all(|reason| got.skips.contains(reason))
            && self.errors.iter().all(|(code, _)| got.errors.iter().any(|(got, _)| got == code))
            && (got.errors.is_empty() || !self.errors.is_empty())
    }

    fn words(&self) -> String {
        let value = |(target, value): (&String, &Json)| match value {
            Json::Null => format!("{target} cleared"),
            value => format!("{target} = {value}"),
        };
        let values = self.values.iter().map(value);
        let skips = self.skips.iter().map(|reason| format!("skip {reason}"));
        let errors = self.errors.iter().map(|(code, place)| format!("error {code}{place}"));
        let words: Vec<String> = values.chain(skips).chain(errors).collect();
        if words.is_empty() { "nothing to change".to_owned() } else { words.join(", ") }
    }
}
