//! Sizes, names, and words that have no place in finished code.

use crate::source::{files, none, read};

const LINES_MAX: usize = 300;
const MAIN_LINES_MAX: usize = 40;
/// Files that are longer, and why. An entry that is no longer needed fails.
const LONGER: [(&str, &str); 0] = [];

/// Names that say nothing of what is inside.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"];
/// Unfinished work. Written in pieces, because this file is searched too.
const UNFINISHED: [&str; 4] =
    [concat!("todo", "!"), concat!("unimplemented", "!"), concat!("#[", "ignore"), concat!("FIX", "ME")];

#[test]
fn no_file_is_too_long_to_read() {
    let mut offences = Vec::new();
    for path in files("", "rs") {
        let lines = read(&path).lines().count();
        let excused = LONGER.iter().any(|(longer, reason)| *longer == path && !reason.is_empty());
        if (lines > LINES_MAX) != excused {
            offences.push(format!("{path} has {lines} lines (excused: {excused})"));
        }
    }
    none("files have at most 300 lines, or an entry with a reason", &offences);
}

#[test]
fn a_main_wires_and_nothing_else() {
    let mains = files("functions", "rs").into_iter().chain(files("infra", "rs"));
    let mut seen = 0;
    for path in mains.filter(|path| path.ends_with("/src/main.rs")) {
        let lines = read(&path).lines().count();
        assert!(lines <= MAIN_LINES_MAX, "{path} has {lines} lines, more than {MAIN_LINES_MAX}");
        seen += 1;
    }
    assert!(seen >= 3, "the functions' mains were not found");
}

#[test]
fn names_say_what_is_inside() {
    let empty = |path: &String| path.split('/').any(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs")));
    let offences: Vec<String> = files("", "rs").into_iter().filter(empty).collect();
    none("a module is named after what it holds", &offences);
}

#[test]
fn nothing_is_left_for_later() {
    let mut offences = Vec::new();
    for path in files("", "rs") {
        for (index, line) in read(&path).lines().enumerate() {
            let found = UNFINISHED.into_iter().filter(|word| line.contains(word));
            offences.extend(found.map(|word| format!("{path}:{}: {word}", index + 1)));
        }
    }
    none("finished code has none of these", &offences);
}
