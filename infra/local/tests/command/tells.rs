//! What is told where something is wrong, and in which form.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::world::{COMMAND, World, plan};

#[test]
fn a_preview_tells_errors_by_code_and_attributes_that_nobody_has() {
    let world = World::with(&["--users", "100"]);
    let path = world.folder.path().join("odd.toml");
    let text = "name = \"odd\"\n[set.custom_attributes.odd]\ntype = \"int\"\n\
                value = \"user.id if user.custom_attributes.plann is present else user.id\"\n";
    std::fs::write(&path, text).unwrap();
    let found = world.object(&["preview", "odd.toml", "--json"], 2);
    assert_eq!(found["unseen_attributes"][0], "plann");
    let kinds = found["errors_by_code"].as_object().unwrap();
    assert_eq!(kinds.len(), 1, "{found}");
    let (code, kind) = kinds.iter().next().unwrap();
    assert_eq!((kind["users"].as_u64(), found["errors"].as_u64()), (Some(100), Some(100)));
    let users = world.users();
    assert!(users.iter().any(|user| user["id"] == kind["example"]), "{found}");
    let words = String::from_utf8(world.call(&["preview", "odd.toml"]).stdout).unwrap();
    assert!(words.contains("\"plann\"") && words.contains(&format!("100 users {code}")), "{words}");
}

/// Nothing listens on port 1. Another state would hide an unfinished run, and its lock would not hold.
#[test]
fn a_workspace_that_does_not_answer_is_not_mistaken_for_another() {
    let world = World::with(&["--users", "10"]);
    let plan = plan("has-avatar.toml");
    for (command, says) in [("run", "--state DIR"), ("preview", "could not be reached")] {
        let mut command = world.command(&[command, plan.to_str().unwrap(), "--json"]);
        let output = command.env("INTERCOM_BASE_URL", "http://127.0.0.1:1").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), error.contains(says)), (Some(1), true), "{error}");
        assert_eq!(world.folder.path().join(".bulk").read_dir().unwrap().count(), 0, "a state was begun");
    }
}

#[test]
fn a_state_that_is_named_wins_over_a_table_of_the_environment() {
    let world = World::with(&["--users", "30"]);
    let plan = plan("has-avatar.toml");
    let run = world.object(&["run", plan.to_str().unwrap(), "--state", "mine", "--json"], 0);
    let output = world.command(&["status", "--state", "mine", "--json"]).env("LEDGER_TABLE", "elsewhere").output();
    let status: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
    assert_eq!(status["run"], run["run"]);
    let refused = world.call(&["jobs", "--state", "mine", "--from", "2016-11-24T10:05Z", "--to", "2016-11-24T10:04Z"]);
    assert_eq!(refused.status.code(), Some(64), "a reversed range");
    let refused = world.call(&["jobs", "--state", "mine", "--from", "2016-11-24T10:05Z", "--to", "2016-11-25T10:05Z"]);
    assert_eq!(refused.status.code(), Some(64), "more than a day");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--run ID"));
    let day = world.call(&["jobs", "--state", "mine", "--from", "2016-11-24T10:05Z", "--to", "2016-11-25T10:04Z"]);
    assert_eq!(day.status.code(), Some(0), "a day");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let world = World::with(&["--users", "200"]);
    let plan = plan("has-avatar.toml");
    world.object(&["run", plan.to_str().unwrap(), "--json"], 0);
    let mut jobs = world.command(&["jobs"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(jobs.stdout.take());
    let ended = jobs.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success() && error.is_empty(), "{error}");
}

/// The first line that a server writes, as JSON.
fn first_line(arguments: &[&str]) -> Value {
    let mut command = Command::new(COMMAND);
    let mut server = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn servers_tell_their_address_as_json() {
    let simulated = first_line(&["simulate", "--port", "0", "--users", "7", "--json"]);
    assert!(simulated["address"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert_eq!(simulated["users"], 7);
    let emulated = first_line(&["emulate", "--port", "0", "--lambda", "http://127.0.0.1:1", "--json"]);
    assert_eq!(emulated["variables"]["AWS_ENDPOINT_URL"], emulated["address"]);
    assert_eq!(emulated["lambda"], "http://127.0.0.1:1");
}
