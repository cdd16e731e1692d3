//! Sizes, names, and words that finished code must not contain.

use crate::source::{files, none, read};

const LINES_MAX: usize = 300;
const MAIN_LINES_MAX: usize = 40;
/// Longer files, with reasons. An entry that is no longer needed fails.
const LONGER: [(&str, &str); 0] = [];

/// Names that do not describe the content.
const EMPTY_NAMES: [&str; 8] = ["util", "utils", "helper", "helpers", "common", "manager", "managers", "misc"];
/// Relative clauses that must not begin a comment, and words that name no actor or are out of use.
const CLAUSES: [&str; 4] = ["What ", "Who ", "Whoever ", "Whose "];
const VAGUE_WORDS: [&str; 4] = ["nobody", "somebody", "whoever", "anew"];
/// Unfinished work. The words are split, because this file is searched, too.
const UNFINISHED: [&str; 4] =
    [concat!("todo", "!"), concat!("unimplemented", "!"), concat!("#[", "ignore"), concat!("FIX", "ME")];

#[test]
fn files_have_at_most_300_lines() {
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
fn mains_are_short() {
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
fn module_names_describe_their_content() {
    let empty = |path: &String| path.split('/').any(|part| EMPTY_NAMES.contains(&part.trim_end_matches(".rs")));
    let offences: Vec<String> = files("", "rs").into_iter().filter(empty).collect();
    none("a module is named after what it holds", &offences);
}

#[test]
fn unfinished_code_is_absent() {
    let mut offences = Vec::new();
    for path in files("", "rs") {
        for (index, line) in read(&path).lines().enumerate() {
            let found = UNFINISHED.into_iter().filter(|word| line.contains(word));
            offences.extend(found.map(|word| format!("{path}:{}: {word}", index + 1)));
        }
    }
    none("finished code has none of these", &offences);
}

/// Returns the text of a comment, which may stand after code.
fn comment(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let text = if line.starts_with("//") { line } else { line.split_once(" // ")?.1 };
    Some(text.trim_start_matches(['/', '!']).trim_start())
}

fn is_unclear(comment: &str) -> bool {
    let mut words = comment.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    CLAUSES.iter().any(|clause| comment.starts_with(clause))
        || words.any(|word| VAGUE_WORDS.iter().any(|vague| word.eq_ignore_ascii_case(vague)))
}

#[test]
fn comments_name_their_subject() {
    let mut offences = Vec::new();
    for path in ["src", "infra", "functions", "tests", "benches"].into_iter().flat_map(|folder| files(folder, "rs")) {
        let text = read(&path);
        let unclear = |(_, line): &(usize, &str)| comment(line).is_some_and(is_unclear);
        let found = text.lines().enumerate().filter(unclear);
        offences.extend(found.map(|(index, line)| format!("{path}:{}: {}", index + 1, line.trim())));
    }
    none("a comment begins with its subject and names its actor", &offences);
}
