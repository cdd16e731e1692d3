//! The commands that list what a run did: their forms of output hold the same rows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::world::{World, plan};

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
