//! Plan files and expressions: a plan as TOML or JSON and, after a line of three dashes, a user as
//! JSON. Accepted plans are evaluated for that user and for some others.

use std::sync::LazyLock;

use intercom_bulk::domain::patch::{Change, Patch, Target};
use intercom_bulk::domain::user::User;
use intercom_bulk::plan::{Evaluation, Note, Plan, PlanError};
use serde_json::{Value, json};

use crate::memory::within;

const SEPARATOR: &str = "\n---\n";
/// The size of a DynamoDB item, in which a run stores its plan and a little more.
const STORED_BYTES_MAX: usize = 390 * 1024;
/// The maximum length of an error text.
const ERROR_BYTES_MAX: usize = 32 * 1024;
/// Longer texts are not sent (Intercom cuts them), nor are larger numbers (JSON readers lose
/// digits).
const TEXT_CHARS_MAX: usize = 255;
const INT_MAX: u64 = 1 << 53;
const TARGETS_MAX: usize = 64;
/// Fields that a plan may write.
const FIELDS: [&str; 4] = ["name", "phone", "signed_up_at", "unsubscribed_from_emails"];

/// Users that an expression may fail on.
static USERS: LazyLock<Vec<User>> = LazyLock::new(|| {
    let long = "Wolfeschlegelsteinhausenbergerdorff é ".repeat(500);
    let tags: Vec<Value> = (0..300)
        .map(|n| json!({"type": "tag", "id": n.to_string(), "name": long.chars().take(n).collect::<String>()}))
        .collect();
    let companies = |ids: &[&str]| -> Vec<Value> {
        ids.iter().map(|id| json!({"type": "company", "id": "c", "company_id": id, "name": "Old"})).collect()
    };
    let full = json!({
        "type": "user", "id": "5714dd359a3fd47136000001", "user_id": "25", "email": "ann@Example.com", "phone": "+353 1 5556712",
        "name": "Ann O'Neil", "avatar": {"type": "avatar", "image_url": "https://static.example.com/a.jpg"},
        "companies": {"companies": companies(&["366"])}, "session_count": 41, "signed_up_at": 1_475_569_818,
        "unsubscribed_from_emails": false, "location_data": {"country_name": "Ireland", "latitude": 53.2},
        "custom_attributes": {"plan": "Pro Plus", "plan_price": 49.0, "n": -7, "x": null, "a": "3", "b": 1e300},
        "tags": {"tags": [{"id": "1", "name": "beta"}, {"id": "2", "name": null}, {"id": "3"}]},
    });
    let odd = json!({
        "id": "odd", "name": 5, "email": ["a@b"], "avatar": [], "companies": {"companies": [1, null, {"company_id": 366}]},
        "custom_attributes": {"plan": {"deep": [1, {"er": 2}]}, "n": u64::MAX, "a": "é👩‍🚀", "x": true},
        "tags": {"tags": {"name": 1}}, "session_count": "41", "location_data": 0,
    });
    let large = json!({
        "id": "large", "name": long, "email": format!("{long}@{long}"), "tags": {"tags": tags},
        "companies": {"companies": companies(&["1", "1", "2"])}, "custom_attributes": {"plan": long, "n": i64::MIN, "a": ""},
    });
    let none = json!({"id": "none", "name": null, "email": null, "avatar": null, "companies": null, "custom_attributes": null});
    [full, odd, large, none, json!({"id": "bare"})]
        .into_iter()
        .map(|body| User::new(body).expect("it has an id"))
        .collect()
});

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (text, own) = text.split_once(SEPARATOR).unwrap_or((text, ""));
    let users = LazyLock::force(&USERS);
    match within((4 << 20) + 200 * text.len(), || read(text)) {
        Ok(plan) => accepted(&plan, users.iter().chain(&user(own))),
        Err(error) => refused(&error),
    }
}

/// The day of the run, in Unix seconds.
const TODAY_S: i64 = 1_479_981_900;

/// Parses TOML, or JSON if it looks like an object.
///
/// A JSON file and the object in it are accepted alike, except for duplicate keys.
fn read(text: &str) -> Result<Plan, PlanError> {
    if text.trim_start().starts_with('{') {
        let read = Plan::from_json_text("plan.json", text);
        let value: Option<Value> = serde_json::from_str(text).ok();
        if let (Some(value), Ok(plan)) = (&value, &read) {
            assert_eq!(Plan::from_json(value).map(|plan| plan.to_json()), Ok(plan.to_json()));
        }
        return read.map(|plan| plan.on_day_of(TODAY_S));
    }
    Plan::from_toml("plan.toml", text).map(|plan| plan.on_day_of(TODAY_S))
}

fn user(text: &str) -> Option<User> {
    let mut body: Value = serde_json::from_str(text).ok()?;
    body.as_object_mut()?.insert("id".to_owned(), "own".into());
    User::new(body)
}

fn refused(error: &PlanError) {
    let text = error.to_string();
    assert!((1..=ERROR_BYTES_MAX).contains(&text.len()), "an error of {} bytes", text.len());
}

fn accepted<'u>(plan: &Plan, users: impl Iterator<Item = &'u User>) {
    let stored = plan.to_json();
    assert!(stored.to_string().len() <= STORED_BYTES_MAX, "a plan that no ledger can keep");
    let again = Plan::from_json(&stored).expect("a plan that was accepted is accepted from its stored copy");
    let again = again.on_day_of(TODAY_S);
    assert_eq!((plan.warnings(), plan.unseen(0)), (again.warnings(), again.unseen(0)));
    assert_eq!((plan.name(), plan.targets()), (again.name(), again.targets()));
    assert!((1..=TARGETS_MAX).contains(&plan.targets().len()));
    for result in plan.check_cases() {
        assert!(!result.got.is_empty() && !result.expected.is_empty());
    }
    for user in users {
        let bytes = user.body().to_string().len();
        let evaluation = within((8 << 20) + 64 * bytes, || plan.evaluate(user));
        assert_eq!(evaluation, again.evaluate(user), "the stored copy decides otherwise");
        let explained = within((16 << 20) + 64 * bytes, || plan.explain(user));
        assert_eq!(evaluation, explained.evaluation, "its steps are those of a run");
        evaluated(&evaluation, user);
        assert!(plan.unseen(plan.seen(user)).len() <= plan.unseen(0).len());
        if let Some(patch) = &evaluation.patch {
            let after = plan.evaluate(&patched(user, patch));
            assert_eq!(after.patch, None, "it would be sent again after {patch:?}");
        }
        for (_, name) in plan.company_names(user) {
            scalar(&name);
        }
    }
}

fn evaluated(evaluation: &Evaluation, user: &User) {
    for note in &evaluation.notes {
        match note {
            Note::MissedKey { key: Some(key), .. } => assert!(!key.contains('@') && key.chars().count() <= 80, "{key}"),
            Note::Failed { message, .. } => assert!((1..200).contains(&message.len()), "{message}"),
            Note::Same => assert_eq!(evaluation.patch, None),
            Note::MissedKey { .. } | Note::Skipped(_) => {}
        }
    }
    let Some(patch) = &evaluation.patch else { return };
    assert_eq!(&patch.user, user.id());
    assert!((1..=TARGETS_MAX).contains(&patch.changes.len()));
    for change in &patch.changes {
        scalar(&change.new);
        assert_ne!(Some(&change.new), change.replaced.as_ref(), "it changes nothing");
        match &change.target {
            Target::Attribute(name) => assert!((1..=190).contains(&name.chars().count()), "{name}"),
            Target::Field(name) => assert!(FIELDS.contains(&name.as_str()), "{name}"),
            Target::CompanyName(_) => assert!(change.new.is_string()),
        }
    }
}

/// Asserts that Intercom accepts the value.
fn scalar(value: &Value) {
    match value {
        Value::String(text) => assert!(text.chars().count() <= TEXT_CHARS_MAX),
        Value::Number(number) if number.is_f64() => assert!(number.as_f64().is_some_and(f64::is_finite)),
        Value::Number(number) => assert!(number.as_i64().is_some_and(|int| int.unsigned_abs() <= INT_MAX), "{number}"),
        Value::Bool(_) | Value::Null => {}
        Value::Array(_) | Value::Object(_) => panic!("{value} is no scalar"),
    }
}

/// Returns the user after Intercom has applied the patch.
fn patched(user: &User, patch: &Patch) -> User {
    let mut body = user.body().clone();
    for Change { target, new, .. } in &patch.changes {
        match target {
            Target::Attribute(name) => {
                if !body["custom_attributes"].is_object() {
                    body["custom_attributes"] = json!({});
                }
                body["custom_attributes"][name] = new.clone();
            }
            Target::Field(name) => body[name] = new.clone(),
            Target::CompanyName(id) => {
                let list = body.pointer_mut("/companies/companies").and_then(Value::as_array_mut);
                let is_it = |company: &&mut Value| match &company["company_id"] {
                    Value::String(text) => text == id,
                    Value::Number(number) => number.to_string() == *id,
                    _ => false,
                };
                list.into_iter()
                    .flatten()
                    .filter(|company| company.is_object())
                    .filter(is_it)
                    .for_each(|company| company["name"] = new.clone());
            }
        }
    }
    User::new(body).expect("its id is the same")
}
