//! Rules for the dependencies in the manifests.

use toml::Table;

use crate::source::read;

/// Returns the names of a manifest's dependencies of these kinds.
fn dependencies(path: &str, kinds: &[&str]) -> Vec<String> {
    let manifest: Table = read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    let tables = kinds.iter().filter_map(|kind| manifest.get(*kind)?.as_table());
    tables.flat_map(|table| table.keys().cloned()).collect()
}

const ALL: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

#[test]
fn simulator_does_not_depend_on_the_library() {
    let found = dependencies("infra/simulator/Cargo.toml", &ALL);
    assert!(!found.is_empty());
    for name in found {
        assert!(!name.starts_with("intercom-bulk"), "a mistake that both share would show in no test: {name}");
    }
}

#[test]
fn functions_do_not_depend_on_the_emulator() {
    let functions = ["check", "scroll", "submit"].map(|name| format!("functions/{name}/Cargo.toml"));
    for path in functions.iter().map(String::as_str).chain(["Cargo.toml"]) {
        for name in dependencies(path, &["dependencies", "build-dependencies"]) {
            let emulates =
                ["awsim", "dynoxide", "axum", "intercom-simulator", "intercom-bulk-emulator", "intercom-bulk-cli"];
            assert!(!emulates.iter().any(|prefix| name.starts_with(prefix)), "{path}: {name}");
        }
    }
}
