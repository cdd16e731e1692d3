//! `preview --save` and `run --saved`.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::stops::signal;
use crate::world::{World, plan};

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Calls the command. Returns the exit code, and what it printed.
fn said(world: &World, arguments: &[&str]) -> (Option<i32>, String) {
    let output = world.call(arguments);
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text.into_owned())
}

#[test]
fn saved_preview_is_run_and_users_that_changed_are_listed() {
    let world = World::with(&["--users", "120"]);
    let (plan, file) = (plan("has-avatar.toml"), world.folder.path().join("saved.jsonl"));
    let (plan, path) = (plan.to_str().unwrap(), file.to_str().unwrap());
    let lacking = world.lacking(Path::new(plan));
    let found = world.object(&["preview", plan, "--save", path, "--json"], 2);
    assert_eq!((&found["saved"]["users"], &found["to_change"]), (&lacking.len().into(), &lacking.len().into()));
    let saved = lines(&file);
    let users: Vec<&str> = saved.iter().filter_map(|line| line["user"].as_str()).collect();
    assert_eq!(users.len(), lacking.len());
    assert!(users.iter().all(|user| lacking.contains(*user)), "{users:?}");
    assert_eq!((&saved[0]["plan"], &saved[0]["api"]), (&"has-avatar".into(), &"1.4".into()));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = std::fs::metadata(&file).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    let changed = users[3];
    world.set(&[changed], "has avatar", &Value::from(saved[4]["changes"][0]["after"] != true));
    let (scrolls, reads) = (world.requests("GET /users/scroll"), world.requests("GET /users/{id}"));
    let (code, words) = said(&world, &["run", plan, "--saved", path]);
    assert_eq!(code, Some(2), "{words}");
    assert!(cfg!(not(unix)) || words.contains("others have access to") && words.contains("chmod 600"), "{words}");
    assert!(words.contains(&format!("It wrote a preview of {}", saved[0]["at"].as_str().unwrap())), "{words}");
    assert!(words.contains("changed_since_preview"), "{words}");
    assert_eq!(world.lacking(Path::new(plan)).into_iter().collect::<Vec<_>>(), [changed]);
    assert_eq!(world.requests("GET /users/scroll"), scrolls, "the list was not read");
    assert!(world.requests("GET /users/{id}") - reads >= users.len() as u64);
    let (_, rows) = said(&world, &["errors", "--json"]);
    let row: Value = serde_json::from_str(rows.trim()).unwrap();
    assert_eq!((&row["user"], &row["code"]), (&changed.into(), &"changed_since_preview".into()));
    let (_, history) = said(&world, &["history"]);
    assert!(history.contains("writes a preview of"), "{history}");
    // Once more: all have the values by now, except the one.
    let again = world.object(&["run", plan, "--saved", path, "--json"], 2);
    assert_eq!((&again["written"], &again["unchanged"]), (&0.into(), &(users.len() - 1).into()));
    // A preview that shows no change is saved, too.
    world.object(&["run", plan, "--json"], 0);
    world.object(&["preview", plan, "--save", path, "--json"], 0);
    let (code, words) = said(&world, &["run", plan, "--saved", path]);
    assert!(code == Some(0) && words.contains("nothing to write"), "{words}");
}

#[test]
fn saved_preview_that_cannot_be_run_says_why() {
    let world = World::with(&["--users", "60"]);
    let (plan, file) = (plan("has-avatar.toml"), world.folder.path().join("saved.jsonl"));
    let (plan, path) = (plan.to_str().unwrap(), file.to_str().unwrap());
    world.object(&["preview", plan, "--save", path, "--json"], 2);
    let whole = std::fs::read_to_string(&file).unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let (code, text) = said(&world, arguments);
        assert!(code == Some(64) && text.contains(words), "{arguments:?}: {text}");
    };
    let other = world.folder.path().join("other.toml");
    let text = std::fs::read_to_string(plan).unwrap();
    std::fs::write(&other, format!("where = \"user.email is present\"\n{text}")).unwrap();
    refused(&["run", other.to_str().unwrap(), "--saved", path], "another plan: where is new");
    refused(&["run", plan, "--saved", plan], "is no saved preview");
    refused(&["run", plan, "--saved", "none.jsonl"], "cannot read the saved preview none.jsonl");
    refused(&["run", plan, "--saved", path, "--limit", "3"], "cannot be used with");
    let mut command = world.command(&["run", plan, "--saved", path]);
    let output = command.env("INTERCOM_API", "2.17").output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(64) && words.contains("set INTERCOM_API=1.4"), "{words}");
    std::fs::write(&file, &whole[..whole.len() - 9]).unwrap();
    refused(&["run", plan, "--saved", path], "is cut off");
    std::fs::write(&file, whole.replacen("\"after\":true", "\"after\":false", 1)).unwrap();
    refused(&["run", plan, "--saved", path], "the checksum does not match");
    refused(&["preview", plan, "--save", "none/saved.jsonl"], "Nothing was read");
    assert_eq!(world.requests("POST /bulk/users"), 0, "nothing was written");
    let (_, history) = said(&world, &["history"]);
    assert!(history.contains("there is no run yet") || history.is_empty(), "nothing was started: {history}");
}

/// The same command resumes the run, and reads no file again for it.
#[test]
fn stopped_run_of_a_saved_preview_is_resumed() {
    let world = World::started(&["--users", "300", "--latency-ms", "15", "--job-delay-s", "1"], "2");
    let (plan, file) = (plan("has-avatar.toml"), world.folder.path().join("saved.jsonl"));
    let (plan, path) = (plan.to_str().unwrap(), file.to_str().unwrap());
    world.object(&["preview", plan, "--save", path, "--json"], 2);
    let mut process = world.command(&["run", plan, "--saved", path, "--json"]).stdout(Stdio::null()).spawn().unwrap();
    while world.requests("GET /users/{id}") < 30 {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    signal(&process, "-INT");
    assert_eq!(process.wait().unwrap().code(), Some(130));
    let ended = world.object(&["run", plan, "--saved", path, "--json"], 0);
    let written = ended["written"].as_u64().unwrap() + ended["unchanged"].as_u64().unwrap();
    assert_eq!((written, world.lacking(Path::new(plan)).len()), (lines(&file).len() as u64 - 2, 0));
    let (_, history) = said(&world, &["history", "--json"]);
    assert_eq!(history.lines().count(), 1, "one run: {history}");
}
