//! `validate`, and the test cases before a preview.

use std::process::Command;

use serde_json::Value;

use crate::world::{COMMAND, World, plan};

const PLAN: &str = "name = \"seats\"\n[set.custom_attributes.seats]\ntype = \"int\"\nvalue = \"5\"\n\
    [[test]]\nname = \"five\"\nuser = {}\nexpect = { custom_attributes = { seats = 5 } }\n";

/// Runs `validate` without a token or an address. Returns the exit code, the output and the messages.
fn validate(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(COMMAND);
    command.arg("validate").args(arguments).env_clear();
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn plan_is_validated_without_a_token() {
    let shipped = plan("plan-price.toml");
    let (code, out, said) = validate(&[shipped.to_str().unwrap()]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(out.contains("Plan plan-price is valid. It sets custom_attributes.plan_price."), "{out}");
    assert!(out.contains("It reads user.custom_attributes.plan.") && out.contains("3 test cases passed."), "{out}");
}

#[test]
fn failed_case_is_named_with_both_results() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let right = path("right.toml", PLAN.to_owned());
    let wrong = path("wrong.toml", PLAN.replace("seats = 5 }", "seats = 6 }"));
    let refused = path("refused.toml", PLAN.replace("type =", "typ ="));
    let (code, out, said) = validate(&[&right, &wrong]);
    let words = "test \"five\": expected custom_attributes.seats = 6; got custom_attributes.seats = 5";
    assert!(code == Some(1) && out.contains(&format!("{wrong}:5: {words}")), "{out}{said}");
    assert!(out.contains("1 test case passed.") && out.contains("1 of 1 test case failed."), "{out}");
    let (code, out, _) = validate(&[&wrong, &right, "--json"]);
    let objects: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(code, Some(1));
    assert_eq!((objects[0]["failed"].as_u64(), objects[1]["passed"].as_u64()), (Some(1), Some(1)));
    assert_eq!((&objects[0]["tests"][0]["line"], &objects[0]["tests"][0]["name"]), (&5.into(), &"five".into()));
    let (code, out, said) = validate(&[&refused, &right]);
    assert!(code == Some(64) && said.contains("typ") && out.contains("1 test case passed."), "{out}{said}");
}

/// The workspace is not reached: neither the token's workspace nor a user is read.
#[test]
fn preview_reads_nothing_if_a_case_fails() {
    let world = World::with(&["--users", "30"]);
    std::fs::write(world.folder.path().join("seats.toml"), PLAN).unwrap();
    let found = world.object(&["preview", "seats.toml", "--json"], 2);
    assert_eq!(found["to_change"], 30);
    let before = world.state().requests;
    std::fs::write(world.folder.path().join("seats.toml"), PLAN.replace("seats = 5 }", "seats = 6 }")).unwrap();
    let stopped = world.call(&["preview", "seats.toml"]);
    let said = String::from_utf8_lossy(&stopped.stderr).into_owned();
    assert_eq!((stopped.status.code(), world.state().requests), (Some(1), before), "{said}");
    assert!(said.contains("seats.toml:5: test \"five\": expected custom_attributes.seats = 6; got"), "{said}");
    // A run ignores the cases.
    world.object(&["run", "seats.toml", "--json"], 0);
}
