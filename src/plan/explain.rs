//! The evaluation of one user with its steps: the values that the plan reads, and each rule's result.

use serde_json::Value as Json;

use super::evaluate::{Evaluation, Note, SkipReason, TargetResult, failed};
use super::failure::FailureCode;
use super::language::TODAY;
use super::paths::{Segment, attribute, spell};
use super::{Plan, TargetRule, written};
use crate::domain::patch::{Change, spell_key};
use crate::domain::user::User;

/// The evaluation of a user, with its steps. It holds personal data.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The paths that the expressions read, such as `user.custom_attributes.plan`, with their values; `None`
    /// if the user does not have the path.
    pub reads: Vec<(String, Option<Json>)>,
    /// The result of `where`; `None` if the plan has none.
    pub condition: Option<RuleOutcome>,
    /// The targets, with the result of each. Empty if `where` is not true.
    pub rules: Vec<(String, RuleOutcome)>,
    /// The outcome: the patch of a run, and its notes.
    pub evaluation: Evaluation,
}

/// The result of one expression.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleOutcome {
    /// The condition is true.
    Holds,
    /// The target gets a new value.
    Set {
        /// The value that it has; `None` if it has none.
        before: Option<Json>,
        /// The value that it gets; null clears.
        after: Json,
    },
    /// The target has the value already.
    Same,
    /// The plan's rules skip it.
    Skipped(SkipReason),
    /// There is no value.
    Failed {
        /// The code, as in the run's errors.
        code: FailureCode,
        /// The message, without personal data.
        message: String,
    },
}

impl Plan {
    /// Evaluates a user and keeps the steps.
    pub fn explain(&self, user: &User) -> Explanation {
        let inner = &self.inner;
        let body = user.body();
        let mut reads: Vec<(String, Option<Json>)> =
            inner.reads.paths.iter().map(|path| (shown(path), value_at(body, path))).collect();
        if inner.reads.today {
            reads.push((TODAY.to_owned(), self.today.map(Json::from)));
        }
        let evaluation = inner.evaluate(user, self.today);
        let (condition, rules) = match inner.scope(body, self.today) {
            Err(failure) => (Some(RuleOutcome::of_note(failed(TODAY, failure))), Vec::new()),
            Ok(scope) => {
                let condition = inner.condition.as_ref().map(|condition| match condition.holds(&scope) {
                    Ok(true) => RuleOutcome::Holds,
                    Ok(false) => RuleOutcome::Skipped(SkipReason::WhereIsFalse),
                    Err(failure) => RuleOutcome::of_note(failed("where", failure)),
                });
                let outcome = |rule: &TargetRule| match rule.outcome(body, &scope) {
                    Ok(TargetResult::Set(change)) => RuleOutcome::set(user, change),
                    Ok(TargetResult::Same) => RuleOutcome::Same,
                    Ok(TargetResult::Skipped(reason)) => RuleOutcome::Skipped(reason),
                    Err(failure) => RuleOutcome::of_note(failed(&rule.shown, failure)),
                };
                let holds = condition.as_ref().is_none_or(|outcome| *outcome == RuleOutcome::Holds);
                let settings = inner.settings.iter().filter(|_| holds);
                (condition, settings.map(|rule| (rule.shown.clone(), outcome(rule))).collect())
            }
        };
        Explanation { reads, condition, rules, evaluation }
    }
}

impl RuleOutcome {
    fn set(user: &User, change: Change) -> Self {
        let before = written::present(user, &change.target).flatten().cloned();
        Self::Set { before, after: change.new }
    }

    fn of_note(note: Note) -> Self {
        match note {
            Note::Failed { code, message, .. } => Self::Failed { code, message },
            Note::Skipped(reason) => Self::Skipped(reason),
            Note::Same | Note::MissedKey { .. } => Self::Same,
        }
    }
}

/// Returns a path as a plan writes it.
fn shown(path: &[Segment]) -> String {
    match attribute(path) {
        Some(name) if spell_key(name) == name => format!("user.custom_attributes.{name}"),
        Some(name) => format!("user.custom_attributes[{name:?}]"),
        None => format!("user.{}", spell(path)),
    }
}

/// Returns the value at a path; of the items of a list, a list. `None` if the user does not have it.
fn value_at(body: &Json, path: &[Segment]) -> Option<Json> {
    match path.split_first() {
        None => Some(body.clone()),
        Some((Segment::Field(name), rest)) => value_at(body.get(name)?, rest),
        Some((Segment::Item, rest)) => {
            Some(body.as_array()?.iter().map(|item| value_at(item, rest).unwrap_or_default()).collect())
        }
    }
}
