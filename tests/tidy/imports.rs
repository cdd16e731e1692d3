//! Imports run one way: functions and the local engine, then steps, then the three doors to the outside, then pure code.

use crate::source::{code, files, none};

/// No I/O, no clock, no environment.
const PURE: [&str; 10] = ["bucket", "html", "job", "keep", "mask", "part", "patch", "plan", "run", "user"];
/// The doors to Intercom, SQS, DynamoDB, and what else of AWS is called.
const DOORS: [&str; 4] = ["aws", "intercom", "ledger", "queue"];
/// What doors are made of.
const BELOW: [&str; 1] = ["https"];
/// The one clock: connections and all above are told the time by it.
const CLOCK: [&str; 1] = ["invocation"];
/// What stands between the doors and the steps.
const BETWEEN: [&str; 7] = ["access", "binding", "clients", "config", "event", "meter", "telemetry"];
/// The steps.
const STEPS: [&str; 3] = ["check", "scroll", "submit"];

/// What only the doors and above may use.
const NOT_PURE: [&str; 8] = ["tokio", "reqwest", "aws_sdk", "aws_lambda", "tower", "std::env", "std::fs", "std::net"];
/// Other ways to the time than an invocation's clock, and work that outlives its step.
const NOT_OURS: [&str; 6] = ["Instant", "SystemTime", "Timestamp::now", "spawn(", "spawn_blocking", "spawn_local"];

/// The library's top-level module that a file belongs to; none for lib.rs.
fn module(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split('/').next()?;
    let name = name.strip_suffix(".rs").unwrap_or(name);
    (name != "lib").then_some(name)
}

/// What a module of the library may import.
fn may_import(module: &str, other: &str) -> bool {
    let lower: &[&[&str]] = match module {
        name if PURE.contains(&name) => &[&PURE],
        name if BELOW.contains(&name) => &[&CLOCK],
        name if DOORS.contains(&name) => &[&PURE, &BELOW],
        name if BETWEEN.contains(&name) => &[&PURE, &CLOCK, &BELOW, &DOORS, &BETWEEN],
        name if STEPS.contains(&name) => &[&PURE, &CLOCK, &DOORS, &BETWEEN],
        _ => &[],
    };
    module == other || lower.iter().any(|layer| layer.contains(&other))
}

/// The names that follow `prefix` in a line: `crate::` in `use crate::run::Run` is followed by `run`.
fn following<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(prefix).map(move |(at, _)| {
        let rest = &line[at + prefix.len()..];
        rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
    })
}

#[test]
fn every_module_of_the_library_has_a_layer() {
    for path in files("src", "rs") {
        let Some(name) = module(&path) else { continue };
        let layers: [&[&str]; 6] = [&PURE, &CLOCK, &BELOW, &DOORS, &BETWEEN, &STEPS];
        assert!(layers.iter().any(|layer| layer.contains(&name)), "{path}: add `{name}` to a layer in {}", file!());
    }
}

#[test]
fn modules_of_the_library_import_downwards() {
    let mut offences = Vec::new();
    for path in files("src", "rs") {
        let Some(importer) = module(&path) else { continue };
        for (number, line) in code(&path) {
            for name in following(&line, "crate::").filter(|name| !may_import(importer, name)) {
                // An empty name is `crate::{…}`, which hides who is imported: one line per module instead.
                offences.push(format!("{path}:{number}: {importer} imports `{name}`"));
            }
            let at_the_top = path.split('/').count() == 2 || path.ends_with("/mod.rs") && path.split('/').count() == 3;
            if at_the_top && line.contains("super::") {
                offences.push(format!("{path}:{number}: a top-level module names others by `crate::`"));
            }
        }
    }
    none("imports run one way (ARCHITECTURE.md)", &offences);
}

#[test]
fn functions_use_their_own_step() {
    let mut offences = Vec::new();
    for path in files("functions", "rs") {
        let own = path.split('/').nth(1).unwrap_or_default();
        for (number, line) in code(&path) {
            let others = STEPS.into_iter().filter(|step| *step != own);
            let used = others.filter(|step| line.contains("intercom_bulk") && line.contains(step));
            offences.extend(used.map(|step| format!("{path}:{number}: the function {own} uses `{step}`")));
        }
    }
    none("a function is made of one step", &offences);
}

#[test]
fn pure_modules_are_pure() {
    let mut offences = Vec::new();
    for path in files("src", "rs") {
        if !module(&path).is_some_and(|name| PURE.contains(&name)) {
            continue;
        }
        for (number, line) in code(&path) {
            let found = NOT_PURE.into_iter().chain(NOT_OURS).filter(|word| line.contains(word));
            offences.extend(found.map(|word| format!("{path}:{number}: {word}")));
        }
    }
    none("pure modules have no I/O, clock or environment", &offences);
}

#[test]
fn time_comes_from_the_invocation_and_nothing_is_spawned() {
    let mut offences = Vec::new();
    for path in files("src", "rs").into_iter().filter(|path| path != "src/invocation.rs") {
        for (number, line) in code(&path) {
            let found = NOT_OURS.into_iter().filter(|word| line.contains(word));
            offences.extend(found.map(|word| format!("{path}:{number}: {word}")));
            if line.contains("std::env") && path != "src/config.rs" {
                offences.push(format!("{path}:{number}: the environment is read in src/config.rs"));
            }
        }
    }
    none("time is the invocation's clock, and a step ends with all its work", &offences);
}
