//! The commands that list what a run did: their forms of output hold the same rows.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::world::{COMMAND, World, plan};

/// Returns the objects that a command prints, one on each line.
fn objects(world: &World, arguments: &[&str], code: i32) -> Vec<Value> {
    let output = world.call(arguments);
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out}{error}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the rows that a command writes as CSV, by heading.
fn rows(world: &World, arguments: &[&str], code: i32) -> Vec<BTreeMap<String, String>> {
    let output = world.call(arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    csv::Reader::from_reader(&output.stdout[..]).deserialize().map(Result::unwrap).collect()
}

#[test]
fn errors_are_lines_sums_and_a_spreadsheet() {
    let world = World::with(&["--users", "300", "--fault", "item-error=10%:invalid:=HYPERLINK(1), \"x\""]);
    world.object(&["run", plan("has-avatar.toml").to_str().unwrap(), "--json"], 2);
    let listed = objects(&world, &["errors", "--json"], 2);
    assert!(listed.len() > 5, "{listed:?}");
    let rows = rows(&world, &["errors", "--csv"], 2);
    let users: BTreeSet<&str> = listed.iter().map(|row| row["user"].as_str().unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row["user"].as_str()).collect::<BTreeSet<_>>(), users);
    for row in &rows {
        assert_eq!((row["code"].as_str(), row["message"].as_str()), ("invalid", "'=HYPERLINK(1), \"x\""), "{row:?}");
        assert_eq!(row["link"], "", "a simulated workspace has no page");
    }
    let sums = objects(&world, &["errors", "--summary", "--json"], 2);
    assert_eq!(
        (sums.len(), &sums[0]["code"], sums[0]["users"].as_u64()),
        (1, &"invalid".into(), Some(users.len() as u64))
    );
    assert!(users.contains(sums[0]["example"].as_str().unwrap()), "{sums:?}");
    let words = String::from_utf8(world.call(&["errors", "--summary"]).stdout).unwrap();
    assert!(words.starts_with(&format!("{} users  invalid: =HYPERLINK", users.len())), "{words}");
    assert_eq!(world.call(&["errors", "--csv", "--json"]).status.code(), Some(64));
}

#[test]
fn run_without_errors_has_headings_only() {
    let world = World::with(&["--users", "30"]);
    world.object(&["run", plan("has-avatar.toml").to_str().unwrap(), "--json"], 0);
    let csv = world.call(&["errors", "--csv"]);
    assert_eq!(csv.status.code(), Some(0));
    assert_eq!(String::from_utf8(csv.stdout).unwrap(), "user,code,message,at,generation,link\r\n");
    assert_eq!(objects(&world, &["errors", "--summary", "--json"], 0), [Value::Null; 0]);
    let words = String::from_utf8(world.call(&["errors", "--summary"]).stdout).unwrap();
    assert!(words.starts_with("No user of run has-avatar."), "{words}");
}

/// Returns the attribute of each user that the plan writes; null if missing.
fn values(world: &World) -> BTreeMap<String, Value> {
    let users = world.users().into_iter();
    users
        .map(|user| (user["id"].as_str().unwrap().to_owned(), user["custom_attributes"]["has avatar"].clone()))
        .collect()
}

/// The list of changes equals the differences in the workspace, with each way of writing.
#[test]
fn changes_are_the_differences_of_the_workspace() {
    let attribute = ["--option", "attribute=has avatar:boolean"];
    for (api, faults) in [
        ("1.4", &["--fault", "item-error=10%:invalid:no", "--fault", "lose-bulk=2"][..]),
        ("2.17", &["--fault", "item-error=10%:invalid:no", "--fault", "lose-call=write:3"][..]),
        ("preview", &["--fault", "item-error=10%:invalid:no"][..]),
    ] {
        let world = World::with(&[&["--users", "300"], &attribute[..], faults].concat());
        let before = values(&world);
        world.object(&["run", plan("has-avatar.toml").to_str().unwrap(), "--intercom-api", api, "--json"], 2);
        let after = values(&world);
        let expected: BTreeSet<&String> = before.keys().filter(|user| before[*user] != after[*user]).collect();
        let listed = objects(&world, &["changes", "--json"], 0);
        let of_user = |row: &Value| row["user"].as_str().unwrap().to_owned();
        let users: BTreeSet<String> = listed.iter().map(of_user).collect();
        assert_eq!((users.iter().collect::<BTreeSet<_>>(), users.len()), (expected, listed.len()), "{api}");
        for row in &listed {
            let (user, change) = (of_user(row), &row["changes"][0]);
            assert_eq!((&change["before"], &change["after"]), (&before[&user], &after[&user]), "{api}: {row}");
            assert_eq!(
                (&row["outcome"], &change["attribute"]),
                (&"written".into(), &"has avatar".into()),
                "{api}: {row}"
            );
        }
        let rows = rows(&world, &["changes", "--csv"], 0);
        assert_eq!(rows.iter().map(|row| row["user"].clone()).collect::<BTreeSet<_>>(), users, "{api}");
        assert!(
            rows.iter().all(|row| row["target"] == "custom_attributes.\"has avatar\"" && row["outcome"] == "written")
        );
        let failed: BTreeSet<String> = objects(&world, &["errors", "--json"], 2).iter().map(of_user).collect();
        let all = objects(&world, &["changes", "--all", "--json"], 0);
        let of_failed = all.iter().filter(|row| row["outcome"] == "failed").map(of_user);
        assert_eq!(of_failed.collect::<BTreeSet<_>>(), failed, "{api}");
        assert_eq!(all.len(), users.len() + failed.len(), "{api}");

        let id = of_user(&listed[1]);
        let words = String::from_utf8(world.call(&["changes", "--user", &id]).stdout).unwrap();
        let (old, new) = (&before[&id], &after[&id]);
        let old = if old.is_null() { "(absent)".to_owned() } else { old.to_string() };
        assert_eq!(words, format!("{id}  \"has avatar\": {old} → {new}\n"), "{api}");
        assert_eq!(objects(&world, &["changes", "--most", "3", "--json"], 0), listed[..3]);
    }
}

#[test]
fn changes_that_were_not_sent_are_listed_on_demand() {
    let world = World::with(&["--users", "300"]);
    let plan = plan("has-avatar.toml");
    let run = world.object(&["run", plan.to_str().unwrap(), "--max-changes", "5%", "--json"], 1);
    let id = run["run"].as_str().unwrap();
    let none = String::from_utf8(world.call(&["changes", id]).stdout).unwrap();
    assert_eq!(none, format!("Run {id} has no such change; --all lists those that were not carried out.\n"));
    let all = objects(&world, &["changes", id, "--all", "--json"], 0);
    assert!(!all.is_empty() && all.iter().all(|row| row["outcome"] == "not_sent"), "{all:?}");
    let unknown = world.call(&["changes", "has-avatar.20200101T000000Z"]);
    assert_eq!(unknown.status.code(), Some(64));
}

#[test]
fn history_has_the_api_and_the_outcomes() {
    let world = World::with(&["--users", "60"]);
    let run = world.object(&["run", plan("has-avatar.toml").to_str().unwrap(), "--json"], 0);
    let listed = world.object(&["history", "--json"], 0);
    for key in ["run", "state", "api", "users", "written", "unchanged", "skipped", "failed", "seconds"] {
        assert_eq!(listed[key], run[key], "{key}: {listed}");
    }
    assert_eq!(listed["plan"], "has-avatar");
    let line = String::from_utf8(world.call(&["history"]).stdout).unwrap();
    let outcomes =
        format!("60 users: {} written, {} unchanged, 0 skipped, 0 failed\n", run["written"], run["unchanged"]);
    assert!(line.contains("  complete  API 1.4  ") && line.ends_with(&outcomes), "{line}");
}

#[test]
fn watch_follows_a_run_to_its_end() {
    let world = World::started(&["--users", "900", "--latency-ms", "100", "--job-delay-s", "1"], "2");
    let plan = plan("has-avatar.toml");
    let mut command = world.command(&["run", plan.to_str().unwrap(), "--json"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while world.state().jobs.is_empty() {
        assert!(running.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(20));
    }
    let looks = objects(&world, &["status", "--watch", "--json"], 0);
    assert!(running.wait().unwrap().success());
    let states: Vec<&str> = looks.iter().map(|look| look["state"].as_str().unwrap()).collect();
    assert!(states.len() >= 2 && states[0] != "complete" && states.ends_with(&["complete"]), "{states:?}");
    let words = world.call(&["status", "--watch"]);
    assert_eq!((words.status.code(), &words.stdout), (Some(0), &world.call(&["status"]).stdout), "it has ended");
}

/// A run that fails, one that waits for a decision, and one without a process: the watching ends with each.
#[test]
fn watch_ends_with_the_code_of_the_run() {
    let world =
        World::started(&["--users", "900", "--latency-ms", "100", "--job-delay-s", "1", "--scroll-ttl-s", "1"], "2");
    let plan = plan("has-avatar.toml");
    let plan = plan.to_str().unwrap();
    let watched = |says: &str| {
        let output = world.call(&["status", "--watch"]);
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.contains(says) && !out.contains('\u{1b}'), "{out}");
        output.status.code()
    };
    world.object(&["run", plan, "--max-changes", "1", "--json"], 1);
    assert_eq!(watched("ended failed"), Some(1));
    let before = world.state().jobs.len();
    let mut command = world.command(&["run", plan, "--json"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while world.state().jobs.len() == before {
        assert!(running.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(20));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(watched("was stopped: no process works on it"), Some(1));
    world.object(&["pause", "--json"], 0);
    assert_eq!(watched(" is paused, "), Some(4));
}

#[cfg(unix)]
#[test]
fn interrupted_watch_leaves_the_run_alone() {
    let world = World::started(&["--users", "900", "--latency-ms", "100", "--job-delay-s", "1"], "2");
    let mut command = world.command(&["run", plan("has-avatar.toml").to_str().unwrap(), "--json"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while world.state().jobs.is_empty() {
        assert!(running.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut command = world.command(&["status", "--watch"]);
    let mut watching = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(watching.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("running | ") || line.starts_with("draining | "), "{line}");
    assert!(Command::new("kill").args(["-INT", &watching.id().to_string()]).status().unwrap().success());
    let ended = watching.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(130) && said.contains("The run goes on."), "{said}");
    assert!(running.wait().unwrap().success(), "the run was not stopped");
}

#[test]
fn shell_completes_commands_options_and_runs() {
    let world = World::with(&["--users", "1"]);
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = world.call(&["completions", shell]);
        let script = String::from_utf8(output.stdout).unwrap();
        let calls_it = script.contains("INTERCOM_BULK_COMPLETE") && script.contains("intercom-bulk");
        assert!(output.status.code() == Some(0) && calls_it, "{shell}: {script}");
    }
    assert_eq!(world.call(&["completions", "tcsh"]).status.code(), Some(64));
    let script = world.folder.path().join("script");
    std::fs::write(&script, world.call(&["completions", "bash"]).stdout).unwrap();
    let folder = Path::new(COMMAND).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let completed = |words: &[&str]| -> Vec<String> {
        let (last, place) = (words[words.len() - 1], words.len());
        let line = format!(
            "source ./script; COMP_WORDS=(intercom-bulk {} '{last}'); COMP_CWORD={place}; COMP_TYPE=9\n\
             _clap_complete_intercom_bulk intercom-bulk '{last}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            words[..words.len() - 1].join(" ")
        );
        let mut bash = Command::new("bash");
        let bash = bash.args(["-c", &line]).current_dir(world.folder.path()).env("PATH", &path);
        let output = bash.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));
        String::from_utf8(output.stdout).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    };
    assert_eq!(completed(&["hist"]), ["history"]);
    assert_eq!(completed(&["run", "--max-ch"]), ["--max-changes"]);
    assert_eq!(completed(&["undo", "h"]), [""], "there is no state yet");
    let plan = plan("has-avatar.toml");
    let runs = [0, 1].map(|_| world.object(&["run", plan.to_str().unwrap(), "--json"], 0)["run"].clone());
    let latest_first = [runs[1].as_str().unwrap(), runs[0].as_str().unwrap()];
    assert_eq!(completed(&["undo", "has-"]), latest_first);
    assert_eq!(completed(&["errors", "--run", "has-"]), latest_first);
    assert_eq!(completed(&["errors", "--run", "other"]), [""]);
}
