//! The project's files, and the code of a source file that the rules apply to.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders without source of this project.
const FOREIGN: [&str; 2] = ["target", "node_modules"];

/// Returns the project's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns a file's text, by its path from the root.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns all files in a folder with this extension, by sorted paths from the root. Skips hidden
/// folders.
pub(crate) fn files(folder: &str, extension: &str) -> Vec<String> {
    let mut found = Vec::new();
    collect(&root().join(folder), extension, &mut found);
    found.sort();
    found
}

fn collect(folder: &Path, extension: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !name.starts_with('.') && !FOREIGN.contains(&name.as_str()) {
                collect(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path.strip_prefix(root()).unwrap().to_string_lossy().into_owned());
        }
    }
}

/// Returns whether a source file contains only tests.
pub(crate) fn is_test(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "examples"))
}

/// Returns the lines of a source file outside its tests and comments, with their numbers.
pub(crate) fn code(path: &str) -> Vec<(usize, String)> {
    if is_test(path) {
        return Vec::new();
    }
    let text = read(path);
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let before_tests = numbered.take_while(|(_, line)| *line != "#[cfg(test)]");
    let without_comments = before_tests.filter(|(_, line)| !line.trim_start().starts_with("//"));
    without_comments.map(|(number, line)| (number, line.split(" // ").next().unwrap_or(line).to_owned())).collect()
}

/// Fails with all offences at once.
pub(crate) fn none(rule: &str, offences: &[String]) {
    assert!(offences.is_empty(), "{rule}:\n  {}", offences.join("\n  "));
}
