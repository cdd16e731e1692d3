//! Small workspaces that reproduce faults from the field, each with its right result. `tests/field`
//! has a folder for each: `world.json` for `simulate --world`, and `plan.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::world::{World, plan};

/// A workspace of `tests/field` and the plan that runs on it.
struct Case {
    world: World,
    plan: PathBuf,
}

/// The end of a run.
struct Ended {
    code: Option<i32>,
    /// The command's whole output.
    said: String,
    /// The last line of its standard output; null if it is not JSON.
    summary: Value,
    /// Code and message of each user's error, by the user's number.
    errors: BTreeMap<u32, (String, String)>,
}

/// Returns Intercom's id of the n-th user, from 1.
fn user(number: u32) -> String {
    format!("5714dd359a3fd47136{number:06x}")
}

fn number(user: &Value) -> u32 {
    u32::from_str_radix(&user.as_str().unwrap()[18..], 16).unwrap()
}

impl Case {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/field").join(name);
        let file = folder.join("world.json");
        Self { world: World::with(&["--world", file.to_str().unwrap()]), plan: folder.join("plan.toml") }
    }

    /// Runs the plan to its end.
    fn run(&self, more: &[&str]) -> Ended {
        let output = self.world.call(&[&["run", self.plan.to_str().unwrap(), "--json"], more].concat());
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let summary = out.lines().last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        let listed = self.world.call(&["errors", "--json"]);
        let rows = String::from_utf8_lossy(&listed.stdout).into_owned();
        let rows = rows.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ended {
            code: output.status.code(),
            said: out + &String::from_utf8_lossy(&output.stderr),
            summary,
            errors: rows.map(|row| (number(&row["user"]), (text(&row["code"]), text(&row["message"])))).collect(),
        }
    }

    /// Returns the custom attribute of each user that has it, by the user's number.
    fn values(&self, attribute: &str) -> BTreeMap<u32, Value> {
        let value = |user: Value| Some((number(&user["id"]), user["custom_attributes"].get(attribute)?.clone()));
        self.world.users().into_iter().filter_map(value).collect()
    }

    fn posts(&self) -> u64 {
        self.world.state().requests.get("POST /bulk/users").copied().unwrap_or(0)
    }
}

/// Returns the expected values: each of these users has the value, and no other user has one.
fn all(users: impl IntoIterator<Item = u32>, value: &Value) -> BTreeMap<u32, Value> {
    users.into_iter().map(|user| (user, value.clone())).collect()
}

/// Tests one user whose bulk request gets this error, among eleven others.
fn one_bad_user(case: &str, code: &str, message: &str) {
    let case = Case::new(case);
    let ended = case.run(&[]);
    assert_eq!(ended.code, Some(2), "{}", ended.said);
    assert_eq!(ended.summary["state"], "complete_with_errors", "{}", ended.said);
    assert_eq!(case.values("active"), all((1..=12).filter(|user| *user != 5), &json!(true)));
    assert_eq!(ended.errors.keys().collect::<Vec<_>>(), [&5], "{:?}", ended.errors);
    let (its_code, its_message) = &ended.errors[&5];
    let row = format!("{its_code}: {its_message}");
    assert!(row.contains(code) && row.contains(message), "{row}");
    assert!(case.posts() <= 20, "{} requests for 12 users", case.posts());
    assert!(!ended.said.contains("token"), "{}", ended.said);
}

#[test]
fn one_user_answered_500_fails_alone() {
    one_bad_user("poison-500", "500", "Server Error");
}

#[test]
fn one_user_answered_404_fails_alone() {
    one_bad_user("post-404-user", "not_found", "User Not Found");
}

#[test]
fn one_listed_user_answered_410_fails_alone() {
    let case = Case::new("user-410");
    let ended = case.run(&["--user", &user(1), "--user", &user(2)]);
    assert_eq!(ended.summary["state"], "complete_with_errors", "{}", ended.said);
    assert_eq!(case.values("active"), all([1], &json!(true)));
    assert_eq!(ended.errors.keys().collect::<Vec<_>>(), [&2]);
    let (code, message) = &ended.errors[&2];
    assert!(matches!(code.as_str(), "not_found" | "contact_merged") && message.contains("merged"), "{code}: {message}");
}

#[test]
fn lone_surrogate_does_not_lose_a_page() {
    let case = Case::new("lone-surrogate-read");
    let ended = case.run(&[]);
    assert_eq!(ended.summary["state"], "complete", "{}", ended.said);
    let mut names = all([], &Value::Null);
    names.extend([1, 3, 4, 5].map(|user| (user, json!(format!("User {user}")))));
    names.insert(2, json!("Zo\u{fffd}"));
    assert_eq!(case.values("full_name"), names);
}

#[test]
fn escaped_name_is_copied_as_text() {
    let case = Case::new("escaped-name-copied");
    assert_eq!(case.run(&[]).summary["state"], "complete");
    let names = [(1, "Siobhán O'Brien"), (2, "Tom & Jerry <3"), (3, "Ann")];
    assert_eq!(case.values("full_name"), names.map(|(user, name)| (user, json!(name))).into());
    let posts = case.posts();
    assert_eq!(case.run(&[]).summary["state"], "complete");
    assert_eq!(case.posts(), posts, "equal names were sent again");
}

#[test]
fn list_far_below_the_count_is_incomplete() {
    let case = Case::new("counts-more");
    let ended = case.run(&[]);
    assert_eq!((ended.code, &ended.summary["state"]), (Some(3), &json!("incomplete")), "{}", ended.said);
    let reason = ended.summary["reason"].as_str().unwrap();
    assert!(reason.contains('3') && reason.contains("5000"), "{reason}");
}

/// Tests a field of the user model of 1.1; only the first user has it.
fn reads(case: &str, value: &str) {
    let case = Case::new(case);
    let ended = case.run(&[]);
    assert_ne!(ended.code, Some(64), "{}", ended.said);
    assert_eq!(case.values("source").get(&1), Some(&json!(value)), "{}", ended.said);
}

#[test]
fn plan_reads_the_owner() {
    reads("reads-owner-id", "1");
}

#[test]
fn plan_reads_the_referrer() {
    reads("reads-referrer", "google");
}

#[test]
fn plan_reads_utm_fields() {
    reads("reads-utm-source", "google");
}

#[test]
fn value_that_is_silently_ignored_is_reported() {
    let case = Case::new("silently-ignored");
    let ended = case.run(&[]);
    assert_eq!((ended.code, &ended.summary["state"]), (Some(2), &json!("complete_with_errors")), "{}", ended.said);
    let reason = ended.summary["reason"].as_str().unwrap();
    assert!(
        reason.contains(
            "did not keep custom_attributes.active as written, or another program set it back, for 5 of 5 users"
        ),
        "{reason}"
    );
    assert!((1..=5).all(|number| reason.contains(&user(number))), "{reason}");
    assert_eq!(ended.summary["read_back"]["not_kept"], 5, "{}", ended.said);
    assert_eq!(ended.summary.get("set_again"), None);

    // The next run sets the same values again, and says so before and after.
    let preview = case.world.object(&["preview", case.plan.to_str().unwrap(), "--json"], 2);
    let again = json!([{"target": "custom_attributes.active", "again": 5, "users": 5}]);
    assert_eq!(preview["set_again"], again);
    let ended = case.run(&[]);
    assert_eq!((ended.code, &ended.summary["set_again"]), (Some(2), &again), "{}", ended.said);

    // A preview needs no state.
    let mut folders = vec![case.world.folder.path().join(".bulk")];
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { folders.push(path) } else { std::fs::write(path, "damaged").unwrap() }
        }
    }
    let preview = case.world.object(&["preview", case.plan.to_str().unwrap(), "--json"], 2);
    assert_eq!(preview.get("set_again").filter(|again| !again.is_null()), None);
}

#[test]
fn text_is_not_a_boolean() {
    let case = Case::new("false-as-text");
    let ended = case.run(&[]);
    assert_eq!(ended.summary["state"], "complete_with_errors", "{}", ended.said);
    assert_eq!(ended.errors.keys().collect::<Vec<_>>(), [&1, &2, &4, &5], "{:?}", ended.errors);
    let values = case.values("paying");
    assert!(values.values().all(|value| value.is_boolean() || value.is_null()), "{values:?}");
    assert_eq!(values.get(&3), Some(&json!(false)));
}

#[test]
fn path_that_no_user_has_writes_nothing() {
    let case = Case::new("segment-names-absent");
    let ended = case.run(&[]);
    assert!(ended.code == Some(64) || ended.summary["state"] == "paused", "{}", ended.said);
    assert_eq!(case.values("vip"), BTreeMap::new());
}

#[test]
fn avatar_has_its_own_url() {
    let case = Case { plan: plan("has-avatar.toml"), ..Case::new("avatars") };
    let ended = case.run(&["--accept-unseen"]);
    let values = case.values("has avatar");
    for user in [1, 2, 3, 4, 5, 8, 9, 10] {
        assert_eq!(values.get(&user), Some(&json!(false)), "user {user}: {}", ended.said);
    }
    assert_eq!(values.get(&6), Some(&json!(true)), "{}", ended.said);
}

/// Returns the case with another expression instead of its plan's value.
fn with_value(case: &str, from: &str, to: &str) -> Case {
    let case = Case::new(case);
    let text = std::fs::read_to_string(&case.plan).unwrap();
    assert!(text.contains(from), "{text}");
    let plan = case.world.folder.path().join("plan.toml");
    std::fs::write(&plan, text.replace(from, to)).unwrap();
    Case { plan, ..case }
}

#[test]
fn date_error_names_the_filter() {
    let case = Case::new("dates");
    let ended = case.run(&[]);
    assert_eq!(ended.summary["state"], "complete_with_errors", "{}", ended.said);
    assert!(ended.errors[&1].1.contains("| unix_seconds"), "{:?}", ended.errors);

    let read = "user.custom_attributes.trial_ends";
    let case = with_value("dates", &format!("value = \"{read}\""), &format!("value = \"{read} | unix_seconds\""));
    let ended = case.run(&[]);
    assert_eq!(ended.errors.keys().collect::<Vec<_>>(), [&4, &5, &6, &7, &12, &13, &14], "{:?}", ended.errors);
    let dates = [(1, 1_479_945_600), (2, 1_479_981_900), (3, 1_479_981_900), (9, 0), (10, -1), (11, 1_479_981_900)];
    assert_eq!(case.values("trial_ends_at"), dates.map(|(user, date)| (user, json!(date))).into());
}

#[test]
fn long_text_error_names_the_filter() {
    let case = Case::new("long-texts");
    let ended = case.run(&[]);
    assert_eq!(ended.errors.keys().collect::<Vec<_>>(), [&1, &3, &4, &5], "{:?}", ended.errors);
    assert!(ended.errors.values().all(|(_, message)| message.contains("| truncate")), "{:?}", ended.errors);

    let case = with_value("long-texts", "\"user.name\"", "\"user.name | trim | truncate\"");
    let ended = case.run(&[]);
    assert_eq!(ended.summary["state"], "complete", "{}", ended.said);
    let values = case.values("full_name");
    for (user, length) in [(1, 255), (2, 255), (3, 255), (4, 255), (5, 255), (8, 6)] {
        assert_eq!(values[&user].as_str().unwrap().chars().count(), length, "user {user}");
    }
    let posts = case.posts();
    assert_eq!(case.run(&[]).summary["state"], "complete");
    assert_eq!(case.posts(), posts, "a text that Intercom keeps differently was sent again");
}
