//! The file of a saved preview: what is written is read, and anything else is refused.

use intercom_bulk::domain::patch::{Change, Patch, Target};
use intercom_bulk::domain::user::UserId;
use jiff::SignedDuration;
use serde_json::json;

use super::*;

const PLAN: &str = "name = \"p\"\ntables.price = { a = 1 }\n[set.custom_attributes.\"plan price\"]\ntype = \"int\"\n\
                    value = \"price[user.custom_attributes.plan]\"\n";

fn plan(text: &str) -> Plan {
    Plan::from_toml("p.toml", text).unwrap()
}

fn at() -> Timestamp {
    "2026-11-27T10:00:00Z".parse().unwrap()
}

fn workspace(app_id: &str) -> WorkspaceBinding {
    WorkspaceBinding { host: "api.intercom.io".to_owned(), app_id: Some(app_id.to_owned()) }
}

fn choice(version: &str) -> ApiChoice {
    ApiChoice { version: version.parse().unwrap(), reason: "it is set".to_owned() }
}

fn header() -> Header {
    Header::of(&plan(PLAN), workspace("a"), choice("2.17").version, at())
}

fn patch(user: usize) -> Patch {
    let change =
        |name: &str, replaced| Change { target: Target::Attribute(name.to_owned()), new: json!(user), replaced };
    let changes = vec![change("plan price", None), change("b", Some(json!(null)))];
    Patch { user: UserId::new(format!("u{user}")).unwrap(), changes }
}

/// Writes a file of so many users. Returns its folder and path.
fn written(users: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("saved.jsonl");
    let mut file = NewFile::create(&path).unwrap();
    file.header(&header()).unwrap();
    let patches: Vec<Patch> = (0..users).map(patch).collect();
    file.add(&patches).unwrap();
    assert!(!path.exists(), "it has no name before it is whole");
    assert_eq!(file.finish().unwrap(), Written { file: path.clone(), users: users as u64 });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    (folder, path)
}

#[test]
fn saved_changes_are_read_page_by_page() {
    for users in [0, 1, 499, 500, 1_001] {
        let (_folder, path) = written(users);
        let mut file = SavedFile::open(&path).unwrap();
        assert_eq!((file.header.clone(), file.end.users, file.read_by_others()), (header(), users as u64, None));
        assert_eq!((file.preview().users, file.preview().at_s), (users as u64, at().as_second()));
        // Twice: for the question, and for the run.
        for _ in 0..2 {
            let (mut pages, mut read) = (file.pages().unwrap(), Vec::new());
            loop {
                let page = pages.next().unwrap();
                assert!(page.len() <= 500);
                if page.is_empty() {
                    break;
                }
                read.extend(page);
            }
            assert_eq!(read, (0..users).map(patch).collect::<Vec<_>>());
        }
    }
}

#[test]
fn file_that_is_not_whole_is_refused_with_its_line() {
    let (_folder, path) = written(3);
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    let refused = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let error = SavedFile::open(&path).err().unwrap_or_else(|| panic!("accepted: {text}"));
        assert_eq!(error.exit_code(), WRONG_USAGE);
        error.to_string()
    };
    for (text, says) in [
        (String::new(), "is no saved preview"),
        ("name = \"p\"\n".to_owned(), "is no saved preview"),
        ("{\"a\": 1}\n".to_owned(), "is no saved preview"),
        ("x".repeat(2 << 20), "is no saved preview"),
        (whole.replacen("\"saved_preview\":1", "\"saved_preview\":2", 1), "newer version"),
        (whole.replacen("\"plan\":\"p\"", "\"plann\":\"p\"", 1), "line 1"),
        (lines[..4].concat(), "is cut off"),
        (whole[..whole.len() - 1].to_owned(), "is cut off"),
        (whole[..whole.len() - 30].to_owned(), "is cut off"),
        ([lines[0], lines[1], lines[3], lines[4]].concat(), "broken at line 4: the checksum"),
        (whole.replacen("\"after\":1", "\"after\":7", 1), "broken at line 5: the checksum"),
        (whole.replacen("\"user\":\"u1\"", "\"user\":\"../u\"", 1), "broken at line 3: the line has no changes"),
        ([lines[0], "{}\n"].concat(), "broken at line 2"),
        ([lines[0], &"x".repeat(2 << 20)].concat(), "broken at line 2: the line is too long"),
        (format!("{whole}{}", lines[1]), "a line follows the last one"),
    ] {
        let said = refused(&text);
        assert!(said.contains(says), "{says}: {said}");
    }
}

#[test]
fn another_plan_workspace_api_or_day_is_named() {
    let check = |text: &str, app_id: &str, version: &str, hours: i64| {
        let now = at() + SignedDuration::from_hours(hours);
        header().check(&plan(text), &workspace(app_id), &choice(version), now).err().map(|error| error.to_string())
    };
    let week = 7 * 24;
    assert_eq!(check(PLAN, "a", "2.17", week - 1), None);
    let json_plan = plan(PLAN).to_json().to_string();
    assert_eq!(PlanParts::of(&Plan::from_json_text("p.json", &json_plan).unwrap()), PlanParts::of(&plan(PLAN)));
    let case = "[[test]]\nuser = {}\nexpect = { skip = \"value_undefined\" }\n";
    assert_eq!(check(&format!("{PLAN}{case}"), "a", "2.16", 0), None, "test cases and the minor version do not matter");
    let row = PLAN.replace("a = 1", "a = 2");
    let condition = format!("where = \"user.email is present\"\n{PLAN}");
    let target = PLAN.replace("\"plan price\"", "cost");
    for (text, app_id, version, hours, says) in [
        (row.as_str(), "a", "2.17", 0, "another plan: tables.price differs."),
        (&condition, "a", "2.17", 0, "where is new."),
        (
            &target,
            "a",
            "2.17",
            0,
            "set.custom_attributes.\"plan price\" is missing, set.custom_attributes.cost is new.",
        ),
        (&PLAN.replace("name = \"p\"", "name = \"q\""), "a", "2.17", 0, "it is named q, and the preview's p"),
        (PLAN, "b", "2.17", 0, "is of workspace a at api.intercom.io, and the access token belongs to workspace b"),
        (PLAN, "a", "1.4", 0, "set INTERCOM_API=2.17"),
        (PLAN, "a", "2.17", week, "7 days old, and at most 7"),
    ] {
        let said = check(text, app_id, version, hours).unwrap_or_default();
        assert!(said.contains(says), "{says}: {said}");
    }
}

#[test]
fn plan_that_reads_today_is_named_on_another_day() {
    let today = plan(&PLAN.replace("price[user.custom_attributes.plan]", "user.created_at | days_until(today)"));
    let later = |hours| at() + SignedDuration::from_hours(hours);
    let warned = |plan: &Plan, now| header().other_day(plan, now).is_some();
    assert!(!warned(&today, later(13)) && warned(&today, later(14)));
    assert!(!warned(&plan(PLAN), later(30)));
}

#[test]
fn file_in_a_folder_that_does_not_exist_is_refused_before_the_preview() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().join("none/saved.jsonl"), folder.path().to_owned()] {
        let error = NewFile::create(&path).err().unwrap();
        assert!(error.to_string().contains("Nothing was read"), "{error}");
    }
    drop(NewFile::create(&folder.path().join("saved.jsonl")).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "a file that is not whole is removed");
}
