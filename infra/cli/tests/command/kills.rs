//! The real command, killed without a warning (SIGKILL), and started again.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::process::Stdio;
use std::time::Duration;

use intercom_simulator::State;
use rand::rngs::SmallRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::phase::{Left, Phase};
use crate::world::{World, plan};

/// Planned kills per phase. Long phases get most: after a kill in another, the scroll must expire.
const KILLS: [(Phase, usize); 4] =
    [(Phase::Starting, 22), (Phase::Scrolling, 9), (Phase::Submitting, 9), (Phase::Draining, 10)];
/// Minimum number of kills that must hit each phase.
const LEAST: usize = 3;
/// Users that lose their attribute before a full start, so that there is always something to
/// submit.
const CLEARED: usize = 150;
/// The time limit for a phase to begin.
const PATIENCE: Duration = Duration::from_secs(6);
/// Pages of the workspace, including the empty one.
const PAGES: u64 = 21;

/// Returns the seed of the moments: it is printed, and `INTERCOM_BULK_SEED` repeats it.
fn seed() -> u64 {
    let given = std::env::var("INTERCOM_BULK_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| RandomState::new().build_hasher().finish())
}

/// Starts the command, waits for a phase and then for this long, and kills it.
///
/// Returns its phase and its state, or `None` if it ended before.
fn killed(world: &World, arguments: &[&str], aim: Phase, then: Duration) -> Option<(Phase, Left)> {
    let before = world.state();
    let mut running = world.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !reached(aim, &before, &world.state()) && began.elapsed() < PATIENCE {
        if let Some(ended) = running.try_wait().unwrap() {
            assert!(ended.success(), "{ended}");
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(then);
    running.kill().unwrap();
    if running.wait().unwrap().success() {
        return None;
    }
    // Requests that the killed process sent may still arrive.
    std::thread::sleep(Duration::from_millis(60));
    let left = Left::read(world);
    Some((Phase::of(world, &left, &before), left))
}

/// Returns whether the workspace has seen a process reach this phase.
fn reached(aim: Phase, before: &State, now: &State) -> bool {
    match aim {
        Phase::Starting => true,
        Phase::Scrolling => now.pages > before.pages,
        Phase::Submitting => now.jobs.len() > before.jobs.len(),
        Phase::Draining => now.pages >= before.pages + PAGES,
    }
}

/// Lets the command run to its end, and compares its output with the workspace.
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
fn run_killed_fifty_times_loses_no_user() {
    let seed = seed();
    eprintln!("INTERCOM_BULK_SEED={seed}");
    let mut rng = SmallRng::seed_from_u64(seed);
    let arguments = ["--users", "2000", "--latency-ms", "25", "--job-delay-s", "1"];
    let quick = ["--rate-limit-per-10s", "1000000", "--scroll-ttl-s", "1"];
    let world = World::started(&[&arguments[..], &quick].concat(), "2");
    let users = world.users();
    // Users of the first pages stay right, so that pages come before the first submission.
    let users: Vec<&str> = users[users.len() / 2..].iter().map(|user| user["id"].as_str().unwrap()).collect();
    let plan = plan("has-avatar.toml");
    let arguments = ["run", plan.to_str().unwrap(), "--json"];
    let mut aims: Vec<Phase> = KILLS.into_iter().flat_map(|(phase, kills)| vec![phase; kills]).collect();
    aims.shuffle(&mut rng);
    let mut kills: BTreeMap<Phase, usize> = BTreeMap::new();
    while let Some(aim) = aims.pop() {
        let then_ms = match aim {
            Phase::Starting => 0..500,
            Phase::Scrolling | Phase::Submitting => 0..120,
            // The last parts are submitted first, and a job is polled after two and a half seconds.
            Phase::Draining => 500..2_400,
        };
        let then = Duration::from_millis(rng.random_range(then_ms));
        let done = killed(&world, &arguments, aim, then);
        // A run that has ended makes room for a new one, which must have something to do.
        if done.as_ref().is_none_or(|(_, left)| !left.only_jobs()) {
            let cleared: Vec<&str> = users.choose_multiple(&mut rng, CLEARED).copied().collect();
            world.clear(&cleared, "has avatar");
        }
        match done {
            Some((phase, _)) => *kills.entry(phase).or_default() += 1,
            None => aims.push(aim),
        }
    }
    assert_eq!(kills.values().sum::<usize>(), 50);
    eprintln!("killed while {kills:?}");
    for phase in Phase::ALL {
        assert!(kills.get(&phase).is_some_and(|&kills| kills >= LEAST), "too few kills while {phase:?}: {kills:?}");
    }
    ends_complete(&world, &arguments);
}

/// With a scroll that lives as long as Intercom's. Only this test really waits for it.
#[test]
fn killed_run_waits_for_its_scroll_and_loses_no_user() {
    let world = World::started(&["--users", "1000", "--latency-ms", "200", "--scroll-ttl-s", "60"], "65");
    let plan = plan("has-avatar.toml");
    let arguments = ["run", plan.to_str().unwrap(), "--json"];
    let (phase, _) = killed(&world, &arguments, Phase::Scrolling, Duration::from_millis(700)).unwrap();
    assert!(matches!(phase, Phase::Scrolling | Phase::Submitting), "{phase:?}");
    ends_complete(&world, &arguments);
    assert!(world.state().jobs.len() > 1);
}
