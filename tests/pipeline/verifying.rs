//! The check of written values: after its last job, a run reads some of its users back.

use std::time::Duration;

use intercom_bulk::domain::api::Submitted;
use intercom_bulk::domain::run::{ReadBackTotals, RunId, State};
use intercom_bulk::ledger::{JobOf, JobRow};
use intercom_bulk::runtime::clients::Clients;
use intercom_simulator::{Alteration, Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::intercom::Closed;
use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, faults, users};
use crate::report::Report;
use crate::unreadable::resumes_with_a_token_of_its_own;

pub(crate) const READ: &str = "GET /users/{id}";

/// Returns a plan that sets the attribute `note` of each user to this expression.
pub(crate) fn note(kind: &str, value: &str) -> String {
    format!("name = \"note\"\n[set.custom_attributes.note]\ntype = \"{kind}\"\nvalue = {}\n", json!(value))
}

pub(crate) fn altered(how: Alteration, count: usize) -> Options {
    Options { faults: vec![Fault::AlterAttribute { attribute: "note".to_owned(), how }], ..users(count) }
}

pub(crate) fn read_back(report: &Report) -> ReadBackTotals {
    report.run.totals.as_ref().and_then(|totals| totals.read_back.clone()).unwrap_or_default()
}

pub(crate) fn patched(report: &Report) -> u32 {
    report.cursor.tally.patches as u32
}

#[tokio::test(start_paused = true)]
async fn values_that_match_take_no_wait() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(400)).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    let totals = ReadBackTotals { users: 100, kept: 100, ..ReadBackTotals::default() };
    assert_eq!((read_back(&report), report.world.requests[READ]), (totals, 100));
    let closed = report.jobs.iter().map(|job| job.made_ms).max().unwrap();
    assert!(report.run.ended_ms.unwrap() - closed < 10_000, "{:?}", report.run);
}

/// Users who failed in the first generation are written by the second one.
#[tokio::test(start_paused = true)]
async fn users_that_failed_in_an_earlier_generation_are_checked() {
    let some = faults(&["lose-page=2", "item-error=30%:parameter_invalid:the value is invalid"]);
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: some, ..users(240) }).await;
    let run = pipeline.start(Value::Null).await;
    let ledger = &pipeline.engine.clients.ledger;
    while ledger.run(&run).await.unwrap().is_none_or(|run| run.generation < 2) {
        sleep(Duration::from_millis(100)).await;
    }
    let failed: Vec<String> = ledger
        .errors(&ledger.run(&run).await.unwrap().unwrap())
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.user)
        .collect();
    pipeline.world.cure(&failed);
    let report = pipeline.until_ended(&run).await;
    assert!(failed.len() > 10 && patched(&report) as usize > failed.len(), "{failed:?} {:?}", report.cursor.tally);
    assert_eq!(read_back(&report).users, patched(&report) - report.errors.len() as u32, "{}", report.reason());
}

#[tokio::test(start_paused = true)]
async fn values_that_intercom_does_not_keep_are_reported() {
    for (how, kind, value) in [
        (Alteration::Ignore, "bool", "user.email is present"),
        (Alteration::Null, "int", "7"),
        (Alteration::Trim, "string", "' a '"),
        (Alteration::Cut, "string", "'a long text about this user, and more'"),
        (Alteration::Escape, "string", "'Tom & Jerry'"),
        (Alteration::Text, "float", "49.5"),
        (Alteration::Whole, "float", "49.5"),
        (Alteration::Whole, "bool", "true"),
    ] {
        let pipeline = Pipeline::new(&note(kind, value), altered(how, 30)).await;
        let report = pipeline.run(Value::Null).await;
        assert_eq!(report.state(), State::CompleteWithErrors, "{how:?}: {}", report.reason());
        let reason = report.reason();
        let or =
            if matches!(how, Alteration::Ignore | Alteration::Null) { ", or another program set it back," } else { "" };
        let said = format!("Intercom did not keep custom_attributes.note as written{or} for 30 of 30 users that were ");
        assert!(reason.starts_with(&said) && reason.ends_with(", …)"), "{how:?}: {reason}");
        let ids: Vec<String> =
            pipeline.world.users().iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect();
        assert_eq!(ids.iter().filter(|id| reason.contains(id.as_str())).count(), 5, "{reason}");
        assert_eq!(read_back(&report).not_kept, 30);
        assert_eq!(report.world.requests[READ], 60, "each value that differs is read twice");
        assert!((180..230).contains(&report.seconds), "{how:?}: {} s", report.seconds);
        report.assert_jobs_known();
        report.assert_counts_add_up();
        report.assert_intercom_respected();
    }
}

#[tokio::test(start_paused = true)]
async fn runs_without_writes_are_not_read_back() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(50)).await;
    let dry = pipeline.run(json!({"rails": {"dry_run": true}})).await;
    assert_eq!((dry.state(), read_back(&dry)), (State::Complete, ReadBackTotals::default()));
    pipeline.run(Value::Null).await.assert_complete();
    let read = pipeline.world.state().requests[READ];
    let again = pipeline.run(Value::Null).await;
    again.assert_complete();
    assert_eq!((again.world.requests[READ], read_back(&again)), (read, ReadBackTotals::default()));
}

/// Runs until the check of the written values begins or is over, and Intercom answers those reads with `how`.
pub(crate) async fn verifying(count: usize, how: Closed) -> (Pipeline, RunId) {
    verifying_with(users(count), how).await
}

async fn verifying_with(options: Options, how: Closed) -> (Pipeline, RunId) {
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    pipeline.way.disturb("GET /users/5", how);
    let run = pipeline.start(Value::Null).await;
    while pipeline.state(&run).await.is_none_or(State::submits) {
        sleep(Duration::from_millis(200)).await;
    }
    (pipeline, run)
}

/// An invocation of submit that was frozen may record its job after another one has sent the part, and
/// some of its users may be sent again.
#[tokio::test(start_paused = true)]
async fn job_that_is_recorded_late_is_polled() {
    let options = Options { faults: vec![Fault::ItemLimited(20.0)], ..users(90) };
    let (pipeline, run) = verifying_with(options, Closed::Answers(503)).await;
    let Clients { ledger, intercom, .. } = &pipeline.engine.clients;
    let bucket = ledger.buckets_of(&run).await.unwrap().remove(0);
    let first = ledger.jobs(&bucket).await.unwrap().remove(0);
    let changes = ledger.changes_of(&first).await.unwrap();
    let patches = changes.parts.into_iter().flat_map(|part| part.patches).collect::<Vec<_>>();
    let Submitted::Job { id, .. } = intercom.submit(&patches).await.unwrap().value;
    let JobRow { run: of, v, generation, users, changes, parts, .. } = first;
    let of = JobOf { run: of, v, generation, users, changes, parts };
    let now_ms = pipeline.engine.now_ms();
    let late = JobRow { resubmission: true, ..JobRow::open(id, bucket, of, now_ms, now_ms) };
    ledger.record_job(&late, &[], "frozen").await.unwrap();
    sleep(Duration::from_mins(1)).await;
    pipeline.way.close(None);
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert!(report.accounts.settled(), "{:?}", report.accounts);
}

#[tokio::test(start_paused = true)]
async fn outage_delays_the_check() {
    for how in [Closed::Unsent, Closed::NoAnswer, Closed::Limited, Closed::Answers(503)] {
        let (pipeline, run) = verifying(60, how).await;
        sleep(Duration::from_mins(30)).await;
        assert_eq!(pipeline.state(&run).await, Some(State::Verifying), "{how:?}");
        pipeline.way.close(None);
        let report = pipeline.until_ended(&run).await;
        report.assert_complete();
        assert_eq!(read_back(&report).kept, patched(&report), "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_the_check_and_not_the_run() {
    let (pipeline, run) = verifying(60, Closed::Answers(503)).await;
    pipeline.rest(Duration::from_hours(24)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Complete);
    let reason = report.reason();
    assert!(reason.starts_with("the written values were not all checked: 0 of "), "{reason}");
    assert_eq!(read_back(&report).unread, patched(&report));
}

#[tokio::test(start_paused = true)]
async fn token_that_may_not_read_users_ends_the_check() {
    let (pipeline, run) = verifying(20, Closed::Answers(403)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Complete);
    assert!(report.reason().contains("not all checked") && report.reason().contains("403"), "{}", report.reason());
    assert!((180..600).contains(&report.seconds), "{} s", report.seconds);
}

#[tokio::test(start_paused = true)]
async fn crash_does_not_begin_the_check_again() {
    let (mut pipeline, run) = half_verified().await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!((read_back(&report).kept, report.run.generation), (patched(&report), 1));
    assert!(report.world.requests[READ] <= 120, "{}", report.world.requests[READ]);
}

/// Runs until about half of the written users are read back.
async fn half_verified() -> (Pipeline, RunId) {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 400, ..users(100) }).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.requests.get(READ).is_some_and(|count| *count >= 45)).await;
    assert_eq!(pipeline.state(&run).await, Some(State::Verifying));
    (pipeline, run)
}

#[tokio::test(start_paused = true)]
async fn paused_check_goes_on_where_it_was() {
    for restarts in [false, true] {
        let (mut pipeline, run) = half_verified().await;
        let before = pipeline.world.state().requests.clone();
        control(&pipeline, json!({"pause": true}), "paused").await;
        sleep(Duration::from_secs(10)).await;
        pipeline.rest(Duration::from_hours(30)).await;
        let reads = pipeline.world.state().requests[READ];
        assert!(reads <= before[READ] + 10, "{reads} reads: no group of reads begins after a pause");
        if restarts {
            pipeline.crash().await;
            pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
        } else {
            control(&pipeline, json!({"resume": true}), "resumed").await;
        }
        let report = pipeline.until_ended(&run).await;
        report.assert_complete();
        let requests = &report.world.requests;
        assert_eq!((report.run.generation, requests["GET /users/scroll"]), (1, before["GET /users/scroll"]));
        assert_eq!(read_back(&report).kept, patched(&report));
        assert!(requests[READ] <= u64::from(patched(&report)) + 10, "{} reads", requests[READ]);
    }
}

#[tokio::test(start_paused = true)]
async fn superseding_start_ends_a_paused_check() {
    let (pipeline, run) = half_verified().await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    let next = pipeline.start(json!({"supersede": true})).await;
    assert_eq!(pipeline.state(&run).await, Some(State::Cancelled));
    while pipeline.state(&next).await.is_none() {
        sleep(Duration::from_secs(1)).await;
    }
    let report = pipeline.until_ended(&next).await;
    report.assert_complete();
    assert_eq!((report.cursor.tally.patches, report.cursor.tally.set_again.users), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn cancel_ends_the_check() {
    let (pipeline, run) = half_verified().await;
    let before = pipeline.world.state().requests[READ];
    control(&pipeline, json!({ "release": run }), "nothing").await;
    control(&pipeline, json!({"cancel": true}), "cancelled").await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Cancelled);
    assert!(report.world.requests[READ] <= before + 10, "{} reads", report.world.requests[READ]);
}

#[tokio::test(start_paused = true)]
async fn later_generation_is_checked_alone() {
    let options = Options { faults: vec![Fault::LosePage(3)], ..users(400) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    assert_eq!(report.run.generation, 2);
    // The second generation read the users of the first one, and found their values.
    let ReadBackTotals { users, kept, .. } = read_back(&report);
    assert!(users == kept && users > 0 && u64::from(users) <= report.cursor.tally.patches, "{:?}", read_back(&report));
}

#[tokio::test(start_paused = true)]
async fn foreign_token_is_not_used_for_the_check() {
    let (pipeline, run) = verifying(40, Closed::Answers(503)).await;
    let other = intercom_simulator::World::new(Options { app_id: "other123".to_owned(), ..users(50) });
    pipeline.way.lead("dG9rOm90aGVy", other.clone());
    pipeline.way.store(Some("dG9rOm90aGVy"));
    pipeline.way.revoke(crate::intercom::TOKEN);
    pipeline.way.close(None);
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Paused, "{}", report.reason());
    assert_eq!(other.state().requests.keys().collect::<Vec<_>>(), ["GET /me"]);
    resumes_with_a_token_of_its_own(&pipeline, &run).await;
}

#[tokio::test(start_paused = true)]
async fn read_that_lags_behind_the_write_is_repeated() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { read_lag_s: 100, ..users(50) }).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    assert_eq!(read_back(&report).kept, patched(&report));
    assert_eq!(report.world.requests[READ], 2 * u64::from(patched(&report)));
}
