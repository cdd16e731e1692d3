//! `retry` of the failed users of a run.

use std::path::PathBuf;

use serde_json::Value;

use crate::undos::only_resume_finishes;
use crate::world::World;

const PLAN: &str = "name = \"number\"\n[set.custom_attributes.number]\ntype = \"int\"\n\
                    value = \"user.custom_attributes.plan | int\"\notherwise = 0\n";

/// Runs a plan that fails for the users with a text in `plan`. Returns the plan's file and these users.
fn failed(world: &World) -> (PathBuf, Vec<String>) {
    let plan = world.folder.path().join("number.toml");
    std::fs::write(&plan, PLAN).unwrap();
    let output = world.call(&["run", plan.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("`intercom-bulk retry number."), "the summary names it: {said}");
    let rows = String::from_utf8(world.call(&["errors", "--json"]).stdout).unwrap();
    let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    (plan, rows.map(|row| row["user"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn retry_reads_the_failed_users_alone() {
    let world = World::with(&["--users", "60"]);
    let none = world.call(&["retry"]);
    assert_eq!(none.status.code(), Some(1), "there is no state yet: {}", String::from_utf8_lossy(&none.stderr));
    let (plan, users) = failed(&world);
    assert!(users.len() > 21, "more than a page: {}", users.len());
    let cured: Vec<&str> = users.iter().step_by(2).map(String::as_str).collect();
    world.clear(&cured, "plan");
    let scrolls = world.requests("GET /users/scroll");
    let first = world.object(&["status", "--json"], 0);
    let run = first["run"].as_str().unwrap();
    let retried = world.object(&["retry", "--json"], 2);
    let number = |of: &Value, name: &str| of[name].as_u64().unwrap() as usize;
    assert_eq!((number(&retried, "written"), number(&retried, "failed")), (cured.len(), users.len() - cured.len()));
    assert_eq!((retried["retries"]["run"].as_str(), world.requests("GET /users/scroll")), (Some(run), scrolls));
    assert_eq!(world.lacking(&plan).len(), 0, "those that fail lack no value that could be computed");
    let history = String::from_utf8(world.call(&["history"]).stdout).unwrap();
    assert!(history.lines().next().unwrap().ends_with(&format!("retries the users that failed in {run}")), "{history}");
    let status = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(status.contains(&format!("  It retries the users that failed in {run}.\n")), "{status}");
    // Without a name it retries the retry; both are retried by name.
    world.clear(&users.iter().map(String::as_str).collect::<Vec<_>>(), "plan");
    let last = world.object(&["retry", "--json"], 0);
    assert_eq!((&last["retries"]["run"], number(&last, "written")), (&retried["run"], users.len() - cured.len()));
    let again = world.object(&["retry", run, "--json"], 0);
    assert_eq!((number(&again, "written"), number(&again, "unchanged")), (0, users.len()));
}

#[test]
fn retry_that_cannot_begin_says_why() {
    let world = World::with(&["--users", "40"]);
    failed(&world);
    let refused = |arguments: &[&str]| {
        let output = world.call(&[&["retry"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        said
    };
    assert!(refused(&["--code", "not_found"]).contains("`errors --run number."));
    assert!(refused(&["--unknown"]).contains("has a known end"));
    assert!(refused(&["number.1"]).contains("there is no run number.1"));
    refused(&["--code", "x", "--unknown"]);
    refused(&["../x"]);
    let runs = world.call(&["history", "--json"]).stdout;
    assert_eq!(String::from_utf8(runs).unwrap().lines().count(), 1, "nothing was started");
}

#[test]
fn stopped_retry_is_ended_by_no_run() {
    let world = World::started(&["--users", "60", "--latency-ms", "50", "--job-delay-s", "1"], "2");
    let (plan, users) = failed(&world);
    world.clear(&users.iter().map(String::as_str).collect::<Vec<_>>(), "plan");
    let retried = only_resume_finishes(&world, &["retry"], plan.to_str().unwrap(), "it retries the users that failed");
    assert_eq!(retried["written"].as_u64(), Some(users.len() as u64), "{retried}");
    let status = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    let run = retried["run"].as_str().unwrap();
    assert!(status.contains(&format!("`intercom-bulk undo {run}` shows first")), "{status}");
}
