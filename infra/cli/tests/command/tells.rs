//! Messages about problems, and their form.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use intercom_bulk::domain::run::{Limits, Source, Start};
use intercom_bulk::ledger::Ledger;
use intercom_bulk_emulator::aws::Account;
use serde_json::Value;

use crate::world::{COMMAND, World, plan};

#[test]
fn preview_lists_error_codes_and_missing_attributes() {
    let world = World::with(&["--users", "100"]);
    let path = world.folder.path().join("odd.toml");
    let text = "name = \"odd\"\n[set.custom_attributes.odd]\ntype = \"int\"\n\
                value = \"user.id if user.custom_attributes.plann is present else user.id\"\n";
    std::fs::write(&path, text).unwrap();
    let found = world.object(&["preview", "odd.toml", "--json"], 2);
    assert_eq!(found["unseen"], serde_json::json!(["user.custom_attributes.plann"]));
    let kinds = found["errors_by_code"].as_object().unwrap();
    assert_eq!(kinds.len(), 1, "{found}");
    let (code, kind) = kinds.iter().next().unwrap();
    assert_eq!((kind["users"].as_u64(), found["errors"].as_u64()), (Some(100), Some(100)));
    let users = world.users();
    assert!(users.iter().any(|user| user["id"] == kind["example"]), "{found}");
    let words = String::from_utf8(world.call(&["preview", "odd.toml"]).stdout).unwrap();
    assert!(
        words.contains("has user.custom_attributes.plann, which") && words.contains(&format!("100 users {code}")),
        "{words}"
    );
}

/// Only the lock of its folder tells a killed run from a running one.
#[test]
fn run_without_a_process_is_shown_as_stopped() {
    let world = World::started(&["--users", "3000", "--latency-ms", "100", "--job-delay-s", "1"], "2");
    let plan = plan("has-avatar.toml");
    let mut command = world.command(&["run", plan.to_str().unwrap(), "--json"]);
    let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while world.state().jobs.len() < 3 {
        assert!(running.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(20));
    }
    for _ in 0..5 {
        let status = world.object(&["status", "--json"], 0);
        assert_eq!(
            (&status["at_work"], &status["totals"]["jobs_possibly_lost"]),
            (&true.into(), &0.into()),
            "{status}"
        );
        assert!(status["percent"].as_u64().unwrap() < 100, "{status}");
    }
    running.kill().unwrap();
    running.wait().unwrap();
    let status = world.object(&["status", "--json"], 0);
    assert_eq!((status["at_work"].as_bool(), &status["seconds_left"]), (Some(false), &Value::Null), "{status}");
    let words = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(words.contains("was stopped: no process works on it") && !words.contains("a second"), "{words}");
    let history = String::from_utf8(world.call(&["history"]).stdout).unwrap();
    assert!(history.contains("  stopped  "), "{history}");
}

#[test]
fn paused_run_is_shown_as_paused_and_not_as_stopped() {
    let world = World::with(&["--users", "50"]);
    let path = world.folder.path().join("odd.toml");
    let text = "name = \"odd\"\n[set.custom_attributes.odd]\ntype = \"string\"\n\
                value = \"user.custom_attributes.plann\"\n";
    std::fs::write(&path, text).unwrap();
    let ended = world.call(&["run", "odd.toml"]);
    assert_eq!(ended.status.code(), Some(4), "{}", String::from_utf8_lossy(&ended.stderr));
    let status = String::from_utf8(world.call(&["status"]).stdout).unwrap();
    assert!(status.contains(" is paused, ") && status.contains("user.custom_attributes.plann"), "{status}");
    assert!(status.contains("The next start cancels it") && !status.contains("finishes it"), "{status}");
    let history = String::from_utf8(world.call(&["history"]).stdout).unwrap();
    assert!(history.contains("  paused  "), "{history}");
}

#[test]
fn mistakes_of_a_plan_are_lines() {
    let world = World::with(&["--users", "5"]);
    let text = "name = \"odd\"\n[set.custom_attributes.a]\ntype = \"int\"\nvalue = \"usr.id\"\n\
                [set.custom_attributes.b]\ntype = \"int\"\nvalue = \"usr.id\"\n";
    std::fs::write(world.folder.path().join("odd.toml"), text).unwrap();
    let said = String::from_utf8(world.call(&["preview", "odd.toml"]).stderr).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() >= 3 && lines[0].starts_with("error: ") && lines[1].starts_with("  odd.toml:"), "{said}");
    assert!(!said.contains("\\u"), "{said}");
}

#[test]
fn end_of_a_run_names_the_next_step() {
    let world = World::with(&["--users", "300", "--fault", "item-error=10%:invalid:not valid"]);
    let plan = plan("has-avatar.toml");
    let plan = plan.to_str().unwrap();
    let ended = world.call(&["run", plan]);
    let out = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{out}");
    assert!(out.contains(" users invalid, for example ") && !out.contains('{'), "{out}");
    let last: Vec<&str> = out.lines().rev().take(3).collect();
    assert!(last[2].contains("`intercom-bulk errors --run has-avatar."), "{out}");
    assert!(last[1].contains("`intercom-bulk retry has-avatar."), "{out}");
    assert!(last[0].contains("`intercom-bulk undo has-avatar."), "{out}");
    let world = World::with(&["--users", "300", "--fault", "job-fails=1"]);
    let ended = world.call(&["run", plan]);
    let out = String::from_utf8(ended.stdout).unwrap();
    assert!(out.contains("jobs that Intercom reported as failed") && !out.contains("did not report"), "{out}");
    assert!(out.lines().rev().nth(1).unwrap().contains("run the same command again"), "{out}");
}

#[test]
fn incomplete_preview_warns_about_its_open_scroll() {
    let world = World::with(&["--users", "300"]);
    let plan = plan("has-avatar.toml");
    let held = |arguments: &[&str]| {
        let output = world.call(&[&["preview", plan.to_str().unwrap()], arguments].concat());
        String::from_utf8(output.stderr).unwrap().contains("keeps the scroll open for a minute")
    };
    assert!(!held(&[]), "read to its end");
    assert!(held(&["--limit", "100"]));
}

/// No server listens on port 1. Another folder would hide an unfinished run, and its lock would not
/// hold.
#[test]
fn unreachable_workspace_is_not_taken_for_another() {
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
fn state_flag_overrides_the_environment_s_table() {
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
fn closed_pipe_is_not_an_error() {
    let world = World::with(&["--users", "200"]);
    let plan = plan("has-avatar.toml");
    world.object(&["run", plan.to_str().unwrap(), "--json"], 0);
    let mut jobs = world.command(&["jobs"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(jobs.stdout.take());
    let ended = jobs.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success() && error.is_empty(), "{error}");
}

/// A start that waits for a run, and the list of runs.
#[test]
fn waiting_start_is_distinct_from_an_unknown_run() {
    let world = World::with(&["--users", "30"]);
    let plan = plan("has-avatar.toml");
    let run = world.object(&["run", plan.to_str().unwrap(), "--state", "mine", "--json"], 0);
    let id = run["run"].as_str().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let start = Start::new("seats", None, 1_500_000_000, Source::All, Limits::default());
    runtime.block_on(async {
        let account = Account::open(Some(&world.folder.path().join("mine"))).unwrap();
        Ledger::new(account.dynamodb, "intercom-bulk-ledger").enqueue(&start, 1_500_000_000_000).await.unwrap();
    });
    let waiting = start.run().to_string();
    let status = world.object(&["status", "--state", "mine", "--run", &waiting, "--json"], 0);
    assert_eq!((status["state"].as_str(), status["run"].as_str()), (Some("waiting"), Some(waiting.as_str())));
    let words = world.call(&["status", "--state", "mine", "--run", &waiting]);
    assert!(String::from_utf8_lossy(&words.stdout).contains("has not begun"));
    let errors = world.call(&["errors", "--state", "mine", "--run", &waiting]);
    let said = String::from_utf8_lossy(&errors.stderr).into_owned();
    assert!(errors.status.code() == Some(64) && said.contains("has not begun"), "{said}");
    let nowhere = world.call(&["status", "--state", "mine", "--run", "seats.20200101T000000Z"]);
    let said = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert!(nowhere.status.code() == Some(64) && said.contains("`history` lists its runs"), "{said}");
    let listed = world.object(&["history", "--state", "mine", "--json"], 0);
    assert_eq!((listed["run"].as_str(), listed["state"].as_str()), (Some(id), Some("complete")), "{listed}");
}

/// The confirmation before a real run can be tried on a simulated workspace. Tests have no
/// terminal.
#[test]
fn confirmation_can_be_tried_on_a_simulated_workspace() {
    let world = World::with(&["--users", "30"]);
    let plan = plan("has-avatar.toml");
    let asked = world.command(&["run", plan.to_str().unwrap(), "--ask"]).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert!(said.contains("would change:") && said.contains("answer at a terminal"), "{said}");
    assert_eq!((asked.status.code(), world.state().jobs.len()), (Some(64), 0));
}

#[test]
fn invalid_log_filter_is_named() {
    let world = World::with(&["--users", "30"]);
    let output = world.command(&["probe"]).env("RUST_LOG", "nonsense=[").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.contains("RUST_LOG=nonsense=[ is not a filter"), "{said}");
}

/// Returns a server's first line, as JSON. SIGTERM ends the server.
fn first_line(arguments: &[&str]) -> Value {
    let mut command = Command::new(COMMAND);
    let mut server = command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
    assert_eq!(server.wait().unwrap().code(), Some(130), "{arguments:?}");
    serde_json::from_str(&line).unwrap()
}

#[test]
fn servers_print_their_address_as_json() {
    let simulated = first_line(&["simulate", "--port", "0", "--users", "7", "--json"]);
    assert!(simulated["address"].as_str().unwrap().starts_with("http://127.0.0.1:"));
    assert_eq!(simulated["users"], 7);
    let emulated = first_line(&["emulate", "--port", "0", "--lambda", "http://127.0.0.1:1", "--json"]);
    assert_eq!(emulated["variables"]["AWS_ENDPOINT_URL"], emulated["address"]);
    assert_eq!(emulated["lambda"], "http://127.0.0.1:1");
    let queue = emulated["variables"]["PAGES_QUEUE_URL"].as_str().unwrap();
    assert!(queue.starts_with(emulated["address"].as_str().unwrap()), "the port that it has: {queue}");
}

#[test]
fn server_that_cannot_listen_names_the_address() {
    let emulate = |arguments: &[&str], token: &str| {
        let mut command = Command::new(COMMAND);
        command.args(["emulate", "--lambda", "http://127.0.0.1:1"]).args(arguments).env("INTERCOM_TOKEN", token);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = emulate(&["--listen", "192.0.2.1", "--port", "4999"], "");
    assert!(code == Some(1) && said.contains("cannot listen on 192.0.2.1:4999"), "{said}");
    for anywhere in ["0.0.0.0", "::"] {
        let (code, said) = emulate(&["--listen", anywhere, "--port", "0", "--serve-token"], "secret");
        assert!(code == Some(64) && said.contains("would offer the token to the network"), "{said}");
    }
}

/// A web page that points its own name at this machine can read neither the workspace nor the
/// ledger.
#[test]
fn local_servers_refuse_a_foreign_host() {
    let world = World::with(&["--users", "30"]);
    let address = world.address().strip_prefix("http://").unwrap().to_owned();
    for (host, status) in [("evil.example", "421"), ("localhost", "200"), (address.as_str(), "200")] {
        let mut stream = std::net::TcpStream::connect(&address).unwrap();
        write!(stream, "GET /_simulator/state HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).unwrap();
        assert!(line.contains(status), "{host}: {line}");
    }
}

#[cfg(unix)]
#[test]
fn variables_file_is_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/emulate.env");
    let arguments = ["emulate", "--port", "0", "--lambda", "http://127.0.0.1:1", "--json", "--env-file"];
    let arguments = [&arguments[..], &[path.to_str().unwrap()]].concat();
    let first = first_line(&arguments);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let key = |object: &Value| object["variables"]["AWS_ACCESS_KEY_ID"].as_str().unwrap().to_owned();
    assert!(key(&first).starts_with("LOCAL") && key(&first).len() > 30, "drawn at random: {first}");
    let second = first_line(&arguments);
    assert_eq!(key(&second), key(&first), "functions that have read the file keep their access");
}
