//! Users' errors by code, with an example each.

use std::collections::{BTreeMap, BTreeSet};

use intercom_bulk::ledger::ErrorRow;
use serde::Serialize;

use crate::output::count;

/// Maximum number of shown error kinds, most frequent first.
const KINDS_SHOWN: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Kind {
    pub(crate) users: usize,
    /// One of them, by id.
    pub(crate) example: String,
    /// The message of that user's error, without personal data.
    pub(crate) message: String,
}

/// Counts errors by code. A user with errors in two generations counts once.
pub(crate) fn by_code(rows: &[ErrorRow]) -> BTreeMap<String, Kind> {
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut kinds = BTreeMap::new();
    for row in rows {
        users.entry(&row.code).or_default().insert(&row.user);
        let first = || Kind { users: 0, example: row.user.clone(), message: row.message.clone() };
        kinds.entry(row.code.clone()).or_insert_with(first).users = users[row.code.as_str()].len();
    }
    kinds
}

/// Returns lines of errors by code, most frequent first, with an example each.
pub(crate) fn kinds(by_code: &BTreeMap<String, Kind>) -> Vec<String> {
    let mut kinds: Vec<_> = by_code.iter().collect();
    kinds.sort_by_key(|(_, kind)| std::cmp::Reverse(kind.users));
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
}
