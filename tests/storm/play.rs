//! Plays many seeds on all cores, and reports the results.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::story::Story;
use crate::tally::Tally;
use crate::tell::tell;

/// Seeds that failed once, one a line, with the reason after a `#`.
const KEPT: &str = include_str!("seeds.txt");
/// The number of seeds that are the same each time.
const FIXED: u64 = 60;
/// The default number of fresh seeds.
const FRESH: u64 = 60;
/// The number of broken promises after which the play stops.
const FAILURES_MAX: usize = 12;

/// Prints although the harness captures a test's output: without its base a play cannot be
/// repeated.
pub(crate) fn say(text: &str) {
    // Standard error may be closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn number(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

/// Seeds that failed.
type Failures = Vec<(u64, Vec<String>)>;

/// Plays seeds on all cores.
fn play(seeds: &[u64]) -> (Tally, Failures) {
    let next = AtomicUsize::new(0);
    let most = if env::var_os("STORM_FIRST").is_some() { 1 } else { FAILURES_MAX };
    let sum = Mutex::new((Tally::default(), Failures::new()));
    let worker = || {
        let mut tally = Tally::default();
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let told = tell(Story::of(*seed), false);
            tally.add(told.tally);
            if !told.bugs.is_empty() {
                let failures = &mut sum.lock().expect("no other thread panicked").1;
                let stories = next.load(Ordering::Relaxed).min(seeds.len());
                say(&format!("seed {seed}, of {stories}, breaks a promise: {}", told.bugs[0]));
                failures.push((*seed, told.bugs));
                if failures.len() >= most {
                    next.store(seeds.len(), Ordering::Relaxed);
                }
            }
        }
        sum.lock().expect("no other thread panicked").0.add(tally);
    };
    let cores =
        number("STORM_THREADS").map_or_else(|| thread::available_parallelism().map_or(1, Into::into), |n| n as usize);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(worker);
        }
    });
    sum.into_inner().expect("no thread panicked")
}

fn kept() -> Vec<u64> {
    let lines = KEPT.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(|line| line.parse().expect("seeds.txt holds numbers")).collect()
}

#[test]
fn storm() {
    if let Some(seed) = number("STORM_SEED") {
        return replay(seed);
    }
    let base = number("STORM_BASE").unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    let fresh = number("STORM_SEEDS").unwrap_or(FRESH);
    say(&format!("storm: {} kept seeds, {FIXED} fixed ones, {fresh} from STORM_BASE={base} on", kept().len()));
    let known = kept().into_iter().chain(0..FIXED).filter(|_| env::var_os("STORM_FRESH_ONLY").is_none());
    let seeds: Vec<u64> = known.chain(base..base + fresh).collect();
    let began = tokio::time::Instant::now();
    let (tally, failures) = play(&seeds);
    say(&format!("{} in {:.1} s", tally.to_string().trim_end(), began.elapsed().as_secs_f64()));
    if env::var_os("STORM_POINTS").is_some() {
        say(&tally.points_table());
    }
    let seeds: Vec<u64> = failures.iter().map(|(seed, _)| *seed).collect();
    assert!(
        failures.is_empty(),
        "seeds {seeds:?} break promises; STORM_SEED={} cargo test --test storm -- --nocapture repeats one",
        seeds[0]
    );
    tally.assert_broad();
}

#[test]
fn seed_repeats_its_story() {
    for seed in [3, 8, 21, 7264, 4_000_698] {
        let [first, again] = [0, 1].map(|_| tell(Story::of(seed), true).trace);
        let differs = first.iter().zip(&again).find(|(first, again)| first != again);
        assert_eq!((differs, first.len()), (None, again.len()), "seed {seed}");
    }
}

/// Prints the trace of one story.
fn replay(seed: u64) {
    let story = Story::of(seed);
    say(&format!("{story:#?}"));
    let told = tell(story, true);
    for line in &told.trace {
        say(line);
    }
    say(&told.tally.to_string());
    assert!(told.bugs.is_empty(), "{:#?}", told.bugs);
}
