//! Runs without faults: one run gives every user the plan's value, and the next one writes nothing.

use std::collections::{BTreeMap, BTreeSet};

use intercom_bulk::domain::api::ApiVersion;
use intercom_bulk::domain::run::State;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};

use super::api::{On, workspace};
use crate::limits::FAILS_FOR_SOME;
use crate::plans::{ACCOUNT_BY_EMAIL, COMPANY_NAME, HAS_AVATAR, PLAN_PRICE, faults};
use crate::report::Report;
use crate::verifying::read_back;

super::scenarios! {
    on_each_api: [
        has_avatar_settles_in_one_run,
        plan_price_settles_in_one_run,
        account_by_email_settles_in_one_run,
        dry_run_predicts_the_run,
        same_plan_ends_alike_on_each_api,
        limit_reads_exactly_that_many_users,
        listed_users_are_read_by_id,
    ];
    company_keeps_the_name_from_a_run on [v1_4] not [
        v2_17 "a contact's companies have no names",
        preview "a contact's companies have no names"
    ];
}

async fn settles(on: On, plan: &str) {
    let pipeline = on.pipeline(plan, workspace(400)).await;
    let to_change = Report::to_change(&pipeline) as u64;
    assert!(to_change > 40, "{to_change}");
    let first = pipeline.run(Value::Null).await;
    first.assert_complete();
    let version = first.run.version.map(ApiVersion::as_str).unwrap_or_default();
    assert!(version.eq_ignore_ascii_case(on.version), "{version}");
    let users_of_jobs: u64 = first.jobs.iter().map(|job| job.users).sum();
    let totals = &first.accounts.totals;
    assert_eq!((first.cursor.tally.patches, users_of_jobs, totals.written), (to_change, to_change, to_change));
    assert_eq!(on.written(&first.world), to_change, "each change was sent once");
    assert_eq!((first.world.given_429, totals.jobs_possibly_lost), (0, 0));
    let checked = if on.reads_back() { to_change.min(100) } else { 0 };
    assert_eq!((u64::from(read_back(&first).kept), on.reads(&first.world)), (checked, checked));
    assert_eq!(first.world.jobs.is_empty(), on.poll.is_none(), "by bulk jobs where the API has them");
    let second = pipeline.run(Value::Null).await;
    second.assert_complete();
    let sent = (second.cursor.tally.patches, second.jobs.len(), on.writes(&second.world));
    assert_eq!(sent, (0, 0, on.writes(&first.world)), "nothing was left to send");
}

async fn has_avatar_settles_in_one_run(on: On) {
    settles(on, HAS_AVATAR).await;
}

async fn plan_price_settles_in_one_run(on: On) {
    settles(on, PLAN_PRICE).await;
}

async fn account_by_email_settles_in_one_run(on: On) {
    settles(on, ACCOUNT_BY_EMAIL).await;
}

/// People of one company have e-mail addresses of several domains, so they disagree on its name.
async fn company_keeps_the_name_from_a_run(on: On) {
    let pipeline = on.pipeline(COMPANY_NAME, workspace(2_000)).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::CompleteWithErrors, "{}", first.reason());
    first.assert_nobody_lost();
    assert!(first.errors.iter().all(|row| row.code == "company_named_differently"), "{:?}", first.errors);
    assert!(on.written(&first.world) > 0 && first.users_in_error().len() == first.errors.len());
    let second = pipeline.run(Value::Null).await;
    second.assert_nobody_lost();
    assert_eq!(on.written(&second.world), on.written(&first.world), "a second run renames no company");
    assert_eq!(second.users_in_error(), first.users_in_error());
}

async fn dry_run_predicts_the_run(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, workspace(400)).await;
    let before = pipeline.world.users();
    let dry = pipeline.run(json!({"rails": {"dry_run": true}})).await;
    assert_eq!((dry.state(), on.writes(&dry.world), dry.jobs.len()), (State::Complete, 0, 0), "{}", dry.reason());
    assert!(dry.cursor.tally.patches > 100 && pipeline.world.users() == before, "{:?}", dry.cursor.tally);
    let run = pipeline.run(Value::Null).await;
    run.assert_complete();
    assert_eq!((run.cursor.tally.patches, run.cursor.tally.same), (dry.cursor.tally.patches, dry.cursor.tally.same));
    let after = pipeline.run(json!({"rails": {"dry_run": true}})).await;
    assert_eq!((after.state(), after.cursor.tally.patches), (State::Complete, 0));
}

/// The end of a plan, apart from the API.
#[derive(Debug, PartialEq)]
struct Ended {
    state: State,
    attributes: BTreeMap<String, Value>,
    /// Users that Intercom was asked to change, and those of them with the value.
    submitted: u64,
    written: u64,
    /// Users that were skipped, and those that had the value.
    others: (u64, u64),
    errors: BTreeSet<[String; 3]>,
}

async fn ended(on: On, plan: &str, faults: Vec<Fault>) -> Ended {
    let pipeline = on.pipeline(plan, Options { faults, ..workspace(300) }).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_nobody_lost();
    assert_eq!(report.dead, Vec::<String>::new());
    let user = |user: Value| (user["id"].as_str().unwrap().to_owned(), user["custom_attributes"].clone());
    Ended {
        state: report.state(),
        attributes: pipeline.world.users().into_iter().map(user).collect(),
        submitted: report.cursor.tally.patches,
        written: report.accounts.totals.written,
        others: (report.cursor.tally.skipped, report.cursor.tally.same),
        errors: report.errors.into_iter().map(|row| [row.user, row.code, own_words(&row.message)]).collect(),
    }
}

/// Returns Intercom's words in a message. The answer to a single write is quoted with its request's id.
fn own_words(message: &str) -> String {
    message.split('"').nth(1).unwrap_or(message).to_owned()
}

/// The plan fails for some users, or Intercom refuses some of them.
async fn same_plan_ends_alike_on_each_api(on: On) {
    let other = if on == On::v1_4() { On::v2_17() } else { On::v1_4() };
    for (plan, texts, fails) in [
        (HAS_AVATAR, &[][..], false),
        (PLAN_PRICE, &[], false),
        (FAILS_FOR_SOME, &[], true),
        (HAS_AVATAR, &["item-error=6%:parameter_invalid:name is invalid"], true),
    ] {
        let [this, other] = [ended(on, plan, faults(texts)).await, ended(other, plan, faults(texts)).await];
        assert_eq!(!this.errors.is_empty(), fails);
        assert_eq!(this, other, "{texts:?}: {} is first", on.version);
    }
}

async fn limit_reads_exactly_that_many_users(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, workspace(500)).await;
    let to_change = Report::to_change(&pipeline) as u64;
    let report = pipeline.run(json!({"rails": {"limit": 250}})).await;
    assert_eq!((report.state(), report.cursor.tally.users), (State::Complete, 250), "{}", report.reason());
    let counts = u64::from(on.has_contacts());
    assert_eq!(on.lists(&report.world), 250_u64.div_ceil(on.page_users) + counts, "no page is requested after it");
    let patches = report.cursor.tally.patches;
    assert!(patches > 50, "{patches}");
    assert_eq!((on.written(&report.world), report.lacking.len() as u64), (patches, to_change - patches));
    assert_eq!((report.errors.len(), report.dead.len()), (0, 0));
    report.assert_jobs_known();
    report.assert_counts_add_up();
    report.assert_intercom_respected();
    let next = pipeline.run(Value::Null).await;
    next.assert_complete();
    assert!(next.seconds >= 60 || on.has_contacts(), "the scroll stayed open: {} s", next.seconds);
}

async fn listed_users_are_read_by_id(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, workspace(300)).await;
    let ids: Vec<Value> = pipeline.world.users().iter().map(|user| user["id"].clone()).take(47).collect();
    let unknown = "5714dd359a3fd47136ffffff";
    let mut asked = ids.clone();
    asked.insert(5, json!(unknown));
    // The app's own `user_id`; the list takes Intercom's ids only.
    asked.insert(9, json!("25"));
    let report = pipeline.run(json!({ "users": asked })).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    let row = |row: &intercom_bulk::ledger::ErrorRow| {
        (row.user.clone(), row.code.clone(), row.message.contains("24 hexadecimal digits"))
    };
    let errors: Vec<_> = report.errors.iter().map(row).collect();
    let not_found = |user: &str, hints| (user.to_owned(), "not_found".to_owned(), hints);
    assert_eq!(errors, [not_found("25", true), not_found(unknown, false)]);
    assert!(ids.iter().all(|id| !report.lacking.contains(id.as_str().unwrap())), "those named have the value");
    assert!(report.lacking.len() > 50, "the others were not changed");
    assert_eq!(on.lists(&report.world), 0);
    assert_eq!((report.cursor.tally.users, on.written(&report.world)), (47, report.cursor.tally.patches));
    let checks = u64::from(read_back(&report).users);
    assert_eq!(on.reads(&report.world), 49 + checks, "each is read once");
    report.assert_jobs_known();
    report.assert_counts_add_up();
    report.assert_intercom_respected();
}
