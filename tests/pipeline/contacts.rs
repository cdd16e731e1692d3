//! API 2.x: contacts are listed page by page, and each is written by a request of its own.

use intercom_bulk::domain::api::ApiVersion;
use intercom_bulk::domain::run::State;
use intercom_simulator::{ContactOptions, Fault, Gone, Options};
use serde_json::{Value, json};

use crate::intercom::Closed;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, faults, users, with_attributes};
use crate::report::Report;

/// The newest version, and one whose errors and types differ.
const VERSIONS: [&str; 2] = ["2.17", "2.3"];

/// Leads of the workspace.
pub(crate) const LEADS: u64 = 37;

/// Returns a workspace with the attribute that the plan writes.
pub(crate) fn workspace(of_users: usize) -> Options {
    let contacts = ContactOptions { leads: LEADS as usize, ..ContactOptions::default() };
    with_attributes(&["has avatar:boolean"], Options { contacts, ..users(of_users) })
}

pub(crate) async fn pipeline(options: Options) -> Pipeline {
    Pipeline::of_version("2.17", HAS_AVATAR, options).await
}

#[tokio::test(start_paused = true)]
async fn contacts_settle_in_one_run() {
    for version in VERSIONS {
        let pipeline = Pipeline::of_version(version, HAS_AVATAR, workspace(1_000)).await;
        let leads = pipeline.world.leads();
        let dry = pipeline.run(json!({"rails": {"dry_run": true}})).await;
        assert_eq!((dry.state(), dry.world.contacts.written), (State::Complete, 0));
        let first = pipeline.run(Value::Null).await;
        first.assert_complete_with(LEADS);
        assert_eq!(first.run.version.map(ApiVersion::as_str), Some(version));
        assert_eq!(first.cursor.tally.users, 1_037, "leads are read, too");
        assert_eq!(first.cursor.tally.skip_reasons["lead"], 37);
        assert_eq!(first.cursor.tally.patches, dry.cursor.tally.patches);
        assert_eq!(first.world.contacts.written, first.cursor.tally.patches, "each change was sent once");
        let of_jobs: u64 = first.jobs.iter().map(|job| job.users).sum();
        assert_eq!(of_jobs, first.cursor.tally.patches, "each write is in a job of its minute");
        assert_eq!((first.world.given_429, first.world.jobs.len()), (0, 0));
        let second = pipeline.run(Value::Null).await;
        second.assert_complete_with(LEADS);
        assert_eq!((second.world.contacts.written, second.jobs.len()), (first.world.contacts.written, 0));
        assert_eq!(pipeline.world.leads(), leads, "plans are about users");
    }
}

/// A plan that writes an attribute that the workspace does not have, or has with another type.
#[tokio::test(start_paused = true)]
async fn attributes_are_checked_before_the_run() {
    for (attribute, says) in [
        ("x:boolean", "does not exist"),
        ("has picture:string", "has the type string"),
        ("has picture:boolean:archived", "archived"),
    ] {
        let pipeline = Pipeline::of_version("2.17", &picture(), with_attributes(&[attribute], users(60))).await;
        let error = pipeline.engine.scroll(pipeline.start_event(&Value::Null)).await.unwrap_err();
        assert!(error.contains("\"has picture\"") && error.contains(says), "{attribute}: {error}");
        let state = pipeline.world.state().contacts;
        assert_eq!((state.listed, state.written), (0, 0), "nothing else was requested");
    }
}

/// Returns a plan for an attribute that no simulated user has.
pub(crate) fn picture() -> String {
    HAS_AVATAR.replace("has avatar", "has picture")
}

/// An attribute that is removed after the check is the run's fault and not its users'.
#[tokio::test(start_paused = true)]
async fn missing_attribute_pauses_the_run() {
    let options = Options { contacts: ContactOptions::default(), ..users(600) };
    let pipeline = Pipeline::of_version("2.17", &picture(), options).await;
    pipeline.way.disturb("GET /data_attributes", Closed::Answers(403));
    let paused = pipeline.run(Value::Null).await;
    assert_eq!(paused.state(), State::Paused, "{}", paused.reason());
    assert!(
        paused.reason().contains("50 users in a row") && paused.reason().contains("does not exist"),
        "{}",
        paused.reason()
    );
    assert_eq!((paused.world.contacts.written, paused.errors.len()), (0, 0));
    assert!(paused.world.contacts.refused < 100, "{}", paused.world.contacts.refused);
    // Any user with the attribute makes it exist.
    let id = pipeline.world.users()[0]["id"].as_str().unwrap().to_owned();
    pipeline.world.set_user(&id, |user| user["custom_attributes"]["has picture"] = json!("unknown"));
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    let done = pipeline.until_ended(&paused.run.id).await;
    assert_eq!(done.state(), State::Complete, "{}", done.reason());
    assert_eq!((done.lacking.len(), done.run.generation), (0, 1), "the position was kept");
}

/// Contacts that are deleted, merged, archived or blocked between their page and their write.
#[tokio::test(start_paused = true)]
async fn contacts_that_are_gone_are_counted_and_blocked_ones_fail() {
    let pipeline = pipeline(Options { rate_limit_per_10s: 40, ..workspace(300) }).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.contacts.listed >= 300 + LEADS).await;
    let lacking: Vec<String> = {
        let users = pipeline.world.users();
        let to_change = users.iter().filter(|user| user["custom_attributes"].get("has avatar").is_none());
        to_change.rev().map(|user| user["id"].as_str().unwrap().to_owned()).take(4).collect()
    };
    for (id, how) in lacking.iter().zip([Gone::Deleted, Gone::Merged, Gone::Archived, Gone::Blocked]) {
        assert!(pipeline.world.lose_contact(id, how));
    }
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    assert_eq!((report.accounts.totals.gone, report.errors.len()), (3, 1), "{:?}", report.errors);
    assert_eq!(report.errors[0].user, lacking[3]);
    report.assert_counts_add_up();
}

/// Lost answers, server errors and 429s of pages and writes cost time and no user.
#[tokio::test(start_paused = true)]
async fn faults_of_single_requests_lose_no_user() {
    for texts in [
        &["lose-call=write:3", "drop-call=write:7", "error-call=write:11"][..],
        &["late-error-call=write:2", "empty-call=write:9", "unavailable-call=write:5"],
        &["limit-call=write:20", "limit-call-bare=write:60", "limit-call=list:2"],
        &["lose-call=list:2", "error-call=list:3", "empty-call=list:4", "unavailable-call=list:5"],
        &["drop-call=list:1", "slow-call=list:3:70", "lose-call=me:1"],
        &["repeat-cursor=3"],
        &["error-call=attributes:1", "lose-call=attributes:2"],
    ] {
        let pipeline = pipeline(Options { faults: faults(texts), ..workspace(700) }).await;
        let report = pipeline.run(Value::Null).await;
        assert_eq!(report.state(), State::Complete, "{texts:?}: {}", report.reason());
        report.assert_complete_with(LEADS);
        assert_fired(&report, texts);
        let again = report.world.contacts.written - report.cursor.tally.patches;
        assert!(again <= 4, "{texts:?}: {again} writes were carried out twice");
    }
}

/// Asserts that each of these faults has struck.
pub(crate) fn assert_fired(report: &Report, faults: &[&str]) {
    let missing = |text: &&&str| !report.world.fired.contains_key(text.split('=').next().unwrap_or_default());
    let missing: Vec<&&str> = faults.iter().filter(missing).collect();
    assert!(missing.is_empty(), "{missing:?} did not strike: {:?}", report.world.fired);
}

/// A page that names its own place as the next one is requested five times more, after 10, 20, 40, 80 and
/// 160 s. Then the run says that the list was cut: an early end never reads as a complete one.
#[tokio::test(start_paused = true)]
async fn page_that_stays_repeated_ends_the_run_incomplete() {
    let repeats: Vec<Fault> = (3..20).map(|number| format!("repeat-cursor={number}").parse().unwrap()).collect();
    let pipeline = pipeline(Options { faults: repeats, ..workspace(700) }).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    let says = "Intercom sent the same page or its own place 6 times in a row; ";
    assert!(
        report.reason().contains(says) && report.reason().contains(" of 737 users were read"),
        "{}",
        report.reason()
    );
    assert_eq!(report.world.fired["repeat-cursor"], 6, "one request and five more");
    assert!((310..370).contains(&report.seconds), "{}", report.seconds);
    assert!(report.lacking.len() > 100, "the rest was not read");
    report.assert_nobody_lost();
}

/// Intercom shows a contact's first ten companies. A plan that reads them has no right value for a contact
/// with eleven: it is this user's error, and the others are written.
#[tokio::test(start_paused = true)]
async fn list_that_is_cut_is_the_users_error() {
    let plan = r#"
        name = "companies"
        [set.custom_attributes.companies]
        type = "int"
        value = "user.companies.companies | length"
    "#;
    for version in ["2.17", "preview"] {
        let options = with_attributes(&["companies:integer"], users(60));
        let pipeline = Pipeline::of_version(version, plan, options).await;
        let ids: Vec<String> =
            pipeline.world.users().iter().take(2).map(|user| user["id"].as_str().unwrap().to_owned()).collect();
        for (id, count) in ids.iter().zip([10, 11]) {
            let company = |index| json!({"company_id": format!("c{index}"), "name": format!("Company {index}")});
            let companies: Vec<Value> = (0..count).map(company).collect();
            assert!(pipeline.world.set_user(id, |user| user["companies"] = json!({ "companies": companies })));
        }
        let report = pipeline.run(Value::Null).await;
        assert_eq!(report.state(), State::CompleteWithErrors, "{version}: {}", report.reason());
        let errors: Vec<(&str, &str)> =
            report.errors.iter().map(|row| (row.user.as_str(), row.code.as_str())).collect();
        assert_eq!(errors, [(ids[1].as_str(), "list_cut")], "{version}");
        assert!(report.errors[0].message.contains("user.companies"), "{:?}", report.errors[0]);
        let value = |id: &str| pipeline.world.user(id).unwrap()["custom_attributes"]["companies"].clone();
        assert_eq!((value(&ids[0]), value(&ids[1])), (json!(10), Value::Null), "{version}");
    }
}

/// A small rate limit cuts a page into parts of one user.
#[tokio::test(start_paused = true)]
async fn page_of_more_than_a_hundred_parts_ends() {
    let mut options = Options { rate_limit_per_10s: 5, ..workspace(160) };
    options.contacts.leads = 0;
    let pipeline = pipeline(options).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    let page = pipeline.engine.clients.ledger.committed_page(&report.run.id, 1, 1).await.unwrap().unwrap();
    assert!(page.parts > 100, "{page:?}");
}

/// A page whose cursor Intercom refuses begins the list again.
#[tokio::test(start_paused = true)]
async fn refused_cursor_begins_the_list_again() {
    let pipeline = pipeline(Options { faults: faults(&["refuse-cursor=4"]), ..workspace(700) }).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete_with(LEADS);
    assert_eq!(report.run.generation, 2);
}

/// A list that ends early is requested again from its last page on, and then reported with both numbers.
/// The first request of a list counts the contacts.
#[tokio::test(start_paused = true)]
async fn list_that_ends_early_is_read_on_or_reported() {
    for (ends, read, seconds) in [
        // The list ends after its first page, a later one, and the last one but one.
        (&[2][..], 737, 30),
        (&[4, 5], 737, 90),
        (&[5, 6, 7], 737, 210),
        (&[3, 6], 737, 60),
        // Less than a page is missing: the summary states both numbers.
        (&[5, 6, 7, 8], 600, 210),
        (&[2, 3, 4, 5], 150, 210),
    ] {
        let ends_of: Vec<Fault> = ends.iter().map(|number| format!("end-list={number}").parse().unwrap()).collect();
        let pipeline = pipeline(Options { faults: ends_of, ..workspace(700) }).await;
        let report = pipeline.run(Value::Null).await;
        assert_eq!(report.cursor.tally.users, read, "{ends:?}");
        assert_eq!(report.accounts.totals.count, Some(737), "{ends:?}");
        let state = if read < 600 { State::Incomplete } else { State::Complete };
        assert_eq!(report.state(), state, "{ends:?}: {}", report.reason());
        assert!(state == State::Complete || report.reason().contains("737 users, and its list ended after 150"));
        assert!((seconds..seconds + 60).contains(&report.seconds), "{ends:?}: {}", report.seconds);
        assert_eq!(report.world.contacts.written, report.cursor.tally.patches, "{ends:?}: a user was sent twice");
        if read == 737 {
            report.assert_complete_with(LEADS);
        }
    }
}

/// A run keeps the version that it began with when the setting changes in mid-run.
#[tokio::test(start_paused = true)]
async fn run_keeps_its_version() {
    for (began, then) in [("2.17", "1.4"), ("1.4", "2.17"), ("2.17", "2.3")] {
        let options = Options { rate_limit_per_10s: 300, latency_ms: 110, ..workspace(900) };
        let mut pipeline = Pipeline::of_version(began, HAS_AVATAR, options).await;
        let run = pipeline.start(Value::Null).await;
        let begun = |state: &intercom_simulator::State| state.contacts.written > 100 || state.jobs.len() > 1;
        pipeline.until(begun).await;
        pipeline.crash().await;
        pipeline.way.speak(then);
        pipeline.lose_queues().await;
        pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
        let report = pipeline.until_ended(&run).await;
        report.assert_complete_with(if began == "1.4" { 0 } else { LEADS });
        assert_eq!(report.run.version.map(ApiVersion::as_str), Some(began));
        assert_eq!(report.world.jobs.is_empty(), began != "1.4", "{began} {then}");
    }
}
