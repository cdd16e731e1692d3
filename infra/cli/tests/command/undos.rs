//! `undo` of a run: its preview, its effect and its refusals.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::stops::signal;
use crate::world::{World, plan};

fn number(of: &Value, name: &str) -> u64 {
    of[name].as_u64().unwrap()
}

#[test]
fn undo_shows_a_preview_and_restores_with_yes() {
    let world = World::with(&["--users", "60"]);
    let plan = plan("has-avatar.toml");
    let lacked = world.lacking(&plan);
    let ran = world.object(&["run", plan.to_str().unwrap(), "--json"], 0);
    let (run, written) = (ran["run"].as_str().unwrap(), number(&ran, "written"));
    assert!(written > 20 && lacked.len() as u64 == written, "{ran}");
    let scrolls = world.requests("GET /users/scroll");
    let preview = world.object(&["undo", "--json"], 2);
    assert_eq!((number(&preview, "users"), number(&preview, "to_restore")), (written, written), "{preview}");
    assert_eq!(preview["undoes"], run);
    let status = world.object(&["status", "--json"], 0);
    assert_eq!(status["preview"]["sample"], preview["sample"], "{status}");
    let status = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(status.contains("  It is a preview: it would restore the values from before"), "{status}");
    assert!(status.contains("    Some of the values that would be restored:"), "{status}");
    assert_eq!(world.lacking(&plan).len(), 0, "a preview changes nothing");
    // Without a terminal it ends there.
    let output = world.call(&["undo", run]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("Undo of {run}: {written} of {written} users would be restored.")), "{said}");
    assert!(said.contains("Some of the values that would be restored:"), "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("add --yes"));
    world.clear(&[lacked.iter().next().unwrap().as_str()], "has avatar");
    let undone = world.object(&["undo", run, "--yes", "--json"], 0);
    assert_eq!((number(&undone, "written"), number(&undone, "skipped")), (written - 1, 1), "{undone}");
    assert_eq!(undone["undoes"]["run"], run);
    assert_eq!(world.lacking(&plan), lacked, "each has its value from before");
    assert_eq!(world.requests("GET /users/scroll"), scrolls, "the users are read by id");
    let history = String::from_utf8(world.call(&["history"]).stdout).unwrap();
    assert!(history.lines().next().unwrap().ends_with(&format!("undoes {run}")), "{history}");
    let stays = String::from_utf8(world.call(&["changes", "--all"]).stdout).unwrap();
    assert!(stays.lines().any(|line| line.ends_with("\"has avatar\" stays  (not_written)")), "{stays}");
    // The undo of the undo, which is the last run.
    let again = world.object(&["undo", "--yes", "--json"], 0);
    assert_eq!((number(&again, "written"), world.lacking(&plan).len()), (written - 1, 1));
}

#[test]
fn undo_that_cannot_begin_says_why() {
    let world = World::with(&["--users", "30"]);
    let none = world.call(&["undo"]);
    assert_eq!(none.status.code(), Some(1), "there is no state yet: {}", String::from_utf8_lossy(&none.stderr));
    let plan = plan("has-avatar.toml");
    let plan = plan.to_str().unwrap();
    world.object(&["run", plan, "--json"], 0);
    world.object(&["run", plan, "--json"], 0);
    let refused = |arguments: &[&str]| {
        let output = world.call(&[&["undo"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        said
    };
    assert!(refused(&[]).contains("changed no user"));
    assert!(refused(&["number.1"]).contains("there is no run number.1"));
    refused(&["../x"]);
    let runs = world.call(&["history", "--json"]).stdout;
    assert_eq!(String::from_utf8(runs).unwrap().lines().count(), 2, "nothing was started");
}

/// Stops the command once it has read some users by id, and asserts that `resume` alone finishes its run.
pub(crate) fn only_resume_finishes(world: &World, arguments: &[&str], plan: &str, says: &str) -> Value {
    let read = world.requests("GET /users/{id}");
    let mut command = world.command(arguments);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    while world.requests("GET /users/{id}") < read + 5 {
        assert!(running.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(&running, "-INT");
    let stopped = running.wait_with_output().unwrap();
    let note = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert_eq!(stopped.status.code(), Some(130), "{note}");
    assert!(note.contains("Stopped. `intercom-bulk resume` finishes it") && !note.contains("same command"), "{note}");
    let status = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(status.contains("  `intercom-bulk resume` finishes it") && !status.contains("same command"), "{status}");
    let run = world.call(&["run", plan]);
    let refused = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(64), "{refused}");
    assert!(refused.contains(says) && refused.contains("`intercom-bulk resume` finishes it"), "{refused}");
    world.object(&["resume", "--json"], 0)
}

/// A run of the plan would set the values again that the undo restored.
#[test]
fn stopped_undo_is_ended_by_no_run() {
    let world = World::started(&["--users", "60", "--latency-ms", "50", "--job-delay-s", "1"], "2");
    let plan = plan("has-avatar.toml");
    let lacked = world.lacking(&plan);
    let plan_file = plan.to_str().unwrap();
    world.object(&["run", plan_file, "--json"], 0);
    let undone = only_resume_finishes(&world, &["undo", "--yes"], plan_file, "it restores the values from before");
    assert_eq!(undone["undoes"]["run"].as_str().map(|run| run.starts_with("has-avatar.")), Some(true), "{undone}");
    assert_eq!(world.lacking(&plan), lacked, "each has its value from before");
    let status = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(!status.contains("`intercom-bulk undo"), "the undo of an undo is rare: {status}");
}
