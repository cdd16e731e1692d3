//! The threat model: every test that it names is there.

use crate::source::{none, read, root};

/// The texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn the_threat_model_names_tests_and_files_that_exist() {
    let text = read("SECURITY.md");
    let (mut offences, mut tests) = (Vec::new(), 0);
    for (path, name) in quoted(&text).filter_map(|quoted| quoted.split_once("::")) {
        tests += 1;
        let source = if root().join(path).is_file() { read(path) } else { String::new() };
        let declared = source.match_indices(&format!("fn {name}(")).next();
        // The attribute stands above: what is named is a test, and not a function that tests use.
        let above = declared.map(|(at, _)| source[..at].rsplit("\n\n").next().unwrap_or_default().to_owned());
        if !above.is_some_and(|above| above.contains("test") || source.contains("proptest!")) {
            offences.push(format!("{path}::{name}"));
        }
    }
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
