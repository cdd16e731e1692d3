//! A stopped run, and the next command on it.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use crate::phase::Left;
use crate::world::{World, plan};

/// An event that does not happen within this time fails the test.
const PATIENCE: Duration = Duration::from_secs(30);

fn wait_until(what: &str, mut there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < PATIENCE, "{what} did not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Starts a run of these users and kills it once it has submitted them.
fn killed(world: &World, plan: &str, user: &str) {
    let before = world.state().jobs.len();
    let mut command = world.command(&["run", plan, "--user", user, "--json"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the job", || world.state().jobs.len() > before);
    running.kill().unwrap();
    assert!(!running.wait().unwrap().success(), "it ended before it was killed");
}

#[test]
fn stopped_run_resumes_for_the_same_users_only() {
    let world = World::started(&["--users", "50", "--latency-ms", "1", "--job-delay-s", "3"], "2");
    let plan = plan("has-avatar.toml");
    let plan = plan.to_str().unwrap();
    let sample = world.object(&["preview", plan, "--json"], 2);
    let [first, second] = [0, 1].map(|index| sample["sample"][index]["user"].as_str().unwrap());
    killed(&world, plan, first);
    let again = world.call(&["run", plan, "--user", first]);
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(again.status.success() && said.contains("resuming it"), "{said}");
    killed(&world, plan, second);
    let whole = world.object(&["run", plan, "--json"], 0);
    assert_eq!((whole["state"].as_str(), whole["users"].as_u64()), (Some("complete"), Some(50)));
    assert_eq!(whole["jobs_possibly_lost"], 0);
}

pub(crate) fn signal(running: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &running.id().to_string()]).status().unwrap().success());
}

fn said(path: &Path) -> String {
    let mut text = String::new();
    File::open(path).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn second_ctrl_c_ends_the_command_at_once() {
    let world = World::started(&["--users", "1000", "--latency-ms", "2500"], "2");
    let plan = plan("has-avatar.toml");
    let path = world.folder.path().join("said");
    let mut command = world.command(&["run", plan.to_str().unwrap(), "--json"]);
    let mut running = command.stdout(Stdio::null()).stderr(File::create(&path).unwrap()).spawn().unwrap();
    wait_until("the first bulk request", || world.requests("POST /bulk/users") > 0);
    signal(&running, "-INT");
    wait_until("the reason", || said(&path).contains("Ctrl-C again stops at once, and costs up to 4 s"));
    assert!(said(&path).contains("submit"), "{}", said(&path));
    assert!(running.try_wait().unwrap().is_none(), "it did not wait");
    signal(&running, "-INT");
    let began = Instant::now();
    assert_eq!(running.wait().unwrap().code(), Some(130), "{}", said(&path));
    assert!(began.elapsed() < Duration::from_secs(5), "it waited all the same");
    assert!(said(&path).contains("The same command, or `intercom-bulk resume`, finishes it"), "{}", said(&path));
}

/// At 48 operations in 10 seconds, submissions mostly wait for the rate limit. A stop must not.
#[test]
fn stop_signals_take_seconds_and_lose_no_job() {
    let limit = ["--rate-limit-per-10s", "60", "--users", "1000", "--latency-ms", "50", "--scroll-ttl-s", "1"];
    let world = World::started(&limit, "2");
    let plan = plan("has-avatar.toml");
    for name in ["-INT", "-TERM", "-HUP"] {
        let before = world.state().jobs.len();
        let mut command = world.command(&["run", plan.to_str().unwrap(), "--json"]);
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("a job", || world.state().jobs.len() > before);
        std::thread::sleep(Duration::from_millis(300));
        signal(&running, name);
        let began = Instant::now();
        assert_eq!(running.wait().unwrap().code(), Some(130), "{name}");
        assert!(began.elapsed() < Duration::from_secs(4), "{name}: {:?}", began.elapsed());
        let left = Left::read(&world);
        assert_eq!(left.jobs_possibly_lost, 0, "{name}: the next start waits for a job that does not exist");
        assert_eq!(left.jobs.len(), world.state().jobs.len(), "{name}");
    }
}

#[test]
fn start_after_a_kill_shows_the_wait_and_its_reason() {
    let plan = plan("has-avatar.toml");
    let run = ["run", plan.to_str().unwrap()];
    for next in [&run[..], &["resume"]] {
        wait_is_shown_after_a_kill(&run, next);
    }
}

fn wait_is_shown_after_a_kill(run: &[&str], next: &[&str]) {
    let world = World::started(&["--users", "1000", "--latency-ms", "1500"], "2");
    let long = |arguments: &[&str]| {
        let mut command = world.command(arguments);
        command.env("INTERCOM_JOB_LIFE_S", "900").stdout(Stdio::null());
        command
    };
    let mut killed = long(run).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the first bulk request", || world.requests("POST /bulk/users") > 0);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let path = world.folder.path().join("said");
    let mut again = long(next).stderr(File::create(&path).unwrap()).spawn().unwrap();
    let began = Instant::now();
    wait_until("the wait", || said(&path).contains(" waits until "));
    // The command asks for the workspace first, which takes a second and a half.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}: {}", began.elapsed(), said(&path));
    // Also covers the first progress line.
    std::thread::sleep(Duration::from_millis(500));
    signal(&again, "-TERM");
    assert_eq!(again.wait().unwrap().code(), Some(130));
    let said = said(&path);
    assert!(said.contains(" UTC (16 min 0 s)"), "{said}");
    assert!(said.contains("whether Intercom took it is not known"), "{said}");
    assert!(said.contains("Its users may be missed, so a further pass reads all users again."), "{said}");
    assert!(!said.contains("parts"), "they are in the ledger, and nothing waits for them: {said}");
}

/// Its scroll is still open, and the parts are in the ledger.
#[test]
fn stopped_run_goes_on_where_it_was() {
    let options = ["--users", "1000", "--latency-ms", "400", "--job-delay-s", "1", "--scroll-ttl-s", "60"];
    for (name, pages) in [("-TERM", 2), ("-HUP", 5), ("-INT", 9)] {
        let world = World::started(&options, "65");
        let plan = plan("has-avatar.toml");
        let lacking = world.lacking(&plan).len() as u64;
        let mut running = world.command(&["run", plan.to_str().unwrap()]);
        let mut running = running.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        wait_until("a page", || world.state().pages >= pages);
        signal(&running, name);
        assert_eq!(running.wait().unwrap().code(), Some(130), "{name}");
        let run = world.object(&["run", plan.to_str().unwrap(), "--json"], 0);
        let state = world.state();
        assert_eq!((run["state"].as_str(), run["generations"].as_u64()), (Some("complete"), Some(1)), "{name}: {run}");
        assert_eq!((state.pages, state.pages_users), (11, 1000), "{name}: each page is read once");
        assert_eq!((run["written"].as_u64(), state.items), (Some(lacking), lacking), "{name}: each patch is sent once");
    }
}

/// Intercom asks for one repetition of a request that it answers with 500.
#[test]
fn stopped_run_repeats_no_request() {
    let world = World::started(&["--users", "1000", "--latency-ms", "1500", "--fault", "error-bulk=1"], "2");
    let plan = plan("has-avatar.toml");
    let mut command = world.command(&["run", plan.to_str().unwrap(), "--json"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("the first bulk request", || world.requests("POST /bulk/users") > 0);
    signal(&running, "-TERM");
    let began = Instant::now();
    assert_eq!(running.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(world.requests("POST /bulk/users"), 1);
}
