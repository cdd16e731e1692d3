//! Tables of the documentation that repeat the code: states of a run, keys of the ledger.

use std::collections::BTreeSet;

use intercom_bulk::domain::run::State;
use strum::VariantArray;

use crate::source::{code, files, none, read};

/// The rows of the Markdown table with this heading line, each as its cells.
fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let table = text.lines().skip_while(|line| !line.contains(heading)).skip(2);
    let lines = table.map(|line| line.trim_start_matches("//!").trim()).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn the_table_of_states_is_the_code() {
    let rows = rows(&read("ARCHITECTURE.md"), "| from | to | written by |");
    assert!(!rows.is_empty());
    let mut documented = BTreeSet::new();
    for row in &rows {
        for from in row[0].split(", ").filter(|from| *from != "–") {
            documented.extend(row[1].split(", ").map(|to| (from.to_owned(), to.to_owned())));
        }
    }
    // A new generation leaves the state as it is.
    documented.retain(|(from, to)| from != to);
    let pairs = State::VARIANTS.iter().flat_map(|&from| State::VARIANTS.iter().map(move |&to| (from, to)));
    let allowed = pairs.filter(|(from, to)| from.may_become(*to)).map(|(from, to)| (from.to_string(), to.to_string()));
    assert_eq!(documented, allowed.collect::<BTreeSet<_>>());
}

/// The words in capitals at the start of a line's string literals, up to `#` or the literal's end.
fn keys(line: &str) -> impl Iterator<Item = String> {
    line.split('"').skip(1).step_by(2).filter_map(|literal| {
        let word: String = literal.chars().take_while(char::is_ascii_uppercase).collect();
        let rest = &literal[word.len()..];
        (word.len() > 2 && (rest.is_empty() || rest.starts_with('#'))).then_some(word)
    })
}

#[test]
fn the_table_of_keys_names_each_kind_of_item() {
    /// A value of the index of open jobs, which is no key of an item.
    const NO_KEYS: [&str; 1] = ["OPEN"];
    let rows = rows(&read("src/ledger/mod.rs"), "| key | item |");
    let documented: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    let mut missing = BTreeSet::new();
    let mut found = BTreeSet::new();
    for path in files("src/ledger", "rs") {
        for (number, line) in code(&path) {
            for word in keys(&line).filter(|word| !NO_KEYS.contains(&word.as_str())) {
                if !documented.iter().any(|keys| keys.contains(&word)) {
                    missing.insert(format!("{path}:{number}: {word}"));
                }
                found.insert(word);
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    none("src/ledger/mod.rs lists each kind of item", &missing.into_iter().collect::<Vec<_>>());
}
