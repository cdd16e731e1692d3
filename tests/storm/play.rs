//! Plays many seeds on all cores, and reports the results.

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use intercom_bulk::domain::api::{Api, ApiVersion};
use tokio::time::Instant;

use crate::again;
use crate::api::Seed;
use crate::tally::Tally;
use crate::tell::tell;

/// Seeds that failed once, one a line, with the API unless it is 1.4, and the reason after a `#`.
const KEPT: &str = include_str!("seeds.txt");
/// The number of seeds that are the same each time.
const FIXED: u64 = 60;
/// The default number of fresh seeds.
const FRESH: u64 = 60;
/// The number of stories after which a long play reports its progress.
const REPORTED: usize = 1_000;
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
type Failures = Vec<(Seed, Vec<String>)>;

/// Plays seeds on all cores.
fn play(seeds: &[Seed]) -> (Tally, Failures) {
    let (next, played, began) = (AtomicUsize::new(0), AtomicUsize::new(0), Instant::now());
    let most = if env::var_os("STORM_FIRST").is_some() { 1 } else { FAILURES_MAX };
    let sum = Mutex::new((Tally::default(), Failures::new()));
    let worker = || {
        let mut tally = Tally::default();
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let told = tell(seed.story(), false);
            tally.add(told.tally);
            let stories = played.fetch_add(1, Ordering::Relaxed) + 1;
            if stories.is_multiple_of(REPORTED) {
                say(&format!("{stories} of {} stories in {:.0} s", seeds.len(), began.elapsed().as_secs_f64()));
            }
            if !told.bugs.is_empty() {
                let failures = &mut sum.lock().expect("no other thread panicked").1;
                let stories = next.load(Ordering::Relaxed).min(seeds.len());
                let (number, api) = (seed.number, seed.api());
                say(&format!("seed {number}, of {stories}, breaks a promise on API {api}: {}", told.bugs[0]));
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

fn kept() -> Vec<Seed> {
    let lines = KEPT.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(Seed::kept).collect()
}

#[test]
fn storm() {
    if let Some(seed) = number("STORM_SEED") {
        return replay(Seed::fresh(seed));
    }
    let base = number("STORM_BASE").unwrap_or_else(|| RandomState::new().hash_one(0) >> 16);
    let fresh = number("STORM_SEEDS").unwrap_or(FRESH);
    say(&format!("storm: {} kept seeds, {FIXED} fixed ones, {fresh} from STORM_BASE={base} on", kept().len()));
    let known = kept().into_iter().chain((0..FIXED).map(Seed::fresh));
    let known = known.filter(|_| env::var_os("STORM_FRESH_ONLY").is_none());
    let asked = env::var("STORM_ONLY").ok();
    let drawn = (base..).filter(|seed| asked.as_ref().is_none_or(|what| again::is_drawn(*seed, what)));
    let seeds: Vec<Seed> = known.chain(drawn.take(fresh as usize).map(Seed::fresh)).collect();
    let began = Instant::now();
    let (tally, failures) = play(&seeds);
    say(&format!("{} in {:.1} s", tally.to_string().trim_end(), began.elapsed().as_secs_f64()));
    if env::var_os("STORM_POINTS").is_some() {
        say(&tally.points_table());
    }
    let call = |seed: Seed| format!("STORM_SEED={} STORM_API={}", seed.number, seed.api());
    let calls: Vec<String> = failures.iter().map(|(seed, _)| call(*seed)).collect();
    assert!(
        failures.is_empty(),
        "stories break promises: {calls:?}; {} cargo test --test storm -- --nocapture repeats one",
        calls[0]
    );
    tally.assert_broad();
}

#[test]
fn seed_repeats_its_story() {
    let of = |api: Api, seeds: &[u64]| -> Vec<Seed> {
        seeds.iter().map(|number| Seed { number: *number, api: Some(ApiVersion::newest(api)) }).collect()
    };
    let seeds = [(Api::V1, &[3, 8, 21, 7264, 4_000_698][..]), (Api::V2, &[3, 21]), (Api::Preview, &[8, 21])];
    for seed in seeds.into_iter().flat_map(|(api, seeds)| of(api, seeds)) {
        let [first, again] = [0, 1].map(|_| tell(seed.story(), true).trace);
        let differs = first.iter().zip(&again).find(|(first, again)| first != again);
        assert_eq!((differs, first.len()), (None, again.len()), "{seed:?}");
    }
}

/// Prints the trace of one story.
fn replay(seed: Seed) {
    let story = seed.story();
    say(&format!("{story:#?}"));
    let told = tell(story, true);
    for line in &told.trace {
        say(line);
    }
    say(&told.tally.to_string());
    assert!(told.bugs.is_empty(), "{:#?}", told.bugs);
}
