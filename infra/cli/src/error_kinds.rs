//! Users' errors by code, with an example each.

use std::collections::{BTreeMap, BTreeSet};

use intercom_bulk::domain::run::Run;
use intercom_bulk::ledger::{ErrorRow, Ledger, LedgerError};
use serde::Serialize;

use crate::output::count;

/// Maximum number of shown error kinds, most frequent first.
const KINDS_SHOWN: usize = 10;

/// Maximum number of codes that are counted apart. Intercom chooses them, and they are held in memory.
const CODES_MAX: usize = 500;
/// The code that stands for all further ones.
const OTHER_CODES: &str = "other_codes";

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Kind {
    pub(crate) users: usize,
    /// One of them, by id.
    pub(crate) example: String,
    /// The message of that user's error, without personal data.
    pub(crate) message: String,
}

/// Counts errors by code. A user with errors in two generations counts once.
#[derive(Debug, Default)]
struct Kinds {
    by_code: BTreeMap<String, Kind>,
    /// The user of the last row, and its codes. Rows of one user are adjacent.
    user: String,
    codes: BTreeSet<String>,
}

impl Kinds {
    fn add(&mut self, row: ErrorRow) {
        if row.user != self.user {
            self.user.clone_from(&row.user);
            self.codes.clear();
        }
        let is_apart = self.by_code.len() < CODES_MAX || self.by_code.contains_key(&row.code);
        let code = if is_apart { row.code } else { OTHER_CODES.to_owned() };
        if self.codes.insert(code.clone()) {
            let first = Kind { users: 0, example: row.user, message: row.message };
            self.by_code.entry(code).or_insert(first).users += 1;
        }
    }
}

/// Reads the errors of a run and counts them by code. Memory does not grow with their number.
pub(crate) async fn read(ledger: &Ledger, run: &Run) -> Result<BTreeMap<String, Kind>, LedgerError> {
    let mut kinds = Kinds::default();
    ledger
        .each_error(run, |row| {
            kinds.add(row);
            true
        })
        .await?;
    Ok(kinds.by_code)
}

/// Counts errors by code.
#[cfg(test)]
pub(crate) fn by_code(rows: &[ErrorRow]) -> BTreeMap<String, Kind> {
    let mut kinds = Kinds::default();
    for row in rows {
        kinds.add(row.clone());
    }
    kinds.by_code
}

/// Returns the kinds of errors, most frequent first.
pub(crate) fn by_users(by_code: &BTreeMap<String, Kind>) -> Vec<(&String, &Kind)> {
    let mut kinds: Vec<_> = by_code.iter().collect();
    kinds.sort_by_key(|(_, kind)| std::cmp::Reverse(kind.users));
    kinds
}

/// Returns lines of errors by code, most frequent first, with an example each.
pub(crate) fn kinds(by_code: &BTreeMap<String, Kind>) -> Vec<String> {
    let kinds = by_users(by_code);
    let hidden = kinds.len().saturating_sub(KINDS_SHOWN);
    let line = |(code, kind): (&String, &Kind)| {
        let users = count(kind.users as u64, "user");
        format!("    {users} {code}, for example {}: {}", kind.example, kind.message)
    };
    let mut lines: Vec<String> = kinds.into_iter().take(KINDS_SHOWN).map(line).collect();
    lines.extend((hidden > 0).then(|| format!("    … and {}", count(hidden as u64, "more code"))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(user: &str, code: &str, at: &str) -> ErrorRow {
        ErrorRow {
            user: user.to_owned(),
            code: code.to_owned(),
            message: "must be a number".to_owned(),
            at: at.to_owned(),
            generation: 1,
        }
    }

    #[test]
    fn errors_are_counted_by_code_with_an_example() {
        let rows =
            [row("1", "type", "page 1"), row("1", "type", "page 2"), row("2", "type", "page 1"), row("3", "x", "")];
        let by_code = by_code(&rows);
        assert_eq!((by_code["type"].users, by_code["x"].users, by_code["x"].example.as_str()), (2, 1, "3"));
        let lines =
            ["    2 users type, for example 1: must be a number", "    1 user x, for example 3: must be a number"];
        assert_eq!(kinds(&by_code), lines);
    }

    #[test]
    fn further_codes_are_counted_together() {
        let rows: Vec<ErrorRow> = (0..CODES_MAX + 3).map(|n| row(&format!("{n:04}"), &format!("{n:04}"), "")).collect();
        let by_code = by_code(&rows);
        assert_eq!((by_code.len(), by_code[OTHER_CODES].users), (CODES_MAX + 1, 3));
        assert_eq!(by_users(&by_code)[0].0, OTHER_CODES);
    }
}
