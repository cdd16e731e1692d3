//! A plan: what every user is to have, as TOML or JSON. Pure: the same user and plan always give the same patch.
//!
//! Expressions are minijinja's, with the plan's own meaning of a missing value, which Intercom sends as null or leaves out:
//!
//! * `x is present` holds where x is neither undefined nor null (an empty text is present);
//! * a filter passes a missing value on, and `| default(y)` replaces it;
//! * arithmetic and `~` with a missing operand are undefined, and so is a table without the key;
//! * a comparison or `in` with a missing operand is false, and `x == none` holds where x is missing;
//! * a `bool` target whose expression is an `and` or `or` reads a missing answer as false;
//! * where the whole value is missing, `otherwise` decides.
//!
//! Types are not mixed: a text against a number is an error of that user, never a guess.

mod arguments;
mod cursor;
mod engine;
mod error;
mod evaluate;
mod expression;
mod failure;
mod language;
mod node;
mod operators;
mod otherwise;
mod paths;
mod read;
mod read_tables;
mod reads;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod translate;
mod value;

use std::sync::Arc;

use serde_json::Value as Json;

use crate::keep::Keep;
use crate::user::User;

pub use error::{Fault, Nearest, Place, PlanError};
pub use evaluate::{Evaluation, Note, Reason};
pub use failure::FailureCode;

use cursor::Cursor;
use expression::Expression;
use node::Node;
use otherwise::Otherwise;
use reads::Reads;
use table::Tables;
use value::ValueType;

/// The longest plan that is read. What is stored of it is smaller still, to fit an item of the ledger.
pub const PLAN_BYTES_MAX: usize = 512 * 1024;

/// A plan that was checked and compiled. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Plan {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    condition: Option<Expression>,
    settings: Vec<Setting>,
    tables: Arc<Tables>,
    reads: Reads,
    keeps: Keep,
    reads_attributes: Vec<String>,
    /// Then a patch is tried on the user before it is believed.
    reads_what_it_sets: bool,
    stored: Json,
}

/// One target and its rule.
#[derive(Debug)]
struct Setting {
    target: Written,
    kind: ValueType,
    value: Expression,
    otherwise: Otherwise,
    /// The target for display.
    shown: String,
}

#[derive(Debug)]
enum Written {
    Attribute(String),
    Field(String),
    /// The name of the company that the expression chooses.
    Company {
        id: Expression,
    },
}

impl Setting {
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
        Self::from_node(file, &Node::from_toml(file, text)?)
    }

    /// Reads the same shape as JSON: an event's plan, or [`Self::to_json`]'s copy.
    pub fn from_json(value: &Json) -> Result<Self, PlanError> {
        const FILE: &str = "the plan";
        let place = Place { file: FILE.to_owned(), line: None, key: String::new() };
        let node = Node::from_json(value, 0).map_err(|fault| PlanError::Refused { place: Box::new(place), fault })?;
        check_size(FILE, value.to_string().len())?;
        Self::from_node(FILE, &node)
    }

    fn from_node(file: &str, node: &Node) -> Result<Self, PlanError> {
        Ok(Self { inner: Arc::new(read::read(&Cursor::new(file, node))?) })
    }

    /// The plan's name: 1 to 64 of a-z, 0-9 and `-`.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The copy that is stored with a run.
    pub fn to_json(&self) -> Json {
        self.inner.stored.clone()
    }

    /// What this user is to get.
    pub fn evaluate(&self, user: &User) -> Evaluation {
        self.inner.evaluate(user)
    }

    /// What of a user [`Self::evaluate`] and [`Self::company_names`] look at, its `id`, and which custom attributes it has
    /// of those in [`Self::reads_attributes`].
    pub fn keeps(&self) -> &Keep {
        &self.inner.keeps
    }

    /// The names that the plan gives companies for this user (`company_id` and name), whether they have them already or
    /// not: users who agree with a name keep others from changing it.
    pub fn company_names(&self, user: &User) -> Vec<(String, Json)> {
        self.inner.company_names(user)
    }

    /// What the plan writes, for display: `custom_attributes."has avatar"`, `company.name`.
    pub fn targets(&self) -> Vec<String> {
        self.inner.settings.iter().map(|setting| setting.shown.clone()).collect()
    }

    /// The custom attributes that expressions read and the plan does not itself set. If no user of a workspace has one of
    /// them, its name is probably misspelt.
    pub fn reads_attributes(&self) -> &[String] {
        &self.inner.reads_attributes
    }
}

fn check_size(file: &str, bytes: usize) -> Result<(), PlanError> {
    if bytes > PLAN_BYTES_MAX {
        return Err(PlanError::TooLarge { file: file.to_owned(), bytes });
    }
    Ok(())
}
