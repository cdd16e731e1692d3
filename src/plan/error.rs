//! Errors of a plan: the file, the line if known, the mistake, and what to write instead.

use std::fmt;

use thiserror::Error;

use super::PLAN_BYTES_MAX;
use super::hints::REFERENCE;
use super::nearest::nearest;

/// A plan that is refused. No run has started.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum PlanError {
    #[error("{file}: the plan is {bytes} bytes, and at most {PLAN_BYTES_MAX} are accepted: shorten its tables")]
    TooLarge { file: String, bytes: usize },
    #[error("{place}: this is not {format}: {message}")]
    NotRead { place: Box<Location>, format: &'static str, message: String },
    #[error("{place}: {fault}{}", reference(fault))]
    Refused { place: Box<Location>, fault: Fault },
    /// Several mistakes of one plan, ordered by line.
    #[error("{}", lines(.0))]
    Several(Vec<PlanError>),
}

impl PlanError {
    /// Combines the errors into one; `None` if there are none.
    pub(super) fn of(mut errors: Vec<Self>) -> Option<Self> {
        errors.sort_by_key(Self::line);
        if errors.len() > 1 { Some(Self::Several(errors)) } else { errors.pop() }
    }

    fn line(&self) -> Option<usize> {
        match self {
            Self::Refused { place, .. } | Self::NotRead { place, .. } => place.line,
            Self::TooLarge { .. } | Self::Several(_) => None,
        }
    }
}

/// Returns a link to the reference if it helps with this fault.
fn reference(fault: &Fault) -> String {
    let elsewhere = matches!(
        fault,
        Fault::Name { .. }
            | Fault::AttributeName { .. }
            | Fault::Number
            | Fault::TooDeep
            | Fault::UnknownTableKey { .. }
    );
    if elsewhere { String::new() } else { format!(" (reference: {REFERENCE})") }
}

/// Formats several errors, one per line, and the link to the reference once.
fn lines(errors: &[PlanError]) -> String {
    const SHOWN_MAX: usize = 10;
    const CHARS_MAX: usize = 500;
    let mut lines: Vec<String> = Vec::new();
    for error in errors.iter().take(SHOWN_MAX) {
        let line = match error {
            PlanError::Refused { place, fault } => format!("{place}: {fault}"),
            other => other.to_string(),
        };
        lines.push(line.chars().take(CHARS_MAX).collect());
    }
    if errors.len() > SHOWN_MAX {
        lines.push(format!("and {} more mistakes", errors.len() - SHOWN_MAX));
    }
    lines.push(format!("reference: {REFERENCE}"));
    lines.join("\n")
}

/// A location in a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file, or a name in place of one.
    pub file: String,
    /// The line, from 1; `None` if the plan is JSON without lines.
    pub line: Option<usize>,
    /// The key, such as `set.custom_attributes."has avatar".value`; empty for the plan itself.
    pub key: String,
}

impl fmt::Display for Location {
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

/// A suggestion in place of an unknown name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// The known name that was probably meant.
    Nearest(String),
    /// The language's replacement for it.
    Write(&'static str),
    /// The known names; none is near.
    OneOf(Vec<String>),
    /// No suggestion.
    Nothing,
}

impl Instead {
    /// The most names that are listed.
    const LISTED_MAX: usize = 50;

    pub(super) fn of<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone) -> Self {
        match nearest(name, known.clone()) {
            Some(near) => Self::Nearest(near.to_owned()),
            None => Self::OneOf(known.map(str::to_owned).collect()),
        }
    }

    /// Suggests this name, if there is one.
    pub(super) fn nearest(name: Option<impl Into<String>>) -> Self {
        name.map_or(Self::Nothing, |name| Self::Nearest(name.into()))
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nearest(name) => write!(f, "; the nearest is `{name}`"),
            Self::Write(text) => write!(f, ": {text}"),
            Self::OneOf(known) if known.len() > Self::LISTED_MAX => {
                write!(f, "; write one of {} and others", known[..Self::LISTED_MAX].join(", "))
            }
            Self::OneOf(known) if known.len() > 1 => write!(f, "; write one of {}", known.join(", ")),
            Self::OneOf(known) if known.len() == 1 => write!(f, "; write {}", known[0]),
            Self::OneOf(_) | Self::Nothing => Ok(()),
        }
    }
}

/// A mistake in a plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum Fault {
    #[error("there is no key `{key}` here{instead}")]
    UnknownKey { key: String, instead: Instead },
    #[error("the key `{key}` is there twice: remove one of them")]
    Twice { key: String },
    #[error("`{key}` is missing: write {write}")]
    Missing { key: &'static str, write: &'static str },
    #[error("this is {found}: write {write}")]
    WrongType { found: &'static str, write: &'static str },
    #[error("the name `{name}` does not fit: write 1 to 64 of a-z, 0-9 and -")]
    Name { name: String },
    #[error("there are no contacts of the kind `{word}`{instead}")]
    UnknownContacts { word: String, instead: Instead },
    #[error("there is no {what} `{word}`{instead}")]
    UnknownWord { what: &'static str, word: String, instead: Instead },
    #[error("{count} {what} are too many: at most {max}")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("the nesting is too deep for a plan: write it flatter")]
    TooDeep,
    #[error("Intercom takes no attribute of this name: {why}")]
    AttributeName { why: &'static str },
    #[error(
        "`{field}` is not a field that a plan may write: write one of {allowed}, or a custom attribute as set.custom_attributes.\"{field}\"{instead}"
    )]
    Field { field: String, allowed: String, instead: Instead },
    #[error("this target takes the type {needed}: write type = \"{needed}\"")]
    TargetType { needed: &'static str },
    #[error("there is no type `{name}`{instead}")]
    UnknownType { name: String, instead: Instead },
    #[error("this target cannot be cleared: write otherwise = \"keep\", \"error\" or a value")]
    NotClearable,
    #[error(
        "`{text}` looks like a misspelt `{word}`: write otherwise = \"{word}\", or {{ value = \"{text}\" }} for the text itself"
    )]
    AlmostWord { text: String, word: &'static str },
    #[error("this is neither a word of `otherwise` nor a value of the target's type: write {words} or {value}")]
    Otherwise { words: &'static str, value: &'static str },
    #[error("a table's values are scalars, and this is a table: quote the key, as \"{quoted}\" = …")]
    NestedKey { quoted: String },
    #[error("`{name}` cannot be a table's name: write letters, digits and _, not a word of the language, not `user`")]
    TableName { name: String },
    #[error("this number cannot be kept exactly: write one between -2^53 and 2^53")]
    Number,
    #[error("the expression cannot be read: {message}")]
    Syntax { message: String },
    #[error(
        "the tables have {bytes} bytes, and at most {max} fit beside a run: divide the rows among several plans. A user \
         whose key is in no table of a plan keeps its value"
    )]
    TablesTooLarge { bytes: usize, max: usize },
    #[error("a user has a field `{name}`: write user.{name}")]
    FieldWithoutUser { name: String },
    #[error("`-` is an operator: quote a name that has one, as user.custom_attributes['{name}']")]
    Hyphen { name: String },
    #[error("there is no `{name}` in a plan{instead}")]
    UnknownName { name: String, instead: Instead },
    #[error("a user has no `{path}`{instead}; a custom attribute is read as user.custom_attributes.NAME")]
    UnknownPath { path: String, instead: Instead },
    #[error(
        "a plan cannot read `user.updated_at`: each write of a run changes it, so that every run would change the user \
         again. Read user.last_request_at, user.signed_up_at or an attribute of your own"
    )]
    ChangedByWrites,
    #[error("the table `{table}` has no key `{key}`{instead}")]
    UnknownTableKey { table: String, key: String, instead: Instead },
    #[error("there is no filter `{name}`{instead}")]
    UnknownFilter { name: String, instead: Instead },
    #[error("there is no test `{name}`{instead}")]
    UnknownTest { name: String, instead: Instead },
    #[error("{what} cannot be used in a plan: {write}")]
    NotInPlans { what: &'static str, write: &'static str },
    #[error("`{name}` takes {fewest} to {most} arguments, and this has {count}")]
    ArgumentCount { name: String, fewest: usize, most: usize, count: usize },
    #[error("`{name}` does not take these arguments: {write}")]
    Arguments { name: String, write: &'static str },
}
