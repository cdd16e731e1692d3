//! Families of Intercom's API: only a family's own module knows its paths, codes and versions, and
//! the layers around it do not depend on the scroll of API 1.x.

use crate::source::{code, files, is_test, none, read};

/// The module of API 1.x.
const V1: &str = "src/intercom/v1/";
/// Pieces of paths, parameters and codes of API 1.x.
const OF_V1: [&str; 7] =
    ["\"/users", "\"/bulk/", "\"/jobs", "\"/counts", "/users/scroll", "scroll_param", "scroll_exists"];
/// The module of API 2.x, and that of the bulk jobs of Preview.
const V2: [&str; 2] = ["src/intercom/v2/", "src/intercom/preview/"];
/// Pieces of paths and parameters of API 2.x.
const OF_V2: [&str; 3] = ["/contacts", "starting_after", "total_count"];
/// The one file that knows versions.
const VERSIONS: &str = "src/domain/api/version.rs";
/// The beginnings of versions.
const VERSION: [&str; 4] = ["\"1.0", "\"1.1", "\"1.4", "\"2."];
/// The one path that all families share, and its file.
const SHARED_PATH: (&str, &str) = ("\"/me\"", "src/intercom/workspaces.rs");

/// Folders whose names and comments do not mention the scroll.
const WITHOUT_SCROLL: [&str; 6] =
    ["src/domain", "src/ledger", "src/rate_limit", "src/plan", "src/control", "infra/cli/src"];
/// Uses of the word that name the step, its function, or an option of the simulator.
const OTHER_SCROLLS: [&str; 6] = [
    "steps/scroll",
    "functions scroll, submit and check",
    "engine.scroll(",
    "settings.scroll_timeout()",
    "scroll_ttl_s",
    "Seconds after which an unused scroll expires",
];
/// The file that stores the place of an exclusive reading.
const PLACE: &str = "src/domain/run/position.rs";

#[test]
fn only_its_module_knows_a_family() {
    let mut offences = Vec::new();
    for path in ["src", "infra/cli/src", "infra/emulator/src", "infra/function", "functions"]
        .into_iter()
        .flat_map(|folder| files(folder, "rs"))
    {
        let of_v1: &[&str] = if path.starts_with(V1) { &[] } else { &OF_V1 };
        let of_v2: &[&str] = if V2.iter().any(|folder| path.starts_with(folder)) { &[] } else { &OF_V2 };
        let versions: &[&str] = if path == VERSIONS { &[] } else { &VERSION };
        for (number, line) in code(&path) {
            let found = [of_v1, of_v2, versions].concat().into_iter().filter(|piece| line.contains(piece));
            offences.extend(found.map(|piece| format!("{path}:{number}: {piece}")));
            if line.contains(SHARED_PATH.0) && path != SHARED_PATH.1 {
                offences.push(format!("{path}:{number}: {}", SHARED_PATH.0));
            }
        }
    }
    none("paths and codes of a family stand in its module, and versions in one file", &offences);
}

/// Returns the lines of a source file before its tests, without the content of string literals.
fn without_strings(text: &str) -> String {
    let text = text.split("\n#[cfg(test)]").next().unwrap_or_default();
    let (mut kept, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let (before, from) = rest.split_at(at);
        kept.push_str(before);
        let len = match from {
            _ if from.starts_with("//") => {
                let len = from.find('\n').unwrap_or(from.len());
                kept.push_str(&from[..len]);
                len
            }
            _ if from.starts_with("'\"'") => 3,
            _ if from.starts_with('"') => {
                let hashes = before.len() - before.trim_end_matches('#').len();
                let raw = before.trim_end_matches('#').ends_with('r');
                let len = if raw { raw_string(from, hashes) } else { string(from) };
                kept.extend(from[..len].chars().filter(|c| *c == '\n'));
                len
            }
            _ => 1,
        };
        rest = &from[len..];
    }
    kept + rest
}

/// Returns the length of a string literal that begins with its quote.
fn string(from: &str) -> usize {
    let mut escaped = false;
    let end = from.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(from.len(), |(at, _)| at + 1)
}

fn raw_string(from: &str, hashes: usize) -> usize {
    let end = format!("\"{}", "#".repeat(hashes));
    from[1..].find(&end).map_or(from.len(), |at| at + 1 + end.len())
}

#[test]
fn strings_are_left_out_and_comments_kept() {
    let text = "let a = \"x \\\" y\n z\"; // \"kept\" c\nlet b = r#\"p\"q\"#; '\"' d\n#[cfg(test)]\nmod tests;";
    assert_eq!(without_strings(text), "let a = \n; // \"kept\" c\nlet b = r#;  d");
}

#[test]
fn the_scroll_is_not_named_outside_its_place() {
    let mut offences = Vec::new();
    for path in WITHOUT_SCROLL.into_iter().flat_map(|folder| files(folder, "rs")) {
        if path == PLACE || is_test(&path) {
            continue;
        }
        for (index, line) in without_strings(&read(&path)).lines().enumerate() {
            let line = OTHER_SCROLLS.into_iter().fold(line.to_owned(), |line, known| line.replace(known, ""));
            if line.to_ascii_lowercase().contains("scroll") {
                offences.push(format!("{path}:{}: {}", index + 1, line.trim()));
            }
        }
    }
    none("domain, ledger, rate_limit, plan, control and the command speak of exclusive reading", &offences);
}
