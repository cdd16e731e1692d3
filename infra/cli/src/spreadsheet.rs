//! Rows for a spreadsheet: CSV by RFC 4180.

use std::io::{self, Write};

use serde_json::Value;

use crate::output::plain;

/// The characters that begin a formula, also in their full width.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

/// Writes rows to standard output, or to `W`.
pub(crate) struct Spreadsheet<W: Write> {
    rows: csv::Writer<W>,
}

impl Spreadsheet<io::Stdout> {
    /// Writes the headings to standard output.
    pub(crate) fn begin(headings: &[&str]) -> io::Result<Self> {
        Self::of(io::stdout(), headings)
    }
}

impl<W: Write> Spreadsheet<W> {
    fn of(to: W, headings: &[&str]) -> io::Result<Self> {
        let mut rows = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(to);
        rows.write_record(headings)?;
        Ok(Self { rows })
    }

    /// Writes a row. Each cell comes from [`text`] or [`value`].
    pub(crate) fn row(&mut self, cells: &[String]) -> io::Result<()> {
        Ok(self.rows.write_record(cells)?)
    }

    /// Writes the rows that are buffered.
    pub(crate) fn end(mut self) -> io::Result<()> {
        self.rows.flush()
    }
}

/// Returns a text as a cell, on one line. A text that a spreadsheet would take for a formula begins with an
/// apostrophe, because texts come from end users: `=HYPERLINK(…)` would send other cells to a stranger.
pub(crate) fn text(text: &str) -> String {
    let shown = plain(text);
    if shown.starts_with(FORMULA) { format!("'{shown}") } else { shown }
}

/// Returns a value as a cell: a text without quotes, a number as it is, and nothing for null or no value.
pub(crate) fn value(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(string)) => text(string),
        // A number is no formula, although it may begin with a minus.
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn cell_is_no_formula() {
        for (from, cell) in [
            ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
            ("+1 555", "'+1 555"),
            ("-2+3", "'-2+3"),
            ("@SUM(1)", "'@SUM(1)"),
            ("＝1", "'＝1"),
            ("\t=1", "\\u0009=1"),
            ("\r=1", "\\u000d=1"),
            ("a\n=1", "a\\u000a=1"),
            ("1 = 1", "1 = 1"),
            ("Zoë", "Zoë"),
            ("", ""),
        ] {
            assert_eq!(text(from), cell, "{from:?}");
        }
    }

    #[test]
    fn value_is_a_cell_without_quotes() {
        for (from, cell) in [
            (None, ""),
            (Some(Value::Null), ""),
            (Some(json!("=1")), "'=1"),
            (Some(json!("-1")), "'-1"),
            (Some(json!(-1.5)), "-1.5"),
            (Some(json!(true)), "true"),
        ] {
            assert_eq!(value(from.as_ref()), cell, "{from:?}");
        }
    }

    #[test]
    fn rows_are_quoted_by_rfc_4180() {
        let mut written = Vec::new();
        let mut sheet = Spreadsheet::of(&mut written, &["user", "message"]).unwrap();
        sheet.row(&[text("1"), text("a, \"b\"")]).unwrap();
        sheet.row(&[text("2"), text("plain")]).unwrap();
        sheet.end().unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), "user,message\r\n1,\"a, \"\"b\"\"\"\r\n2,plain\r\n");
    }
}
