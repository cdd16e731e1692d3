//! `pause`, `resume` and `cancel` from a second terminal.

use std::process::{Child, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::world::{World, plan};

/// An event that does not happen within this time fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a run whose jobs are far behind its pages, and waits for the first jobs.
fn at_work(world: &World) -> Child {
    let before = world.state().jobs.len();
    let mut command = world.command(&["run", plan("has-avatar.toml").to_str().unwrap(), "--json"]);
    let running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while world.state().jobs.len() < before + 2 {
        assert!(began.elapsed() < PATIENCE, "no job");
        std::thread::sleep(Duration::from_millis(10));
    }
    running
}

/// Returns the exit code of a run that a verb stops.
fn ends_soon(mut running: Child) -> Option<i32> {
    let began = Instant::now();
    let code = running.wait().unwrap().code();
    assert!(began.elapsed() < Duration::from_secs(5), "it noticed late: {:?}", began.elapsed());
    code
}

/// Returns the number that stands before these words, or 0 if they are missing.
fn users_before(words: &str, status: &str) -> u32 {
    let Some((text, _)) = status.split_once(words) else { return 0 };
    let text = text.trim_end_matches(|letter: char| letter.is_alphabetic() || letter == ' ');
    text.rsplit(|letter: char| !letter.is_ascii_digit()).next().unwrap().parse().unwrap()
}

fn world() -> World {
    let limited = ["--rate-limit-per-10s", "200", "--users", "600"];
    World::started(&[&limited[..], &["--latency-ms", "20", "--job-delay-s", "1", "--scroll-ttl-s", "1"]].concat(), "2")
}

#[test]
fn paused_run_keeps_its_place_until_resume() {
    let world = world();
    let none = world.call(&["pause"]);
    assert_eq!(none.status.code(), Some(1), "there is no state yet: {}", String::from_utf8_lossy(&none.stderr));
    let running = at_work(&world);
    let paused = world.object(&["pause", "--json"], 0);
    assert_eq!((paused["did"].as_str(), paused["state"].as_str()), (Some("paused"), Some("paused")), "{paused}");
    assert_eq!(ends_soon(running), Some(4));
    let jobs = world.state().jobs.len();
    assert_eq!(world.object(&["pause", "--json"], 0)["did"], "nothing");
    let status = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(status.contains("An operator paused it ") && status.contains("starts wait behind it"), "{status}");
    assert!(status.contains("  It holds ") && status.contains(" parts to send."), "{status}");
    // Neither the same command nor another one takes its place.
    let plan = plan("has-avatar.toml");
    for limit in [&[][..], &["--limit", "5"]] {
        let other = world.call(&[&["run", plan.to_str().unwrap()], limit].concat());
        let error = String::from_utf8_lossy(&other.stderr).into_owned();
        assert!(other.status.code() == Some(4) && error.contains("`intercom-bulk resume`"), "{error}");
    }
    assert_eq!(world.state().jobs.len(), jobs, "a job of a paused run");
    let done = world.object(&["resume", "--json"], 0);
    assert_eq!((done["state"].as_str(), done["run"].as_str()), (Some("complete"), paused["run"].as_str()), "{done}");
    assert!(world.lacking(&plan).is_empty());
    let again = world.call(&["resume"]);
    assert_eq!(again.status.code(), Some(64), "{}", String::from_utf8_lossy(&again.stderr));
}

/// The status names the parts that wait for the end of the pages, and the limit.
#[test]
fn paused_run_says_what_it_holds_back() {
    // Twelve pages follow the third one, so the pause comes before the last one.
    let slow = ["--latency-ms", "400", "--users", "1500", "--job-delay-s", "1", "--scroll-ttl-s", "1"];
    let world = World::started(&slow, "2");
    let plan = plan("has-avatar.toml");
    let mut command = world.command(&["run", plan.to_str().unwrap(), "--max-changes", "100%"]);
    let running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while world.state().requests.get("GET /users/scroll").is_none_or(|pages| *pages < 3) {
        assert!(began.elapsed() < PATIENCE, "no third page");
        std::thread::sleep(Duration::from_millis(2));
    }
    world.object(&["pause", "--json"], 0);
    assert_eq!(ends_soon(running), Some(4));
    let status = world.object(&["status", "--json"], 0);
    assert_eq!(status["held_back"], true, "{status}");
    let words = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(words.contains(" to send after all users are read (--max-changes).\n"), "{words}");
    assert!(words.contains(" held back until all users are read (--max-changes)\n"), "{words}");
    assert_eq!((&status["sent"], &status["state"]), (&serde_json::json!(0), &serde_json::json!("paused")));
    let done = world.object(&["resume", "--json"], 0);
    assert_eq!(done["state"].as_str(), Some("complete"), "{done}");
    assert!(world.lacking(&plan).is_empty());
}

#[test]
fn superseding_run_ends_a_paused_one() {
    let world = world();
    let running = at_work(&world);
    let paused = world.object(&["pause", "--json"], 0);
    assert_eq!(ends_soon(running), Some(4));
    let plan = plan("has-avatar.toml");
    let done = world.object(&["run", plan.to_str().unwrap(), "--supersede", "--json"], 0);
    assert_ne!(done["run"], paused["run"]);
    let ended = world.object(&["status", "--run", paused["run"].as_str().unwrap(), "--json"], 0);
    assert_eq!(ended["state"], "cancelled");
}

#[test]
fn cancelled_run_ends_at_once() {
    let world = world();
    let running = at_work(&world);
    let cancelled = world.object(&["cancel", "--reason", "a wrong plan", "--json"], 0);
    assert_eq!(cancelled["reason"], "cancelled by an operator: a wrong plan");
    assert_eq!(ends_soon(running), Some(1));
    let run = cancelled["run"].as_str().unwrap();
    let again = world.object(&["cancel", run, "--json"], 0);
    assert_eq!(
        (again["did"].as_str(), again["hint"].as_str()),
        (Some("nothing"), Some("the run is cancelled already"))
    );
    assert_eq!(world.call(&["pause", run]).status.code(), Some(1), "it has ended");
    assert_eq!(world.call(&["cancel"]).status.code(), Some(64), "no run is active");
    assert_eq!(world.call(&["cancel", "has-avatar.1"]).status.code(), Some(64), "no such run");
    assert_eq!(world.call(&["cancel", "../x"]).status.code(), Some(64), "no id of a run");
    let unasked = world.call(&["release", run]);
    assert_eq!(unasked.status.code(), Some(64), "{}", String::from_utf8_lossy(&unasked.stderr));
    let released = world.object(&["release", run, "--yes", "--json"], 0);
    assert!(released["hint"].is_string(), "{released}");
    let status = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(status.contains(" ended cancelled ") && status.contains("a wrong plan"), "{status}");
    // The moment of the cancel decides if a part was still to be sent. The numbers add up at each moment.
    let before = |words: &str| users_before(words, &status);
    assert_eq!(before(" to change"), before(" sent in ") + before(" not sent"), "{status}");
}

/// Also after a kill, and without the plan file.
#[test]
fn resume_finishes_a_stopped_run() {
    let world = world();
    let mut running = at_work(&world);
    running.kill().unwrap();
    running.wait().unwrap();
    let done = world.object(&["resume", "--json"], 0);
    assert_eq!(done["state"], "complete", "{done}");
    assert!(world.lacking(&plan("has-avatar.toml")).is_empty());
}
