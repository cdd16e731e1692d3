//! Layers: the library's folders in order. A file imports only from its own folder and those above
//! it.

use crate::source::{code, files, none};

/// The layers, top first. Names on one line do not import each other.
const LAYERS: [&[&str]; 9] = [
    &["domain"],
    &["plan"],
    &["http"],
    &["aws"],
    &["intercom", "ledger", "queue"],
    &["rate_limit"],
    &["runtime"],
    &["control"],
    &["steps"],
];
/// The steps, which do not import each other.
const STEPS: [&str; 4] = ["check", "control", "scroll", "submit"];
/// The layers without I/O and environment.
const PURE: [&str; 2] = ["domain", "plan"];
/// The one file that reads the time.
const CLOCK: &str = "src/domain/clock.rs";

/// I/O and environment.
const IO: [&str; 8] = ["tokio", "reqwest", "aws_sdk", "aws_lambda", "tower", "std::env", "std::fs", "std::net"];
/// Access to the time except through an invocation's clock, and work that outlives its step.
const TIME_AND_TASKS: [&str; 6] =
    ["Instant", "SystemTime", "Timestamp::now", "spawn(", "spawn_blocking", "spawn_local"];

/// Returns the library's top-level module of a file; `None` for lib.rs.
fn module(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (name != "lib").then_some(name)
}

/// Returns the step of a file.
fn step(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/steps/")?.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (name != "mod").then_some(name)
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&module))
}

fn may_import(module: &str, other: &str) -> bool {
    module == other || layer(module).zip(layer(other)).is_some_and(|(own, other)| other < own)
}

/// Returns the names after `prefix` in a line, for example `domain` after `crate::` in
/// `use crate::domain::run::Run`.
fn following<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(prefix).map(move |(at, _)| {
        let rest = &line[at + prefix.len()..];
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
    })
}

#[test]
fn each_folder_of_the_library_has_a_layer() {
    for path in files("src", "rs") {
        let Some(name) = module(&path) else { continue };
        assert!(layer(name).is_some(), "{path}: add `{name}` to LAYERS in {}", file!());
    }
}

#[test]
fn files_import_only_from_layers_above() {
    let mut offences = Vec::new();
    for path in files("src", "rs") {
        let Some(importer) = module(&path) else { continue };
        for (number, line) in code(&path) {
            // An empty name is `crate::{…}`, which hides the imported module.
            for name in following(&line, "crate::").filter(|name| !may_import(importer, name)) {
                offences.push(format!("{path}:{number}: {importer} imports `{name}`"));
            }
            if let Some(own) = step(&path) {
                let others = following(&line, "crate::steps::").filter(|name| STEPS.contains(name) && *name != own);
                offences.extend(others.map(|name| format!("{path}:{number}: the step {own} imports `{name}`")));
            }
            let at_the_top = path.split('/').count() == 2 || path.ends_with("/mod.rs") && path.split('/').count() == 3;
            if at_the_top && line.contains("super::") {
                offences.push(format!("{path}:{number}: a top-level module names others by `crate::`"));
            }
        }
    }
    none("a folder imports only those above it (ARCHITECTURE.md)", &offences);
}

#[test]
fn function_uses_only_its_own_step() {
    let mut offences = Vec::new();
    for path in files("functions", "rs") {
        let own = path.split('/').nth(1).unwrap_or_default();
        for (number, line) in code(&path) {
            let others = STEPS.into_iter().filter(|step| *step != own);
            let used = others.filter(|step| line.contains("intercom_bulk") && line.contains(step));
            offences.extend(used.map(|step| format!("{path}:{number}: the function {own} uses `{step}`")));
        }
    }
    none("a function consists of one step", &offences);
}

#[test]
fn domain_and_plan_have_no_io() {
    let mut offences = Vec::new();
    for path in files("src", "rs").into_iter().filter(|path| path != CLOCK) {
        if !module(&path).is_some_and(|name| PURE.contains(&name)) {
            continue;
        }
        for (number, line) in code(&path) {
            let found = IO.into_iter().filter(|word| line.contains(word));
            offences.extend(found.map(|word| format!("{path}:{number}: {word}")));
        }
    }
    none("domain and plan have no I/O and read no environment", &offences);
}

#[test]
fn only_the_clock_reads_the_time_and_nothing_is_spawned() {
    let mut offences = Vec::new();
    for path in files("src", "rs").into_iter().filter(|path| path != CLOCK) {
        for (number, line) in code(&path) {
            let found = TIME_AND_TASKS.into_iter().filter(|word| line.contains(word));
            offences.extend(found.map(|word| format!("{path}:{number}: {word}")));
            if line.contains("std::env") && path != "src/runtime/config.rs" {
                offences.push(format!("{path}:{number}: the environment is read in src/runtime/config.rs"));
            }
        }
    }
    none("time is the invocation's clock, and a step ends with all its work", &offences);
}
