//! The real command on API 2.17, stopped by signals between its writes, and started again.

use std::process::{Command, Stdio};
use std::time::Duration;

use intercom_simulator::State;
use tokio::time::Instant;

use crate::phase::Left;
use crate::world::{World, plan};

/// Users of the workspace: ten pages of a list.
const USERS: u64 = 1_500;
/// The users of a page.
const PAGE: u64 = 150;
/// Each signal, and the milliseconds from the first page or write of its process until the signal.
const SIGNALS: [(&str, u64); 10] = [
    ("-KILL", 0),
    ("-TERM", 0),
    ("-KILL", 40),
    ("-HUP", 90),
    ("-KILL", 130),
    ("-INT", 170),
    ("-KILL", 210),
    ("-TERM", 260),
    ("-KILL", 330),
    ("-TERM", 400),
];
/// The most users that a killed process sends again: those in flight, and those whose results are not
/// recorded, of two invocations of submit.
const SENT_AGAIN_MOST: u64 = 128;
/// A process that does nothing within this time fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a run and stops it with a signal. Returns false if it ended before.
fn stopped(world: &World, arguments: &[&str], signal: &str, then_ms: u64) -> bool {
    let is_at_work = |before: &State, now: &State| {
        now.contacts.listed >= before.contacts.listed + PAGE || now.contacts.written > before.contacts.written
    };
    let before = world.state();
    let mut running = world.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !is_at_work(&before, &world.state()) {
        if let Some(ended) = running.try_wait().unwrap() {
            assert!(ended.success(), "{ended}");
            return false;
        }
        assert!(began.elapsed() < PATIENCE, "it does nothing");
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(then_ms));
    assert!(Command::new("kill").args([signal, &running.id().to_string()]).status().unwrap().success());
    let signalled = Instant::now();
    let ended = running.wait().unwrap();
    let code = ended.code();
    assert!(ended.success() || code == if signal == "-KILL" { None } else { Some(130) }, "{signal}: {ended}");
    assert!(signalled.elapsed() < Duration::from_secs(4), "{signal}: {:?}", signalled.elapsed());
    !ended.success()
}

#[test]
fn run_of_single_writes_keeps_its_place_over_ten_stops() {
    let arguments = ["--users", "1500", "--latency-ms", "120", "--rate-limit-per-10s", "1000000"];
    let world = World::started(&arguments, "2").on("2.17");
    let plan = plan("has-avatar.toml");
    let lacking = world.lacking(&plan).len() as u64;
    let arguments = ["run", plan.to_str().unwrap(), "--json"];
    let (mut killed, mut stops) = (0, 0);
    for (signal, then_ms) in SIGNALS {
        let written = world.state().contacts.written;
        if !stopped(&world, &arguments, signal, then_ms) {
            break;
        }
        stops += 1;
        killed += u64::from(signal == "-KILL");
        let left = Left::read(&world);
        assert_eq!((left.jobs_possibly_lost, left.runs), (0, 1), "{signal}: its results are known, or sent again");
        eprintln!("{signal} after {written} to {} writes", world.state().contacts.written);
    }
    assert!(stops >= 6, "the run ended after {stops} stops");
    let run = world.object(&arguments, 0);
    assert_eq!((run["state"].as_str(), run["generations"].as_u64()), (Some("complete"), Some(1)), "{run}");
    assert_eq!((run["written"].as_u64(), run["users"].as_u64()), (Some(lacking), Some(USERS)), "{run}");
    assert!(world.lacking(&plan).is_empty());
    let contacts = world.state().contacts;
    assert_eq!(contacts.listed_distinct as u64, USERS);
    // The count of contacts is a list of one, requested once.
    assert!(contacts.listed <= USERS + killed * PAGE + 10, "pages are read again: {contacts:?}");
    assert!(contacts.written >= lacking && contacts.written <= lacking + killed * SENT_AGAIN_MOST, "{contacts:?}");
}
