//! Every test that the threat model and the crash table name exists.

use crate::source::{none, read, root};

/// Returns the texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Returns the tests that a text names as `path::name`.
fn named_tests(text: &str) -> impl Iterator<Item = (&str, &str)> {
    quoted(text).filter_map(|quoted| quoted.split_once("::")).filter(|(path, _)| path.contains('/'))
}

/// Returns whether a file declares a test of this name.
fn is_declared(path: &str, name: &str) -> bool {
    let source = if root().join(path).is_file() { read(path) } else { String::new() };
    let declared = source.match_indices(&format!("fn {name}(")).next();
    // The attribute above distinguishes a test from a helper function of tests. The compiler refuses a
    // scenario that is not declared.
    let above = declared.map(|(at, _)| source[..at].rsplit("\n\n").next().unwrap_or_default());
    let is_listed = source.contains("scenarios! {") && source.contains(&format!("async fn {name}(on: On)"));
    above.is_some_and(|above| above.contains("test") || source.contains("proptest!") || is_listed)
}

/// Returns the tests that a document names and no file declares.
fn missing_tests(text: &str) -> Vec<String> {
    let missing = named_tests(text).filter(|(path, name)| !is_declared(path, name));
    missing.map(|(path, name)| format!("{path}::{name}")).collect()
}

#[test]
fn crash_table_names_existing_tests() {
    let text = read("ARCHITECTURE.md");
    none("ARCHITECTURE.md names the test of each crash", &missing_tests(&text));
    let named = named_tests(&text).count();
    assert!(named > 10, "only {named} tests are named");
}

#[test]
fn threat_model_names_existing_tests_and_files() {
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
fn threat_model_names_existing_settings() {
    let (text, template) = (read("SECURITY.md"), read("template.yaml"));
    let settings = ["RecursiveLoop: Allow", "maxReceiveCount: 200", "MaximumConcurrency: 2", "SqsManagedSseEnabled"];
    let token = ["INTERCOM_TOKEN_PARAMETER", "ssm:GetParameter"];
    for setting in settings.into_iter().chain(token).chain(["DeletionPolicy: Retain", "LogDays"]) {
        assert!(text.contains(setting) && template.contains(setting), "{setting}");
    }
}
