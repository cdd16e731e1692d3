//! The real command, killed without a warning (SIGKILL), and started again.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::ops::Range;
use std::process::Stdio;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::phase::{Left, Phase};
use crate::world::{World, plan};

const KILLS: usize = 50;
/// Users that lose their attribute before a start that will read them again, so that there is always something to submit.
const CLEARED: usize = 200;
/// How long the command lives, in milliseconds: a third of the times so short that it only starts, otherwise so long that
/// it gets to turn pages although the scroll of its predecessor must expire first.
const SHORT_MS: Range<u64> = 20..500;
const LONG_MS: Range<u64> = 1_200..2_600;
/// Kills that each phase must have had at least.
const LEAST: usize = 3;

/// What makes the moments: printed, and set by `INTERCOM_BULK_SEED` to have them again.
fn seed() -> u64 {
    let given = std::env::var("INTERCOM_BULK_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

/// Starts the command and kills it after so long. Tells what it was doing and what it left; nothing where it came to its
/// end before.
fn killed_after(world: &World, arguments: &[&str], lives_ms: u64) -> Option<(Phase, Left)> {
    let before = world.state();
    let mut running = world.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let dies_at = Instant::now() + Duration::from_millis(lives_ms);
    while Instant::now() < dies_at {
        if let Some(ended) = running.try_wait().unwrap() {
            assert!(ended.success(), "{ended}");
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    // What the dying process had sent may still arrive.
    std::thread::sleep(Duration::from_millis(60));
    let left = Left::read(world);
    Some((Phase::of(world, &left, &before), left))
}

/// Lets the command come to its end, and compares what it says with what the workspace holds.
fn ends_complete(world: &World, arguments: &[&str]) {
    let run = world.object(arguments, 0);
    assert_eq!(run["state"], "complete", "{run}");
    let lacking = world.lacking(&plan("has-avatar.toml"));
    assert!(lacking.is_empty(), "complete, and {} users lack the value", lacking.len());
    let (state, left) = (world.state(), Left::read(world));
    let unknown: Vec<_> = state.jobs.iter().filter(|job| !left.jobs.contains(&job.id)).collect();
    assert!(
        unknown.len() as u64 <= left.jobs_possibly_lost,
        "{} jobs are not in the ledger, and {} are recorded as possibly lost: {unknown:#?}",
        unknown.len(),
        left.jobs_possibly_lost
    );
    assert_eq!((left.jobs_open, state.second_scrolls, state.over_limit), (0, 0, 0));
    eprintln!(
        "{} jobs, of which {} are not in the ledger and {} are recorded as possibly lost; {} runs; {}",
        state.jobs.len(),
        unknown.len(),
        left.jobs_possibly_lost,
        left.runs,
        run["generations"]
    );
}

#[test]
fn a_run_that_is_killed_fifty_times_loses_nobody() {
    let seed = seed();
    eprintln!("INTERCOM_BULK_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let arguments = ["--users", "4000", "--latency-ms", "25", "--job-delay-s", "1", "--rate-limit-per-10s", "1000000"];
    let world = World::started(&[&arguments[..], &["--scroll-ttl-s", "1"]].concat(), "2");
    let users = world.users();
    let users: Vec<&str> = users.iter().map(|user| user["id"].as_str().unwrap()).collect();
    let plan = plan("has-avatar.toml");
    let arguments = ["run", plan.to_str().unwrap(), "--json"];
    let mut kills: BTreeMap<Phase, usize> = BTreeMap::new();
    while kills.values().sum::<usize>() < KILLS {
        let short = rng.random_ratio(1, 3);
        let lives_ms = rng.random_range(if short { SHORT_MS } else { LONG_MS });
        let Some((phase, left)) = killed_after(&world, &arguments, lives_ms) else { continue };
        *kills.entry(phase).or_default() += 1;
        if !left.only_jobs() {
            let cleared: Vec<&str> = users.choose_multiple(&mut rng, CLEARED).copied().collect();
            world.clear(&cleared, "has avatar");
        }
    }
    eprintln!("killed while {kills:?}");
    for phase in Phase::ALL {
        assert!(kills.get(&phase).is_some_and(|&kills| kills >= LEAST), "too few kills while {phase:?}: {kills:?}");
    }
    ends_complete(&world, &arguments);
}

/// With a scroll that lives as long as Intercom's: the one test that really waits for it.
#[test]
fn a_killed_run_waits_for_its_scroll_s_minute_and_loses_nobody() {
    let world = World::started(&["--users", "1000", "--latency-ms", "200", "--scroll-ttl-s", "60"], "65");
    let plan = plan("has-avatar.toml");
    let arguments = ["run", plan.to_str().unwrap(), "--json"];
    let (phase, _) = killed_after(&world, &arguments, 1_500).unwrap();
    assert!(matches!(phase, Phase::Scrolling | Phase::Submitting), "{phase:?}");
    ends_complete(&world, &arguments);
    assert!(world.state().jobs.len() > 1);
}
