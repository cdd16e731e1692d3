//! The threat model and the crash table: every test that they name exists.

use crate::source::{none, read, root};

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// The tests that a text names as `path::name`.
fn named_tests(text: &str) -> impl Iterator<Item = (&str, &str)> {
    quoted(text).filter_map(|quoted| quoted.split_once("::")).filter(|(path, _)| path.contains('/'))
}

/// Whether a file declares a test of this name.
fn is_declared(path: &str, name: &str) -> bool {
    let source = if root().join(path).is_file() { read(path) } else { String::new() };
    let declared = source.match_indices(&format!("fn {name}(")).next();
    // The attribute stands above: what is named is a test, and not a function that tests use.
    let above = declared.map(|(at, _)| source[..at].rsplit("\n\n").next().unwrap_or_default());
    above.is_some_and(|above| above.contains("test") || source.contains("proptest!"))
}

/// The tests that a document names and no file declares.
fn missing_tests(text: &str) -> Vec<String> {
    let missing = named_tests(text).filter(|(path, name)| !is_declared(path, name));
    missing.map(|(path, name)| format!("{path}::{name}")).collect()
}

#[test]
fn the_crash_table_names_tests_that_exist() {
    let text = read("ARCHITECTURE.md");
    none("ARCHITECTURE.md names the test of each crash", &missing_tests(&text));
    let named = named_tests(&text).count();
    assert!(named > 10, "only {named} tests are named");
}

#[test]
fn the_threat_model_names_tests_and_files_that_exist() {
    let text = read("SECURITY.md");
    let (mut offences, tests) = (missing_tests(&text), named_tests(&text).count());
    for file in ["template.yaml", "deny.toml", "Cargo.toml", "Cargo.lock", ".ci/run", ".ci/requirements.txt"] {
        if !text.contains(&format!("`{file}`")) || !root().join(file).is_file() {
            offences.push(file.to_owned());
        }
    }
    none("SECURITY.md names what answers each threat", &offences);
    assert!(tests > 30, "only {tests} tests are named");
}

#[test]
fn settings_that_the_threat_model_names_are_in_the_template() {
    let (text, template) = (read("SECURITY.md"), read("template.yaml"));
    let settings = ["RecursiveLoop: Allow", "maxReceiveCount: 200", "MaximumConcurrency: 2", "SqsManagedSseEnabled"];
    let token = ["INTERCOM_TOKEN_PARAMETER", "ssm:GetParameter"];
    for setting in settings.into_iter().chain(token).chain(["DeletionPolicy: Retain", "LogDays"]) {
        assert!(text.contains(setting) && template.contains(setting), "{setting}");
    }
}
