//! The command as a user starts it, against a simulated workspace in a process of its own.
#![expect(clippy::unwrap_used, reason = "what a test sets up by itself may panic")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;

const COMMAND: &str = env!("CARGO_BIN_EXE_intercom-bulk");

/// A simulated workspace, ended with this value, and a folder for the command's state.
struct World {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn plan(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plans").join(name)
}

impl World {
    fn with(arguments: &[&str]) -> Self {
        let mut process = Command::new(COMMAND)
            .args(["simulate", "--port", "0", "--latency-ms", "1", "--job-delay-s", "1"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").unwrap().to_owned();
        Self { process, address, folder: tempfile::tempdir().unwrap() }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(COMMAND);
        command
            .args(arguments)
            .env("INTERCOM_BASE_URL", &self.address)
            .env("INTERCOM_TOKEN", "test-token-that-is-never-printed")
            .env("INTERCOM_SCROLL_LIFE_S", "2")
            .env_remove("RUST_LOG")
            .current_dir(self.folder.path());
        command
    }

    fn call(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!shown.contains("never-printed"), "the token was printed");
        output
    }

    fn object(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.call(arguments);
        let out = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{error}");
        serde_json::from_str(out.lines().last().unwrap()).unwrap()
    }

    fn users(&self) -> Vec<Value> {
        let url = format!("{}/_simulator/users?limit=1000000", self.address);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let body = runtime.block_on(async { reqwest::get(url).await.unwrap().bytes().await.unwrap() });
        serde_json::from_slice(&body).unwrap()
    }
}

#[test]
fn what_the_preview_says_is_what_the_run_does() {
    let world = World::with(&["--users", "20000", "--rate-limit-per-10s", "1000000"]);
    let plan = plan("has-avatar.toml");
    let plan = plan.to_str().unwrap();
    let preview = world.object(&["preview", plan, "--json"], 2);
    let to_change = preview["to_change"].as_u64().unwrap();
    assert!(to_change > 1_000, "{preview}");
    let run = world.object(&["run", plan, "--json"], 0);
    assert_eq!((run["state"].as_str(), run["patches"].as_u64()), (Some("complete"), Some(to_change)));
    let again = world.object(&["preview", plan, "--json"], 0);
    assert_eq!((again["to_change"].as_u64(), again["users"].as_u64()), (Some(0), Some(20_000)));
    let second = world.object(&["run", plan, "--json"], 0);
    assert_eq!((second["jobs"].as_u64(), second["users"].as_u64()), (Some(0), Some(20_000)));
    let status = world.object(&["status", "--json", "--run", run["run"].as_str().unwrap()], 0);
    assert_eq!(status["totals"]["jobs"], run["jobs"]);
    let buckets = run["buckets"].as_object().unwrap();
    let in_buckets: usize = buckets.values().map(|jobs| jobs.as_array().unwrap().len()).sum();
    assert_eq!(in_buckets as u64, run["jobs"].as_u64().unwrap());
    let first = buckets.keys().next().unwrap();
    let listed = String::from_utf8(world.call(&["jobs", "--from", first]).stdout).unwrap();
    assert_eq!(listed.lines().count(), buckets[first].as_array().unwrap().len());
}

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let world = World::with(&["--users", "6000", "--rate-limit-per-10s", "1000000", "--scroll-ttl-s", "1"]);
    let plan_file = plan("has-avatar.toml");
    let arguments = ["run", plan_file.to_str().unwrap(), "--json"];
    for kill_after_ms in [300, 700] {
        let mut running = world.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // The moment is arbitrary: whatever was under way, the next start goes on.
        std::thread::sleep(Duration::from_millis(kill_after_ms));
        running.kill().unwrap();
        running.wait().unwrap();
    }
    let run = world.object(&arguments, 0);
    assert_eq!(run["state"], "complete", "{run}");
    let text = std::fs::read_to_string(&plan_file).unwrap();
    let plan = intercom_bulk::plan::Plan::from_toml("plan", &text).unwrap();
    let lacking = world.users().into_iter().filter_map(intercom_bulk::user::User::new);
    assert_eq!(lacking.filter(|user| plan.evaluate(user).patch.is_some()).count(), 0);
}

#[test]
fn demo_ends_complete_and_checked() {
    let output = Command::new(COMMAND).args(["demo", "--users", "300"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && error.contains("Checked against the workspace itself"), "{error}");
    let out = String::from_utf8(output.stdout).unwrap();
    let summary: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((summary["state"].as_str(), summary["users"].as_u64()), (Some("complete"), Some(300)));
}

#[test]
fn one_user_alone_is_changed() {
    let world = World::with(&["--users", "50"]);
    let plan = plan("has-avatar.toml");
    let sample = world.object(&["preview", plan.to_str().unwrap(), "--json"], 2);
    let id = sample["sample"][0]["u"].as_str().unwrap().to_owned();
    let run = world.object(&["run", plan.to_str().unwrap(), "--user", &id, "--json"], 0);
    assert_eq!((run["users"].as_u64(), run["patches"].as_u64()), (Some(1), Some(1)));
    let run = world.object(&["run", plan.to_str().unwrap(), "--user", "nobody1", "--json"], 2);
    assert_eq!(run["errors"], 1);
}

#[test]
fn wrong_use_says_what_to_do_and_starts_nothing() {
    let world = World::with(&["--users", "10"]);
    let folder = world.folder.path();
    std::fs::write(
        folder.join("typo.toml"),
        "name = \"x\"\n[set.custom_attributes.a]\ntype = \"int\"\nvalue = \"user.custom_atributes.b\"\n",
    )
    .unwrap();
    let cases: [(&[&str], i32, &str); 6] = [
        (&["run", "typo.toml"], 1, "custom_attributes"),
        (&["run", "missing.toml"], 1, "missing.toml"),
        (&["run", "typo.toml", "--max-changes", "many"], 64, "10%"),
        (&["frobnicate"], 64, "--help"),
        (&["status"], 1, "run"),
        (&["simulate", "--fault", "lose-pages=1"], 64, "lose-page=3"),
    ];
    for (arguments, code, says) in cases {
        let output = world.call(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
    let plan = plan("has-avatar.toml");
    let no_token = world.command(&["run", plan.to_str().unwrap()]).env_remove("INTERCOM_TOKEN").output().unwrap();
    assert!(String::from_utf8_lossy(&no_token.stderr).contains("INTERCOM_TOKEN is not set"));
    let elsewhere = world.command(&["probe"]).env("INTERCOM_BASE_URL", "https://example.com").output().unwrap();
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("INTERCOM_BASE_URL"));
    assert!(world.users().iter().all(|user| user.get("id").is_some()), "the workspace still answers");
}
