//! The API that a command chooses, and how it shows the choice.

use std::process::{Output, Stdio};

use serde_json::Value;

use crate::world::{World, plan};

const ATTRIBUTE: &str = "attribute=has avatar:boolean";

/// Starts a workspace with these options of `simulate`, and the attribute that the plan writes.
fn world(options: &[&str]) -> World {
    world_of("300", options)
}

/// The same with this number of users.
fn world_of(users: &str, options: &[&str]) -> World {
    let mut arguments = vec!["--users", users, "--option", ATTRIBUTE];
    arguments.extend(options.iter().flat_map(|option| ["--option", option]));
    World::with(&arguments)
}

/// Runs the command with this value of `INTERCOM_API`.
fn with(world: &World, api: &str, arguments: &[&str]) -> Output {
    world.command(arguments).env("INTERCOM_API", api).output().unwrap()
}

/// Returns the objects that the command prints, one on each line.
fn objects(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn last(output: &Output) -> Value {
    objects(output).pop().unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn choice_is_shown_by_each_command_and_kept() {
    for (options, version, reason) in [
        (&[][..], "2.17", "Intercom served a request for the newest API with version 2.17"),
        (&["families=1.x"][..], "1.4", "Intercom does not serve API 2.17 ("),
    ] {
        let (world, plan) = (world(options), plan("has-avatar.toml"));
        let plan = plan.to_str().unwrap();
        let probed = with(&world, "auto", &["probe", "--json"]);
        assert_eq!(probed.status.code(), Some(0));
        let says = objects(&probed)[0].clone();
        assert_eq!((&says["what"], &says["ok"]), (&"api".into(), &true.into()));
        assert!(says["says"].as_str().unwrap().starts_with(&format!("{version}: {reason}")), "{says}");
        assert_eq!(world.state().items + world.state().contacts.written, 0, "probe only reads");

        let preview = last(&with(&world, "auto", &["preview", plan, "--json"]));
        let run = last(&with(&world, "auto", &["run", plan, "--json"]));
        let status = last(&with(&world, "auto", &["status", "--json"]));
        for shown in [&preview, &run, &status] {
            assert_eq!(shown["api"], version, "{shown}");
            assert!(shown["api_reason"].as_str().unwrap().starts_with(reason), "{shown}");
        }
        assert_eq!(run["state"], "complete");
        let words = String::from_utf8(with(&world, "auto", &["status"]).stdout).unwrap();
        assert!(words.contains(&format!("  API {version}: {reason}")), "{words}");

        let kept = format!("the API of this plan's last run {}", run["run"].as_str().unwrap());
        for (command, code) in [("preview", 0), ("run", 0)] {
            let again = with(&world, "auto", &[command, plan, "--json"]);
            assert_eq!(again.status.code(), Some(code), "{command}");
            let again = last(&again);
            assert!(again["api"] == version && again["api_reason"].as_str().unwrap().starts_with(&kept), "{again}");
        }
    }
}

#[test]
fn last_run_of_the_plan_decides() {
    let (world, plan) = (world(&[]), plan("has-avatar.toml"));
    let plan = plan.to_str().unwrap();
    let first = last(&with(&world, "1.4", &["run", plan, "--json"]));
    assert_eq!((&first["api"], &first["api_reason"]), (&"1.4".into(), &"as set".into()));
    for command in ["preview", "run"] {
        let again = last(&with(&world, "auto", &[command, plan, "--json"]));
        assert_eq!(again["api"], "1.4", "{again}");
    }
    let asked =
        world.command(&["run", plan, "--ask"]).env("INTERCOM_API", "auto").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(asked.stderr).unwrap();
    assert!(said.contains("API 1.4: the API of this plan's last run"), "{said}");
}

#[test]
fn status_shows_the_cost_of_a_bulk_request() {
    for (charge, seen, advice) in [
        ("after", "item", "keep INTERCOM_BULK_CHARGE=item."),
        ("request", "request", "INTERCOM_BULK_CHARGE=request makes a run up to 100 times as fast."),
    ] {
        // Two requests of one invocation in one window tell the cost. Of many requests, two are.
        let (world, plan) = (world_of("1500", &[&format!("bulk-charge={charge}")]), plan("has-avatar.toml"));
        let run = with(&world, "preview", &["run", plan.to_str().unwrap(), "--json"]);
        assert_eq!(last(&run)["state"], "complete");
        assert!(world.requests("PUT /contacts/bulk") > 1, "{:?}", world.state().requests);
        assert_eq!(last(&with(&world, "preview", &["status", "--json"]))["bulk_charge_seen"], seen);
        let words = String::from_utf8(with(&world, "preview", &["status"]).stdout).unwrap();
        assert!(words.contains(advice), "{words}");
    }
}

#[test]
fn refused_choice_says_what_to_do() {
    let plan = plan("has-avatar.toml");
    let plan = plan.to_str().unwrap();
    for (arguments, advice) in [
        (&["--fault", "deny-me"][..], "set INTERCOM_API to 2.17 (contacts) or 1.4 (bulk jobs)"),
        (&["--fault", "token-revoked-after=0"][..], "INTERCOM_BASE_URL is the workspace's region"),
        (&["--option", "hosted=forbidden"][..], "set INTERCOM_BASE_URL to https://api.eu.intercom.io"),
        (&["--option", "hosted=missing"][..], "INTERCOM_BASE_URL is the workspace's region"),
        (&["--option", "hosted=redirected"][..], "set INTERCOM_BASE_URL to the workspace's region"),
    ] {
        let world = World::with(&[&["--users", "50"], arguments].concat());
        for command in [&["probe"][..], &["preview", plan][..], &["run", plan][..]] {
            let output = with(&world, "auto", command);
            let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(output.status.code() == Some(1) && said.contains(advice), "{arguments:?} {command:?}: {said}");
        }
        assert_eq!(world.state().requests.keys().filter(|route| !route.starts_with("GET /me")).count(), 0);
    }
}
