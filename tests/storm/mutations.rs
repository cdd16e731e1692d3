//! Tests the storm itself: it must find one-line faults in a scratch copy of the source.
//!
//! ```text
//! STORM_MUTATE=all cargo test --test storm mutations -- --nocapture
//! ```
//!
//! `STORM_MUTATE=one` plays one of them, drawn by `STORM_BASE`; a name plays that one. The copy
//! contains all faults behind a switch that the product does not have, so one build serves them
//! all. It shares this build's dependencies and profile.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::play::say;

/// Maximum number of seeds per mutation.
const SEEDS_MAX: u64 = 3_000;
/// The files of a copy.
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
/// The switch in the copy's library.
const SWITCH: &str = r#"
/// Returns whether this fault of the scratch copy is active.
pub fn mutant(name: &str) -> bool {
    static NAME: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    NAME.get_or_init(|| std::env::var("MUTANT").ok()).as_deref() == Some(name)
}
"#;

#[derive(Deserialize)]
struct Mutations {
    mutation: Vec<Mutation>,
}

#[derive(Deserialize)]
struct Mutation {
    name: String,
    file: String,
    /// The API that the stories play (`STORM_API`); 1.4 by default.
    api: Option<String>,
    /// The stories that are played (`STORM_ONLY`): those with a `retry` or an `undo`; all by default.
    only: Option<String>,
    at: Option<String>,
    from: String,
    to: String,
}

impl Mutation {
    /// Returns the file with the fault behind the switch.
    fn apply(&self, text: &str) -> String {
        let at = self.at.as_ref().unwrap_or(&self.from);
        let places = [text.matches(at.as_str()).count(), at.matches(&self.from).count()];
        assert_eq!(places, [1, 1], "{}: `{at}` is to stand once in {}", self.name, self.file);
        let switched = format!(r#"if crate::mutant("{}") {{ {} }} else {{ {} }}"#, self.name, self.to, self.from);
        let statement = self.from.ends_with(';');
        let switched = if statement { switched } else { format!("({switched})") };
        text.replace(at.as_str(), &at.replace(&self.from, &switched))
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn all_mutations() -> Mutations {
    toml::from_str(include_str!("mutations.toml")).expect("mutations.toml can be read")
}

/// Returns the files with all faults behind the switch.
fn changed(all: &Mutations) -> BTreeMap<&str, String> {
    let mut changed: BTreeMap<&str, String> = BTreeMap::new();
    for mutation in &all.mutation {
        let text = changed.entry(&mutation.file).or_insert_with(|| {
            fs::read_to_string(root().join(&mutation.file)).expect("a mutation names a file of the source")
        });
        *text = mutation.apply(text);
    }
    changed
}

#[test]
fn mutations_apply() {
    assert!(!changed(&all_mutations()).is_empty());
}

#[test]
fn chosen_mutations_are_found() {
    let Ok(which) = std::env::var("STORM_MUTATE") else { return };
    let all = all_mutations();
    let changed = changed(&all);
    // CI gives the source's hash, so the same source draws the same mutation.
    let base: usize = std::env::var("STORM_BASE").ok().and_then(|base| base.parse().ok()).unwrap_or(0);
    let one = base % all.mutation.len();
    let chosen = all.mutation.iter().enumerate().filter(|(index, mutation)| match which.as_str() {
        "all" => true,
        "one" => *index == one,
        name => mutation.name == name,
    });
    let names: Vec<&str> = chosen.map(|(_, mutation)| mutation.name.as_str()).collect();
    assert!(!names.is_empty(), "there is no mutation {which}");
    let storm = build(&changed);
    let mut missed = Vec::new();
    for name in &names {
        let mutation = all.mutation.iter().find(|mutation| mutation.name == *name).expect("it was chosen");
        match found(&storm, mutation) {
            Some(line) => say(&format!("{name}: {line}")),
            None => missed.push(*name),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// Returns the target directory of this test.
fn target() -> PathBuf {
    let program = std::env::current_exe().expect("the system knows the path");
    program.ancestors().nth(3).expect("cargo puts it into target/<profile>/deps").to_owned()
}

/// Returns the profile of this test: the name of its folder, with cargo's exceptions. Of the two profiles
/// that share a folder, tests use the one whose build takes less time.
fn profile() -> String {
    let program = std::env::current_exe().expect("the system knows the path");
    match program.ancestors().nth(2).and_then(Path::file_name).and_then(|name| name.to_str()) {
        Some("debug") | None => "dev".to_owned(),
        Some("release") => "bench".to_owned(),
        Some(name) => name.to_owned(),
    }
}

/// Builds the copy with this build's dependencies, and less optimisation.
fn build(changed: &BTreeMap<&str, String>) -> PathBuf {
    let copy = target().join("mutants");
    for name in COPIED {
        mirror(Path::new(name), &copy, changed);
    }
    let (mut cargo, profile) = (Command::new(env!("CARGO")), profile());
    // A level of its own keeps the copy's files apart from this build's.
    let level = if profile == "dev" { 0 } else { 2 };
    for member in ["intercom-bulk", "intercom-bulk-cli", "intercom-bulk-emulator", "intercom-simulator"] {
        cargo.args(["--config", &format!("profile.{profile}.package.{member}.opt-level={level}")]);
    }
    cargo.args(["test", "--offline", "--profile", &profile, "--test", "storm", "--no-run"]).current_dir(&copy);
    let output = cargo.env("CARGO_TARGET_DIR", target()).output().expect("cargo can be run");
    let text = String::from_utf8_lossy(&output.stderr);
    let path = text.split("tests/storm/main.rs (").nth(1).and_then(|rest| rest.split(')').next());
    root().join(path.unwrap_or_else(|| panic!("the mutations do not compile:\n{text}")))
}

/// Plays a mutation with fresh seeds. Returns the number of seeds until a broken promise, the seed
/// and the promise.
///
/// A seed that fails without the mutation, too, does not count.
fn found(storm: &Path, mutation: &Mutation) -> Option<String> {
    let (name, api) = (&mutation.name, mutation.api.as_deref().unwrap_or("1.4"));
    let most = std::env::var("STORM_MUTATE_SEEDS").ok().and_then(|most| most.parse().ok()).unwrap_or(SEEDS_MAX);
    let mut played = 0;
    while played < most {
        let mut play = command(storm, api);
        play.env("MUTANT", name).env("STORM_SEEDS", (most - played).to_string());
        play.env("STORM_FIRST", "1").env("STORM_FRESH_ONLY", "1").env_remove("STORM_SEED");
        play.envs(mutation.only.as_ref().map(|only| ("STORM_ONLY", only)));
        let output = play.output().expect("it was built");
        let text = String::from_utf8_lossy(&output.stderr);
        let line = text.lines().find_map(|line| line.strip_prefix("seed "))?;
        let (seed, rest) = line.split_once(", of ")?;
        let (stories, promise) = rest.split_once(", breaks a promise on API ")?;
        played += stories.parse::<u64>().ok()?.max(1);
        let sound = command(storm, api).env_remove("MUTANT").env("STORM_SEED", seed).output().expect("it was built");
        if sound.status.success() {
            return Some(format!("after {played} seeds, by {seed}: {promise}"));
        }
        say(&format!("{name}: seed {seed} breaks a promise without it, too: {promise}"));
    }
    None
}

fn command(storm: &Path, api: &str) -> Command {
    let mut play = Command::new(storm);
    play.args(["play::storm", "--exact", "--nocapture"]).current_dir(target().join("mutants"));
    // The copy is less optimised, and its futures need more of the stack.
    play.env("RUST_MIN_STACK", "33554432");
    play.env("RUST_BACKTRACE", "0").env("STORM_API", api).env_remove("STORM_BASE");
    play
}

/// Makes the copy equal to the source. Skips unchanged files, because cargo reads modification
/// times.
fn mirror(path: &Path, copy: &Path, changed: &BTreeMap<&str, String>) {
    let from = root().join(path);
    if from.is_dir() {
        // A file that the source no longer has could be a second file of a module.
        for old in fs::read_dir(copy.join(path)).into_iter().flatten().flatten() {
            if !from.join(old.file_name()).exists() {
                let old = old.path();
                let removed = if old.is_dir() { fs::remove_dir_all(old) } else { fs::remove_file(old) };
                removed.expect("the target directory can be written");
            }
        }
        for entry in fs::read_dir(from).expect("it can be read") {
            mirror(&path.join(entry.expect("it can be read").file_name()), copy, changed);
        }
        return;
    }
    let name = path.to_str().expect("names are UTF-8");
    let mut new = match changed.get(name) {
        Some(text) => text.clone().into_bytes(),
        None => fs::read(&from).expect("it can be read"),
    };
    if name == "src/lib.rs" {
        new.extend_from_slice(SWITCH.as_bytes());
    }
    let to = copy.join(path);
    if fs::read(&to).ok().as_ref() != Some(&new) {
        fs::create_dir_all(to.parent().unwrap_or(copy)).expect("the target directory can be written");
        fs::write(to, new).expect("the target directory can be written");
    }
}
