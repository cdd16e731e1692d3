//! A plan: the intended values of every user, as TOML or JSON. Pure: the same user and plan always
//! give the same patch.
//!
//! Expressions are minijinja's, with the plan's own meaning of a missing value, which Intercom
//! sends as null or leaves out:
//!
//! * `x is present` is true if x is neither undefined nor null (an empty text is present);
//! * a filter returns a missing value unchanged, and `| default(y)` replaces it;
//! * arithmetic and `~` with a missing operand are undefined, and so is a table without the key;
//! * a comparison or `in` with a missing operand is false, and `x == none` is true if x is missing;
//! * `and`, `or`, `not`, `if` and `where` read a missing value as false;
//! * if the whole value is missing, `otherwise` decides.
//!
//! Types are not mixed: a text compared with a number, or used as a condition, is an error of that
//! user, never a guess. `docs/plans.md` is the reference for authors of plans.

mod apis;
mod arguments;
mod cases;
mod comparison;
mod compile;
mod convert;
mod dates;
mod engine;
mod error;
mod evaluate;
mod explain;
mod expression;
mod failure;
mod filters;
mod fragment;
mod hints;
mod json;
mod language;
mod nearest;
mod node;
mod operators;
mod otherwise;
mod paths;
mod projection;
mod read_cases;
mod read_tables;
mod reads;
mod scanner;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod translate;
mod value;
mod warnings;
mod written;

use std::cell::RefCell;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::domain::partial_json::Projection;
use crate::domain::user::{Contacts, User};

pub use cases::CaseResult;
pub use error::{Fault, Instead, Location, PlanError};
pub use evaluate::{Evaluation, Note, SkipReason};
pub use explain::{Explanation, RuleOutcome};
pub use failure::FailureCode;
pub use written::present;

use cases::Case;
use expression::Expression;
use node::Node;
use otherwise::Otherwise;
use paths::Segment;
use read_cases::{ReadCases, read_cases};
use reads::Reads;
use scanner::Scanner;
use table::Tables;
use value::ValueType;

/// The longest accepted plan, in bytes. The stored copy must be smaller, to fit a ledger item.
pub const PLAN_BYTES_MAX: usize = 512 * 1024;

/// The most paths of a plan that a run tracks: one bit of its cursor for each.
pub const PATHS_SEEN_MAX: usize = 64;

/// A checked and compiled plan. Clones share it.
#[derive(Clone, Debug)]
pub struct Plan {
    inner: Arc<Inner>,
    /// The day of `today`, in Unix seconds.
    today: Option<i64>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    contacts: Contacts,
    condition: Option<Expression>,
    settings: Vec<TargetRule>,
    tables: Arc<Tables>,
    reads: Reads,
    projection: Projection,
    /// Paths that at least one user should have, with their text: attributes first, then fields.
    required: Vec<(Vec<Segment>, String)>,
    /// True if a patch must be applied to a copy of the user, to check that it is stable.
    reads_what_it_sets: bool,
    warnings: Vec<String>,
    stored: Json,
    cases: Vec<Case>,
}

/// One target and its rule.
#[derive(Debug)]
struct TargetRule {
    target: Written,
    kind: ValueType,
    value: Expression,
    otherwise: Otherwise,
    /// The target's text.
    shown: String,
}

#[derive(Debug)]
enum Written {
    Attribute(String),
    Field(String),
    /// The name of the company that the expression selects.
    Company {
        id: Expression,
    },
}

impl TargetRule {
    fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let id = match &self.target {
            Written::Company { id } => Some(id),
            Written::Attribute(_) | Written::Field(_) => None,
        };
        std::iter::once(&self.value).chain(id)
    }
}

impl Plan {
    /// Reads a plan file; `file` is only for messages.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, PlanError> {
        check_size(file, text.len())?;
        Self::from_node(file, &Node::from_toml(file, text)?, false, Some(read_cases))
    }

    /// Reads the same structure from JSON: an event's plan, or the copy of [`Self::to_json`]. Test cases
    /// are left out unread.
    pub fn from_json(value: &Json) -> Result<Self, PlanError> {
        Self::from_value(value, false)
    }

    /// Reads the copy that is stored with a run. The version that began the run may have had fewer
    /// rules, so a plan that today's rules refuse still runs to its end.
    pub fn of_run(value: &Json) -> Result<Self, PlanError> {
        Self::from_value(value, true)
    }

    fn from_value(value: &Json, of_run: bool) -> Result<Self, PlanError> {
        const FILE: &str = "the plan";
        let place = Location { file: FILE.to_owned(), line: None, key: String::new() };
        let node = Node::from_json(value, 0).map_err(|fault| PlanError::Refused { place: Box::new(place), fault })?;
        check_size(FILE, value.to_string().len())?;
        Self::from_node(FILE, &node, of_run, None)
    }

    /// Reads a plan file that is JSON; `file` is only for messages.
    pub fn from_json_text(file: &str, text: &str) -> Result<Self, PlanError> {
        check_size(file, text.len())?;
        Self::from_node(file, &json::read(file, text)?, false, Some(read_cases))
    }

    /// Only the callers that name `cases` contain the code that reads test cases: the functions do not.
    fn from_node(file: &str, node: &Node, of_run: bool, cases: Option<ReadCases>) -> Result<Self, PlanError> {
        let mistakes = RefCell::default();
        let compiled = compile::compile(&Scanner::new(file, node, &mistakes, of_run), cases);
        let mut mistakes = mistakes.into_inner();
        let inner = compiled.map_err(|error| mistakes.push(error));
        match (inner, PlanError::of(mistakes)) {
            (Ok(inner), None) => Ok(Self { inner: Arc::new(inner), today: None }),
            (_, Some(error)) => Err(error),
            (Err(()), None) => Err(PlanError::Several(Vec::new())),
        }
    }

    /// Returns the plan with `today` set to the UTC day of this time (Unix seconds). It is the
    /// run's scheduled time, so that each page and each generation computes the same values.
    #[must_use]
    pub fn on_day_of(&self, unix_seconds: i64) -> Self {
        Self { inner: Arc::clone(&self.inner), today: Some(dates::day_of(unix_seconds)) }
    }

    /// Returns the plan's name: 1 to 64 of a-z, 0-9 and `-`.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Returns the contacts that the plan is about.
    pub fn contacts(&self) -> Contacts {
        self.inner.contacts
    }

    /// Returns the copy that is stored with a run.
    pub fn to_json(&self) -> Json {
        self.inner.stored.clone()
    }

    /// Runs the test cases of the plan's file. A stored copy has none.
    pub fn check_cases(&self) -> Vec<CaseResult> {
        let cases = self.inner.cases.iter().zip(1..);
        cases.map(|(case, number)| case.check(&self.inner, number)).collect()
    }

    /// Computes the patch and the notes of a user.
    pub fn evaluate(&self, user: &User) -> Evaluation {
        self.inner.evaluate(user, self.today)
    }

    /// Returns the projection of a user that [`Self::evaluate`], [`Self::company_names`] and
    /// [`Self::seen`] read, including `id`.
    pub fn projection(&self) -> &Projection {
        &self.inner.projection
    }

    /// Returns the names that the plan gives companies for this user (`company_id` and name). A
    /// user whose company already has the right name still reserves it.
    pub fn company_names(&self, user: &User) -> Vec<(String, Json)> {
        self.inner.company_names(user, self.today)
    }

    /// Returns the targets of the plan as texts: `custom_attributes."has avatar"`, `company.name`.
    pub fn targets(&self) -> Vec<String> {
        self.inner.settings.iter().map(|setting| setting.shown.clone()).collect()
    }

    /// Returns the paths of expressions that this user has, one bit for each of the first
    /// [`PATHS_SEEN_MAX`]. Targets of the plan are left out: a plan may be the first to set them.
    pub fn seen(&self, user: &User) -> u64 {
        let required = self.inner.required.iter().take(PATHS_SEEN_MAX).enumerate();
        required.map(|(index, (path, _))| u64::from(paths::has(user.body(), path)) << index).sum()
    }

    /// Returns the paths of expressions that are not among `seen`, such as
    /// `user.custom_attributes.plan`. If no user of a workspace has a path, it is probably
    /// misspelt, or Intercom leaves it out.
    pub fn unseen(&self, seen: u64) -> Vec<&str> {
        let required = self.inner.required.iter().take(PATHS_SEEN_MAX).enumerate();
        required.filter(|(index, _)| seen & (1 << index) == 0).map(|(_, (_, shown))| shown.as_str()).collect()
    }

    /// Returns whether an expression reads `today`.
    pub fn reads_today(&self) -> bool {
        self.inner.reads.today
    }

    /// Returns warnings for the operator before a run of this plan, one sentence each.
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }
}

fn check_size(file: &str, bytes: usize) -> Result<(), PlanError> {
    if bytes > PLAN_BYTES_MAX {
        return Err(PlanError::TooLarge { file: file.to_owned(), bytes });
    }
    Ok(())
}
