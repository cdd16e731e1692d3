//! The commands for a deployed stack. `emulate` is AWS, and functions run in this process behind
//! Lambda's Invoke API. Everything uses sockets, as on AWS.
#![expect(clippy::unwrap_used, reason = "what a test sets up by itself may panic")]

mod events;
mod functions;
mod world;

use std::time::Duration;

use serde_json::Value;

use world::{World, plan};

/// Returns the status of a run when it has ended so.
async fn until(world: &World, run: &str, end: &str) -> Value {
    loop {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let output = world.call(&["status", "--json", "--run", run]).await;
        let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let state = status["state"].as_str().unwrap_or("not there yet");
        if state == end {
            return status;
        }
        assert!(["not there yet", "waiting", "running", "draining", "verifying"].contains(&state), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_plan_runs_and_is_reported() {
    let world = World::new("800").await;
    let file = plan("has-avatar.toml");
    let stored = world.object(&["put", &file, "--json"], 0).await;
    assert_eq!(stored["plan"], "has-avatar");
    let started = world.object(&["start", "has-avatar", "--accept-unseen", "--json"], 0).await;
    let run = started["run"].as_str().unwrap();
    let status = until(&world, run, "complete").await;
    let totals = &status["totals"];
    assert!(status["users"] == 800 && totals["patches"].as_u64().unwrap() > 100, "{status}");
    assert_eq!(totals["patches"], status["patches"], "each change is in a job");
    let jobs = String::from_utf8(world.call(&["jobs", "--json"]).await.stdout).unwrap();
    assert_eq!(jobs.lines().count() as u64, totals["jobs"].as_u64().unwrap(), "of the last run");
    assert_eq!(world.call(&["errors"]).await.status.code(), Some(0));
    let changes = String::from_utf8(world.call(&["changes", "--json"]).await.stdout).unwrap();
    assert_eq!(changes.lines().count() as u64, totals["written"].as_u64().unwrap());
    let watched = world.object(&["status", "--watch", "--json", "--run", run], 0).await;
    assert_eq!(watched["state"], "complete");
    assert!(world.invoked("scroll") >= 10 && world.invoked("submit") >= 1 && world.invoked("check") >= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stack_is_found_by_its_outputs() {
    let world = World::new("10").await;
    let file = plan("has-avatar.toml");
    let put = ["put", &file, "--stack", "bulk-eu"];
    let described = world.call_with(&put, &[("LEDGER_TABLE", None)]).await;
    assert_eq!(described.status.code(), Some(0), "{}", String::from_utf8_lossy(&described.stderr));
    let asked = world.asked();
    assert!(asked.contains("cloudformation/aws4_request"), "{asked}");
    assert!(asked.contains("Action=DescribeStacks&Version=2010-05-15&StackName=bulk-eu"), "{asked}");
    let started = world.object(&["start", "has-avatar", "--stack", "bulk-eu", "--json"], 0).await;
    assert!(started["run"].is_string(), "{started}");
    let missing = world.call(&["put", &file, "--stack", "another"]).await;
    let error = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(1) && error.contains("does not exist"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_invoke_the_control_function() {
    let world = World::new("3000").await;
    let stack = ["--stack", "bulk-eu", "--json"];
    let verb = |verb: &'static [&'static str]| [verb, &stack].concat();
    let none = world.call(&verb(&["pause"])).await;
    let error = String::from_utf8_lossy(&none.stderr).into_owned();
    assert!(none.status.code() == Some(64) && error.contains("no run is active"), "{error}");
    world.object(&["put", &plan("has-avatar.toml"), "--json"], 0).await;
    let started = world.object(&["start", "has-avatar", "--json"], 0).await;
    let run = started["run"].as_str().unwrap();
    let paused = loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let output = world.call(&verb(&["pause"])).await;
        if output.status.code() == Some(0) {
            break serde_json::from_slice::<Value>(&output.stdout).unwrap();
        }
    };
    assert_eq!((paused["run"].as_str(), paused["state"].as_str()), (Some(run), Some("paused")), "{paused}");
    assert_eq!(world.object(&verb(&["pause"]), 0).await["hint"], "the run is paused already");
    let waits = world.call(&["start", "has-avatar", "--limit", "100"]).await;
    let words = String::from_utf8(waits.stdout).unwrap();
    assert!(words.contains("which an operator paused") && words.contains("--supersede"), "{words}");
    let status = loop {
        let status = world.object(&["status", "--run", run, "--json"], 0).await;
        if status["starts_behind"] == 1 {
            break status;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!((status["state"].as_str(), status["paused"]["by"].as_str()), (Some("paused"), Some("operator")));
    let words = String::from_utf8(world.call(&["status", "--run", run]).await.stdout).unwrap();
    assert!(words.contains("1 start waits behind it. It is cancelled after 29 days more."), "{words}");
    let told = world.call(&verb(&["resume", "--notify", "https://example.com/"])).await;
    assert_eq!(told.status.code(), Some(64), "the functions send no message");
    let resumed = world.object(&verb(&["resume"]), 0).await;
    assert_eq!((resumed["did"].as_str(), resumed["run"].as_str()), (Some("resumed"), Some(run)), "{resumed}");
    let cancelled = world.object(&["cancel", run, "--reason", "a test", "--stack", "bulk-eu", "--json"], 0).await;
    assert_eq!(cancelled["reason"], "cancelled by an operator: a test");
    let again = world.call(&["resume", run, "--stack", "bulk-eu"]).await;
    let words = String::from_utf8(again.stdout).unwrap();
    assert!(again.status.code() == Some(1) && words.contains("is cancelled already"), "{words}");
    let before = world.invoked("control");
    let released = world.object(&["release", run, "--yes", "--stack", "bulk-eu", "--json"], 0).await;
    assert_eq!((released["run"].as_str(), released["state"].as_str()), (Some(run), Some("cancelled")), "{released}");
    assert_eq!(world.invoked("control"), before + 1);
    let unknown = world.call(&["cancel", "has-avatar.1", "--stack", "bulk-eu"]).await;
    assert_eq!(unknown.status.code(), Some(1), "{}", String::from_utf8_lossy(&unknown.stderr));
    assert!(world.invoked("control") >= 6, "{}", world.invoked("control"));
}

/// A value is no number for the users with a text in `plan`.
#[tokio::test(flavor = "multi_thread")]
async fn run_is_retried_and_undone_by_the_control_function() {
    const PLAN: &str = "name = \"number\"\n[set.custom_attributes.number]\ntype = \"int\"\n\
                        value = \"user.custom_attributes.plan | int\"\notherwise = 0\n";
    let world = World::new("300").await;
    let file = world.folder.path().join("number.toml");
    std::fs::write(&file, PLAN).unwrap();
    world.object(&["put", file.to_str().unwrap(), "--json"], 0).await;
    let started = world.object(&["start", "number", "--json"], 0).await;
    let run = started["run"].as_str().unwrap();
    let first = until(&world, run, "complete_with_errors").await;
    let (written, failed) = (&first["totals"]["written"], &first["totals"]["errors"]);
    assert!(written.as_u64().unwrap() > 20 && failed.as_u64().unwrap() > 100, "{first}");
    let stack = ["--stack", "bulk-eu", "--json"];
    let retried = world.object(&[&["retry", run][..], &stack].concat(), 0).await;
    let second = until(&world, retried["run"].as_str().unwrap(), "complete_with_errors").await;
    assert_eq!((&second["totals"]["users"], &second["totals"]["errors"]), (failed, failed), "{second}");
    let asked = world.object(&[&["undo", run][..], &stack].concat(), 0).await;
    let preview = until(&world, asked["run"].as_str().unwrap(), "complete").await;
    assert_eq!(preview["totals"]["written"], 0, "without --yes it is a preview: {preview}");
    let undone = world.object(&[&["undo", run, "--yes"][..], &stack].concat(), 0).await;
    let undone = until(&world, undone["run"].as_str().unwrap(), "complete").await;
    assert_eq!(&undone["totals"]["written"], written, "{undone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_come_from_the_aws_cli_without_an_environment() {
    let world = World::new("10").await;
    let folder = world.folder.path();
    let cli = "#!/bin/sh\ncase \"$2\" in\n\
               export-credentials) echo '{\"Version\":1,\"AccessKeyId\":\"FROMTHECLI\",\"SecretAccessKey\":\"s\"}' ;;\n\
               get) echo eu-west-1 ;;\nesac\n";
    std::fs::write(folder.join("aws"), cli).unwrap();
    std::fs::set_permissions(folder.join("aws"), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = folder.to_str().unwrap();
    let none = [("AWS_ACCESS_KEY_ID", None), ("AWS_SECRET_ACCESS_KEY", None), ("AWS_REGION", None)];
    let file = plan("has-avatar.toml");
    let put = ["put", &file, "--stack", "bulk-eu"];
    let with_cli = [none[0], none[1], none[2], ("PATH", Some(path))];
    let output = world.call_with(&put, &with_cli).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(world.asked().contains("Credential=FROMTHECLI/"), "{}", world.asked());
    let without = [none[0], none[1], none[2], ("PATH", Some("/nonexistent"))];
    let output = world.call_with(&put, &without).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(64) && error.contains("AWS_ACCESS_KEY_ID"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_names_the_remedy_and_starts_nothing() {
    let world = World::new("10").await;
    let cases: [(&[&str], i32, &str); 4] = [
        (&["start", "never-stored"], 64, "put FILE"),
        (&["put", "missing.toml"], 64, "missing.toml"),
        (&["emulate", "--lambda", "127.0.0.1:9000/x"], 64, "http://127.0.0.1:9000"),
        (&["emulate"], 64, "--lambda"),
    ];
    for (arguments, code, says) in cases {
        let output = world.call(arguments).await;
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(code) && error.contains(says), "{arguments:?}: {error}");
    }
    let nowhere = world.call_with(&["start", "x"], &[("LEDGER_TABLE", None)]).await;
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("--stack NAME"));
    assert_eq!(nowhere.status.code(), Some(64));
}
