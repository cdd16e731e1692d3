//! The output, the effect and the end of each command.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::world::{COMMAND, World, plan};

#[test]
fn preview_predicts_the_run() {
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
    let id = run["run"].as_str().unwrap();
    let counted = String::from_utf8(world.call(&["jobs", "--by-bucket", "--run", id]).stdout).unwrap();
    assert_eq!(counted.lines().count(), buckets.len(), "{counted}");
    assert!(counted.lines().all(|line| line.contains(" completed") && !line.contains(" open")), "{counted}");
}

#[test]
fn preview_and_run_follow_a_pace() {
    let world = World::with(&["--users", "40", "--rate-limit-per-10s", "1000000"]);
    let plan = plan("has-avatar.toml");
    let plan = plan.to_str().unwrap();
    let preview = world.object(&["preview", plan, "--max-per-minute", "10", "--json"], 2);
    let to_change = preview["to_change"].as_u64().unwrap();
    assert_eq!(preview["seconds_at_quota"].as_u64(), Some(to_change.div_ceil(10) * 60), "{preview}");
    assert_eq!(preview["jobs"].as_u64(), Some(to_change.div_ceil(10)), "{preview}");
    let refused = world.call(&["run", plan, "--max-per-minute", "0"]);
    assert_eq!(refused.status.code(), Some(64));
    let run = world.object(&["run", plan, "--max-per-minute", "1000", "--json"], 0);
    assert_eq!(run["patches"].as_u64(), Some(to_change));
    let status = world.object(&["status", "--json"], 0);
    assert_eq!((status["max_per_minute"].as_u64(), status["to_send"].as_u64()), (Some(1_000), Some(0)), "{status}");
}

#[test]
fn demo_ends_complete_and_verified() {
    let output = Command::new(COMMAND).args(["demo", "--users", "300"]).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && error.contains("Checked against the workspace itself"), "{error}");
    let out = String::from_utf8(output.stdout).unwrap();
    assert!(out.contains("300 users read: ") && out.contains("users sent in") && !out.contains('{'), "{out}");
    let output = Command::new(COMMAND).args(["demo", "--users", "300", "--json"]).output().unwrap();
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((summary["state"].as_str(), summary["users"].as_u64()), (Some("complete"), Some(300)));
    let [written, unchanged] = ["written", "unchanged"].map(|key| summary[key].as_u64().unwrap());
    assert_eq!((written + unchanged, written), (300, summary["sent"].as_u64().unwrap()));
}

/// Each family of the API has its own words for what was compared.
#[test]
fn demo_runs_on_each_api() {
    for (api, sent, compared, is_not) in [
        ("2.17", "one by one (API 2.17)", "the ledger agree with the writes", "job id"),
        ("preview", "bulk jobs and sets of single requests", "every job id is in the ledger under the minute", "1.4"),
    ] {
        let output = Command::new(COMMAND).args(["demo", "--users", "300", "--api", api]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let checked = error.split("Checked against the workspace itself").nth(1).unwrap_or_default();
        assert!(output.status.success() && checked.contains(compared) && !checked.contains(is_not), "{api}: {error}");
        let out = String::from_utf8(output.stdout).unwrap();
        assert!(out.contains("300 users read: ") && out.contains(sent), "{api}: {out}");
    }
}

/// A new user's first run: README's command on README's workspace, and a run that its limit stops.
#[test]
fn exceeded_max_changes_writes_nothing() {
    let world = World::with(&["--users", "3000", "--rate-limit-per-10s", "1000000", "--scroll-ttl-s", "1"]);
    let plan = plan("has-avatar.toml");
    let plan = plan.to_str().unwrap();
    let stopped = world.call(&["run", plan, "--max-changes", "20%", "--max-errors", "100"]);
    let out = String::from_utf8(stopped.stdout).unwrap();
    assert_eq!(stopped.status.code(), Some(1), "{out}");
    assert!(out.contains("more than 20 % (--max-changes); nothing was written"), "{out}");
    assert!(out.contains("`preview` counts the changes") && out.contains(" not sent\n"), "{out}");
    let status = world.object(&["status", "--json"], 0);
    assert_eq!((&status["sent"], &status["users"]), (&json!(0), &json!(3_000)), "{out}");
    let words = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(words.contains("ended failed") && !words.contains("under way") && !words.contains("parts"), "{words}");
    let whole = world.object(&["run", plan, "--max-changes", "90%", "--max-errors", "100", "--json"], 0);
    let numbers = ["written", "unchanged", "skipped", "failed", "pending"].map(|key| whole[key].as_u64().unwrap());
    assert_eq!((numbers.iter().sum::<u64>(), numbers[4]), (3_000, 0), "{whole}");
}

#[test]
fn canary_pauses_and_names_the_next_step() {
    let world = World::with(&["--users", "500", "--scroll-ttl-s", "1"]);
    let plan = plan("has-avatar.toml");
    let canary = world.call(&["run", plan.to_str().unwrap(), "--limit", "100", "--then-pause", "--max-changes", "90%"]);
    let out = String::from_utf8(canary.stdout).unwrap();
    assert_eq!(canary.status.code(), Some(4), "{out}");
    assert!(
        out.contains("the first 100 users are done (--then-pause)") && out.contains("`intercom-bulk resume`"),
        "{out}"
    );
    let status = world.object(&["status", "--json"], 0);
    assert_eq!((&status["state"], &status["users"], &status["jobs_open"]), (&json!("paused"), &json!(100), &json!(0)));
    let whole = world.object(&["resume", "--json"], 0);
    assert_eq!((&whole["users"], &whole["run"]), (&json!(500), &status["run"]));
}

#[test]
fn user_option_changes_one_user() {
    let world = World::with(&["--users", "50"]);
    let plan = plan("has-avatar.toml");
    let sample = world.object(&["preview", plan.to_str().unwrap(), "--json"], 2);
    let id = sample["sample"][0]["user"].as_str().unwrap().to_owned();
    let run = world.object(&["run", plan.to_str().unwrap(), "--user", &id, "--json"], 0);
    assert_eq!((run["users"].as_u64(), run["patches"].as_u64()), (Some(1), Some(1)));
    // Probably in the same second, and the second is part of a run's id.
    let other = world.object(&["run", plan.to_str().unwrap(), "--user", "unknown1", "--json"], 2);
    assert_eq!(other["errors"], 1);
    assert_ne!(other["run"], run["run"]);
}

#[test]
fn wrong_usage_names_the_remedy_and_starts_nothing() {
    let world = World::with(&["--users", "10"]);
    let folder = world.folder.path();
    std::fs::write(
        folder.join("typo.toml"),
        "name = \"x\"\n[set.custom_attributes.a]\ntype = \"int\"\nvalue = \"user.custom_atributes.b\"\n",
    )
    .unwrap();
    let cases: [(&[&str], i32, &str); 13] = [
        (&["run", "typo.toml"], 64, "custom_attributes"),
        (&["preview", "missing.toml"], 64, "missing.toml"),
        (&["run", "typo.toml", "--user", "ann@example.com"], 64, "5714dd359a3fd47136000001"),
        (&["run", "typo.toml", "--max-changes", "many"], 64, "10%"),
        (&["run", "typo.toml", "--max-changes", "120%"], 64, "0% to 100%"),
        (&["run", "typo.toml", "--max-errors", "101%"], 64, "0% to 100%"),
        (&["run", "typo.toml", "--then-pause"], 64, "--limit"),
        (&["run", "typo.toml", "--limit", "0"], 64, "--limit"),
        (&["preview", "typo.toml", "--limit", "5", "--user", "1"], 64, "--user"),
        (&["run"], 64, "Usage: intercom-bulk run [OPTIONS] <PLAN>"),
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
    assert_eq!(no_token.status.code(), Some(64));
    let elsewhere = world.command(&["probe"]).env("INTERCOM_BASE_URL", "https://example.com").output().unwrap();
    assert!(String::from_utf8_lossy(&elsewhere.stderr).contains("INTERCOM_BASE_URL"));
    assert!(world.users().iter().all(|user| user.get("id").is_some()), "the workspace still answers");
}

/// Over a real socket, so that reqwest, hyper and the SDK all log their traffic.
#[test]
fn trace_log_has_no_token_and_no_personal_data() {
    let world = World::with(&["--users", "200", "--fault", "item-error=5%:invalid:email ann@example.com invalid"]);
    let people = world.users();
    let plan = plan("has-avatar.toml");
    let mut command = world.command(&["run", plan.to_str().unwrap(), "--json"]);
    let output = command.env("RUST_LOG", "trace").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "some users failed");
    let log = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    for crates in ["hyper", "aws_smithy_runtime", "intercom_bulk::steps::submit"] {
        assert!(log.contains(crates), "{crates} logs nothing");
    }
    assert!(!log.contains("never-printed"), "the token was logged");
    // Texts that identify one person. Short ones and common words identify no one.
    let texts = ["email", "name", "phone"].into_iter().flat_map(|field| people.iter().map(move |user| &user[field]));
    let texts = texts.chain(people.iter().map(|user| &user["avatar"]["image_url"]));
    let texts: BTreeSet<&str> = texts.filter_map(Value::as_str).filter(|text| text.len() > 6).collect();
    assert!(texts.len() > 300, "{}", texts.len());
    let shown: Vec<&&str> = texts.iter().filter(|text| log.contains(**text)).collect();
    assert!(shown.is_empty(), "the log shows {shown:?}");
    assert!(!log.contains("ann@example.com"), "Intercom's message was logged as it came");
}

/// The simulated list of contacts shows writes at once.
#[test]
fn run_on_contacts_creates_its_attributes_and_need_not_wait() {
    const PLAN: &str = "name = \"tier\"\n[set.custom_attributes.tier]\ntype = \"string\"\nvalue = \"'gold'\"\n";
    let world = World::with(&["--users", "60"]).on("2.17");
    std::fs::write(world.folder.path().join("tier.toml"), PLAN).unwrap();
    let refused = world.call(&["run", "tier.toml"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && said.contains("start with --create-attributes"), "{said}");
    let created = world.object(&["run", "tier.toml", "--create-attributes", "--json"], 0);
    assert_eq!(created["written"].as_u64(), Some(60), "{created}");
    // Otherwise it would wait for three minutes.
    let hurried = world.object(&["run", "tier.toml", "--no-wait", "--json"], 0);
    assert_eq!((hurried["users"].as_u64(), hurried["written"].as_u64()), (Some(60), Some(0)), "{hurried}");
}
