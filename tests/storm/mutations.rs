//! Does the storm bite? Faults of one line, each put into a scratch copy of the source, must be found.
//!
//! ```text
//! STORM_MUTATE=all cargo test --test storm mutations -- --nocapture
//! ```
//!
//! `STORM_MUTATE=one` plays one of them, another each time; a name plays that one. The copy shares this build's target
//! directory, so that only the workspace itself is compiled anew.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::play::say;

/// Seeds that a mutation is played with at most.
const SEEDS_MAX: u64 = 3_000;
/// What a copy needs.
const COPIED: [&str; 12] = [
    "Cargo.toml",
    "Cargo.lock",
    "clippy.toml",
    "rust-toolchain.toml",
    "src",
    "tests",
    "functions",
    "infra",
    "plans",
    "events",
    "benches",
    "template.yaml",
];

#[derive(Deserialize)]
struct Mutations {
    mutation: Vec<Mutation>,
}

#[derive(Clone, Deserialize)]
struct Mutation {
    name: String,
    file: String,
    from: String,
    to: String,
}

fn mutations() -> Vec<Mutation> {
    let read: Mutations = toml::from_str(include_str!("mutations.toml")).expect("mutations.toml can be read");
    read.mutation
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn mutations_are_found() {
    for mutation in mutations() {
        let text = fs::read_to_string(root().join(&mutation.file)).expect("the file is there");
        let found = text.matches(&mutation.from).count();
        assert_eq!(found, 1, "{}: `{}` stands {found} times in {}", mutation.name, mutation.from, mutation.file);
    }
    let Ok(which) = std::env::var("STORM_MUTATE") else { return };
    let all = mutations();
    let one = RandomState::new().hash_one(0) as usize % all.len();
    let chosen = all.iter().enumerate().filter(|(index, mutation)| match which.as_str() {
        "all" => true,
        "one" => *index == one,
        name => mutation.name == name,
    });
    let mut missed = Vec::new();
    let mut played = 0;
    for (_, mutation) in chosen {
        played += 1;
        match found(mutation) {
            Some(line) => say(&format!("{}: {line}", mutation.name)),
            None => missed.push(mutation.name.clone()),
        }
    }
    assert!(played > 0, "there is no mutation {which}");
    assert!(missed.is_empty(), "not found in {SEEDS_MAX} seeds: {missed:?}");
}

/// Plays a mutation; the line that tells of the first broken promise.
fn found(mutation: &Mutation) -> Option<String> {
    let copy = root().join("target/mutants");
    for name in COPIED {
        mirror(&root().join(name), &copy.join(name));
    }
    let path = copy.join(&mutation.file);
    let text = fs::read_to_string(&path).expect("it was copied");
    fs::write(&path, text.replace(&mutation.from, &mutation.to)).expect("the copy can be written");
    let output = Command::new(env!("CARGO"))
        .args(["test", "--offline", "--test", "storm", "--config", "profile.dev.opt-level=0"])
        .args(["--config", "profile.dev.package.\"*\".opt-level=1", "--", "play::storm", "--nocapture"])
        .current_dir(&copy)
        .env("CARGO_TARGET_DIR", root().join("target"))
        .env("STORM_SEEDS", SEEDS_MAX.to_string())
        .env("STORM_FIRST", "1")
        .env("RUSTFLAGS", "-Awarnings")
        .env("RUST_BACKTRACE", "0")
        .env_remove("STORM_MUTATE")
        .output()
        .expect("cargo can be run");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("storm: "), "{} does not compile:\n{text}", mutation.name);
    text.lines().find(|line| line.contains("breaks a promise")).map(ToOwned::to_owned)
}

/// Makes `to` like `from`, and leaves alone what is: cargo looks at times of change.
fn mirror(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("the target directory can be written");
        for entry in fs::read_dir(from).expect("it can be read") {
            let name = entry.expect("it can be read").file_name();
            mirror(&from.join(&name), &to.join(&name));
        }
        return;
    }
    let new = fs::read(from).expect("it can be read");
    if fs::read(to).ok().as_ref() != Some(&new) {
        fs::write(to, new).expect("the target directory can be written");
    }
}
