//! Why a plan is refused: the file, the line where it is known, what is wrong, and what to write instead.

use std::fmt;

use thiserror::Error;

use super::PLAN_BYTES_MAX;
use super::paths::nearest;

/// A plan that was not accepted. Nothing has been started when this is returned.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The text is longer than any sensible plan.
    #[error("{file}: the plan is {bytes} bytes, and at most {PLAN_BYTES_MAX} are accepted: shorten its tables")]
    TooLarge {
        /// The file, or what stands for it.
        file: String,
        /// How long it is.
        bytes: usize,
    },
    /// The text is not TOML.
    #[error("{place}: this is not TOML: {message}")]
    NotToml {
        /// Where reading stopped.
        place: Box<Place>,
        /// What the TOML parser expected.
        message: String,
    },
    /// The text is well formed and means nothing that may be run.
    #[error("{place}: {fault}")]
    Refused {
        /// Where.
        place: Box<Place>,
        /// What is wrong.
        fault: Fault,
    },
}

/// Where in a plan something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or what stands for it.
    pub file: String,
    /// The line, from 1; a plan that came as JSON has none.
    pub line: Option<usize>,
    /// The key, such as `set.custom_attributes."has avatar".value`; empty for the plan itself.
    pub key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        Ok(())
    }
}

/// The known name that an unknown one was probably meant to be, or else the names that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    name: Option<String>,
    known: Vec<String>,
}

impl Nearest {
    /// More names than these are not listed.
    const KNOWN_MAX: usize = 40;

    pub(super) fn of<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone) -> Self {
        let near = nearest(name, known.clone()).map(str::to_owned);
        let known = if near.is_some() { Vec::new() } else { known.take(Self::KNOWN_MAX).map(str::to_owned).collect() };
        Self { name: near, known }
    }

    /// This name, or none.
    pub(super) fn only(name: Option<String>) -> Self {
        Self { name, known: Vec::new() }
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, self.known.len()) {
            (Some(name), _) => write!(f, "; the nearest is `{name}`"),
            (None, 0) => Ok(()),
            (None, Self::KNOWN_MAX) => write!(f, "; there are {} and others", self.known.join(", ")),
            (None, 1) => write!(f, "; there is {}", self.known[0]),
            (None, _) => write!(f, "; there are {}", self.known.join(", ")),
        }
    }
}

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum Fault {
    #[error("there is no key `{key}` here{nearest}")]
    UnknownKey { key: String, nearest: Nearest },
    #[error("`{key}` is missing: write {write}")]
    Missing { key: &'static str, write: &'static str },
    #[error("this is {found}: write {write}")]
    WrongType { found: &'static str, write: &'static str },
    #[error("the name `{name}` does not fit: write 1 to 64 of a-z, 0-9 and -")]
    Name { name: String },
    #[error("{count} {what} are too many: at most {max}")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("the nesting is too deep for a plan: write it flatter")]
    TooDeep,
    #[error("Intercom takes no attribute of this name: {why}")]
    AttributeName { why: &'static str },
    #[error(
        "`{field}` is not a field that a plan may write: write one of {allowed}, or a custom attribute as set.custom_attributes.\"{field}\"{nearest}"
    )]
    Field { field: String, allowed: String, nearest: Nearest },
    #[error("this target takes the type {needed}: write type = \"{needed}\"")]
    TargetType { needed: &'static str },
    #[error("there is no type `{name}`: write bool, int, float, string or date{nearest}")]
    UnknownType { name: String, nearest: Nearest },
    #[error("this target cannot be cleared: write otherwise = \"keep\", \"error\" or a value")]
    NotClearable,
    #[error(
        "`{text}` looks like a misspelt `{word}`: write otherwise = \"{word}\", or {{ value = \"{text}\" }} for the text itself"
    )]
    AlmostWord { text: String, word: &'static str },
    #[error("this is not a value of the target's type: {why}")]
    Otherwise { why: &'static str },
    #[error("a table's values are scalars, and this is a table: quote the key, as \"{quoted}\" = …")]
    NestedKey { quoted: String },
    #[error("`{name}` cannot be a table's name: write letters, digits and _, not a word of the language, not `user`")]
    TableName { name: String },
    #[error("this number cannot be kept exactly: write one between -2^53 and 2^53")]
    Number,
    #[error("the expression cannot be read: {message}")]
    Syntax { message: String },
    #[error("there is no `{name}` in a plan: an expression reads user.… or one of the plan's tables{nearest}")]
    UnknownName { name: String, nearest: Nearest },
    #[error("a user has no `{path}`{nearest}; a custom attribute is read as user.custom_attributes.NAME")]
    UnknownPath { path: String, nearest: Nearest },
    #[error(
        "a plan cannot read `user.updated_at`: each write of a run changes it, so that every run would change the user \
         again. Read user.last_request_at, user.signed_up_at or an attribute of your own"
    )]
    ChangedByWrites,
    #[error("the table `{table}` has no key `{key}`{nearest}")]
    UnknownTableKey { table: String, key: String, nearest: Nearest },
    #[error("there is no filter `{name}`{nearest}")]
    UnknownFilter { name: String, nearest: Nearest },
    #[error("there is no test `{name}`{nearest}")]
    UnknownTest { name: String, nearest: Nearest },
    #[error("{what} cannot be used in a plan: {write}")]
    NotInPlans { what: &'static str, write: &'static str },
    #[error("`{name}` takes {fewest} to {most} arguments, and this has {count}")]
    ArgumentCount { name: String, fewest: usize, most: usize, count: usize },
    #[error("`{name}` does not take these arguments: {write}")]
    Arguments { name: String, write: &'static str },
}
