//! Fuzzing: mutates inputs from outside, and asserts the guarantees of each surface for every
//! input.
//!
//! The surfaces are shared with the targets of `libfuzzer/`. Run those by hand; they are guided by
//! coverage and run millions of executions (CONTRIBUTING.md). This file is the bounded part:
//! everything in `corpus/` (an input that once broke something stays there), and then a fixed
//! number of mutations of it. The seed is printed; `INTERCOM_BULK_SEED` repeats it, and
//! `INTERCOM_BULK_FUZZ_EXECUTIONS` sets the number of mutations.

#![expect(clippy::unwrap_used, reason = "what a test sets up by itself may panic")]

#[path = "surfaces/answers.rs"]
mod answers;
#[path = "surfaces/events.rs"]
mod events;
#[path = "surfaces/memory.rs"]
mod memory;
mod mutation;
#[path = "surfaces/plans.rs"]
mod plans;

use std::fs;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mutation::{Mutator, dictionary};
use tokio::time::Instant;

/// Memory is counted for the whole process, so only one surface runs at a time.
static ALONE: Mutex<()> = Mutex::new(());
/// The number of mutations: some seconds per surface in a debug build.
const EXECUTIONS: u64 = 15_000;
/// The duration that counts as a hang, even on a busy machine.
const TOO_SLOW: Duration = Duration::from_secs(10);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

/// Returns the files of these folders, in the order of their names.
fn inputs(folders: &[&str]) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in folders {
        paths.extend(fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()));
    }
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Prints and stores the input on which the surface panics.
struct Shown<'i> {
    surface: &'static str,
    input: &'i [u8],
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}", self.surface));
            let _ = fs::write(&path, self.input);
            eprintln!("{} failed on this input, kept in {}:", self.surface, path.display());
            eprintln!("{}", String::from_utf8_lossy(&self.input[..self.input.len().min(2_000)]));
        }
    }
}

fn execute(surface: &'static str, run: fn(&[u8]), input: &[u8]) {
    let shown = Shown { surface, input };
    let began = Instant::now();
    run(input);
    assert!(began.elapsed() < TOO_SLOW, "an input of {} bytes took {:?}", input.len(), began.elapsed());
    drop(shown);
}

/// Runs the corpus, and then mutations of it.
fn fuzz(surface: &'static str, folders: &[&str], run: fn(&[u8])) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let corpus = inputs(folders);
    assert!(corpus.len() >= 10, "the corpus of {surface} is gone");
    for input in &corpus {
        execute(surface, run, input);
    }
    let seed = setting("INTERCOM_BULK_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let executions = setting("INTERCOM_BULK_FUZZ_EXECUTIONS").unwrap_or(EXECUTIONS);
    eprintln!("{surface}: {} inputs, then {executions} mutations with INTERCOM_BULK_SEED={seed}", corpus.len());
    let words =
        dictionary(&fs::read_to_string(root().join(format!("tests/fuzz/dictionaries/{surface}.dict"))).unwrap());
    let mut mutator = Mutator::new(seed, &corpus, &words);
    let began = Instant::now();
    for _ in 0..executions {
        execute(surface, run, &mutator.input());
    }
    eprintln!("{surface}: {executions} executions in {:.1} s", began.elapsed().as_secs_f64());
}

#[test]
fn plans_and_expressions_keep_their_guarantees() {
    fuzz("plans", &["tests/fuzz/corpus/plans", "plans"], plans::run);
}

#[test]
fn events_and_messages_keep_their_guarantees() {
    fuzz("events", &["tests/fuzz/corpus/events", "events"], events::run);
}

#[test]
fn answers_keep_their_guarantees() {
    fuzz("answers", &["tests/fuzz/corpus/answers"], answers::run);
}

/// A body of the maximum size, in the form that costs most to parse: a function has 256 MB.
#[test]
fn largest_answers_fit_a_function() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let user = format!(r#"{{"id":"5714dd359a3fd47136000001","custom_attributes":{{{}}}}}"#, attributes());
    let users = vec![user; 100].join(",");
    let page = format!("page 200\n\n{{\"users\":[{users}]}}");
    assert!(page.len() > 6 << 20);
    memory::within(200 << 20, || execute("answers", answers::run, page.as_bytes()));
}

/// The maximum that Intercom allows for a user: 250 attributes of 255 characters.
fn attributes() -> String {
    let attribute = |n: usize| format!(r#""attribute {n}":"{}""#, "x".repeat(255));
    (0..250).map(attribute).collect::<Vec<_>>().join(",")
}
