//! A JSON plan as a tree with line numbers, which `serde_json`'s own values do not have.

use std::collections::BTreeSet;

use serde_json::{Number, Value as Json};

use super::error::{Fault, Location, PlanError};
use super::node::{DEPTH_MAX, Data, Node};

/// Reads a document. `serde_json` checks the syntax; then a plain walk finds the lines.
pub(super) fn read(file: &str, text: &str) -> Result<Node, PlanError> {
    let place = |line| Box::new(Location { file: file.to_owned(), line, key: String::new() });
    if let Err(error) = serde_json::from_str::<Json>(text) {
        let message = error.to_string();
        // The location precedes the message, so drop the line that `serde_json` appends, and keep
        // the column.
        let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
        let message = format!("{message} (column {})", error.column());
        return Err(PlanError::NotRead { place: place(Some(error.line())), format: "JSON", message });
    }
    let mut walk = Walk { text, at: 0, line: 1 };
    walk.value(0).map_err(|(line, fault)| PlanError::Refused { place: place(Some(line)), fault })
}

/// A walk through a text that is valid JSON.
struct Walk<'t> {
    text: &'t str,
    at: usize,
    line: usize,
}

impl<'t> Walk<'t> {
    /// Returns the next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            if !byte.is_ascii_whitespace() {
                return Some(byte);
            }
            self.line += usize::from(byte == b'\n');
            self.at += 1;
        }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Returns a text with its quotes.
    fn quoted(&mut self) -> &'t str {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                break;
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self, depth: usize) -> Result<Node, (usize, Fault)> {
        if depth > DEPTH_MAX {
            return Err((self.line, Fault::TooDeep));
        }
        let first = self.peek();
        let line = self.line;
        let data = match first {
            Some(b'{') => self.table(depth)?,
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                while !self.skip(b']') && self.peek().is_some() {
                    items.push(self.value(depth + 1)?);
                    self.skip(b',');
                }
                Data::List(items)
            }
            Some(b'"') => Data::Text(text(self.quoted())),
            _ => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ',' | ']' | '}')).unwrap_or(rest.len());
                self.at += end.max(1);
                match rest.get(..end).unwrap_or_default() {
                    "null" => Data::Null,
                    "true" => Data::Bool(true),
                    "false" => Data::Bool(false),
                    number => self::number(number).ok_or((line, Fault::Number))?,
                }
            }
        };
        Ok(Node { line: Some(line), data })
    }

    fn table(&mut self, depth: usize) -> Result<Data, (usize, Fault)> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        let mut known = BTreeSet::new();
        self.at += 1;
        while !self.skip(b'}') && self.peek().is_some() {
            let line = self.line;
            let key = text(self.quoted());
            if !known.insert(key.clone()) {
                return Err((line, Fault::Twice { key }));
            }
            self.skip(b':');
            let node = self.value(depth + 1)?;
            entries.push((key, Node { line: Some(line), ..node }));
            self.skip(b',');
        }
        Ok(Data::Table(entries))
    }
}

fn text(quoted: &str) -> String {
    serde_json::from_str(quoted).unwrap_or_default()
}

fn number(text: &str) -> Option<Data> {
    let number: Number = serde_json::from_str(text).ok()?;
    number.as_i64().map(Data::Int).or_else(|| number.as_f64().map(Data::Float))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_its_values_and_lines() {
        let text = "{\n \"a\": {\"b\": [1, {\"c\": \"]\"}],\n  \"d\\n\": \"x\\\"y\"},\n \"e\": -1.5, \"f\":\n true, \"g\": null}";
        let node = read("p.json", text).unwrap();
        let Data::Table(entries) = &node.data else { panic!() };
        let lines: Vec<_> = entries.iter().map(|(key, node)| (key.as_str(), node.line)).collect();
        assert_eq!(lines, [("a", Some(2)), ("e", Some(4)), ("f", Some(4)), ("g", Some(5))]);
        let value: Json = serde_json::from_str(text).unwrap();
        let mut expected = Node::from_json(&value, 0).unwrap().to_json();
        assert_eq!(node.to_json(), expected.take());
    }
}
