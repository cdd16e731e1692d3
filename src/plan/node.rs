//! The plan's text as a tree with line numbers, the same for TOML and JSON.

use std::ops::Range;

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Fault, Location, PlanError};

/// The greatest depth. A plan is four tables deep; a deeper tree is a mistake, and walking it would
/// need stack.
pub(super) const DEPTH_MAX: usize = 12;

/// A value of the plan and its line.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: Option<usize>,
    pub(super) data: Data,
}

/// The kinds of values.
#[derive(Clone, Debug)]
pub(super) enum Data {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Table(Vec<(String, Node)>),
    /// Only test cases have lists.
    List(Vec<Node>),
    Null,
    /// A value that no key of a plan accepts; its kind, for the message.
    Other(&'static str),
}

impl Node {
    pub(super) fn from_toml(file: &str, text: &str) -> Result<Self, PlanError> {
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|error| PlanError::NotRead {
            place: Box::new(Location {
                file: file.into(),
                line: error.span().map(|s| lines.at(s.start)),
                key: String::new(),
            }),
            format: "TOML",
            message: not_toml(text, error.message(), error.span()),
        })?;
        let data = lines.table(table.get_ref(), 0).map_err(|(line, fault)| PlanError::Refused {
            place: Box::new(Location { file: file.into(), line, key: String::new() }),
            fault,
        })?;
        Ok(Self { line: None, data })
    }

    pub(super) fn from_json(value: &Json, depth: usize) -> Result<Self, Fault> {
        if depth > DEPTH_MAX {
            return Err(Fault::TooDeep);
        }
        let data = match value {
            Json::Null => Data::Null,
            Json::Array(items) => {
                Data::List(items.iter().map(|item| Self::from_json(item, depth + 1)).collect::<Result<_, Fault>>()?)
            }
            Json::Bool(value) => Data::Bool(*value),
            Json::String(text) => Data::Text(text.clone()),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(int), _) => Data::Int(int),
                (None, Some(float)) => Data::Float(float),
                (None, None) => return Err(Fault::Number),
            },
            Json::Object(entries) => Data::Table(
                entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), Self::from_json(value, depth + 1)?)))
                    .collect::<Result<_, Fault>>()?,
            ),
        };
        Ok(Self { line: None, data })
    }

    /// Returns the stored copy. Called only for an accepted tree, so nothing is lost in `Other` and
    /// no float is infinite.
    pub(super) fn to_json(&self) -> Json {
        match &self.data {
            Data::Bool(value) => Json::from(*value),
            Data::Int(value) => Json::from(*value),
            Data::Float(value) => Json::from(*value),
            Data::Text(value) => Json::from(value.as_str()),
            Data::Table(entries) => entries.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
            Data::List(items) => items.iter().map(Self::to_json).collect(),
            Data::Null | Data::Other(_) => Json::Null,
        }
    }

    /// Returns the kind of value, for a message.
    pub(super) fn kind(&self) -> &'static str {
        match self.data {
            Data::Bool(_) => "true or false",
            Data::Int(_) | Data::Float(_) => "a number",
            Data::Text(_) => "a text",
            Data::Table(_) => "a table",
            Data::List(_) => "a list",
            Data::Null => "null",
            Data::Other(kind) => kind,
        }
    }
}

/// Returns the parser's message with a duplicate key, or with a hint for a header such as
/// `[set.x.has avatar]`.
fn not_toml(text: &str, message: &str, span: Option<Range<usize>>) -> String {
    const SHOWN_CHARS: usize = 60;
    let Some(span) = span else { return message.to_owned() };
    if message.contains("duplicate key") {
        let key: String = text.get(span).unwrap_or_default().chars().take(SHOWN_CHARS).collect();
        return format!("{message} `{}`: it is there twice", key.trim());
    }
    let before = text.get(..span.start).unwrap_or_default();
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].lines().next().unwrap_or_default().trim();
    let name = line.trim_start_matches('[').trim_end_matches(']');
    if line.starts_with('[') && name.contains(' ') && !name.contains(['"', '\'']) {
        let (parents, last) = name.rsplit_once('.').map_or(("", name), |(parents, last)| (parents, last));
        let header: String = format!("[{parents}.\"{last}\"]").chars().take(SHOWN_CHARS).collect();
        return format!("{message}: a name with a space is quoted, as {header}");
    }
    message.to_owned()
}

/// Converts byte offsets to lines, by the offset of each line's end.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.match_indices('\n').map(|(offset, _)| offset).collect())
    }

    fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|end| *end < offset) + 1
    }

    fn table(&self, table: &DeTable<'_>, depth: usize) -> Result<Data, (Option<usize>, Fault)> {
        let entries = table.iter().map(|(key, value)| {
            let line = self.at(key.span().start);
            Ok((key.get_ref().to_string(), self.node(value, line, depth + 1)?))
        });
        Ok(Data::Table(entries.collect::<Result<_, _>>()?))
    }

    fn node(
        &self,
        value: &Spanned<DeValue<'_>>,
        key_line: usize,
        depth: usize,
    ) -> Result<Node, (Option<usize>, Fault)> {
        let line = Some(key_line);
        if depth > DEPTH_MAX {
            return Err((line, Fault::TooDeep));
        }
        let data = match value.get_ref() {
            DeValue::String(text) => Data::Text(text.to_string()),
            DeValue::Boolean(value) => Data::Bool(*value),
            DeValue::Integer(int) => {
                Data::Int(i64::from_str_radix(int.as_str(), int.radix()).map_err(|_| (line, Fault::Number))?)
            }
            DeValue::Float(float) => match float.as_str().parse::<f64>() {
                Ok(float) if float.is_finite() => Data::Float(float),
                _ => return Err((line, Fault::Number)),
            },
            DeValue::Datetime(_) => Data::Other("a date (dates are Unix seconds here)"),
            DeValue::Array(items) => {
                let item = |item: &Spanned<DeValue<'_>>| self.node(item, self.at(item.span().start), depth + 1);
                Data::List(items.iter().map(item).collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => self.table(table, depth)?,
        };
        Ok(Node { line, data })
    }
}
