//! Preview: contacts are listed as on API 2.x, and written by bulk jobs that do not say whom they refused.

use std::time::Duration;

use intercom_bulk::domain::api::BulkCharge;
use intercom_bulk::domain::run::State;
use intercom_bulk::ledger::{End, JobRow};
use intercom_bulk::runtime::config::Settings;
use intercom_simulator::{BulkNull, ContactOptions, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::contacts::assert_fired;
use crate::intercom::Way;
use crate::pauses::control;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, faults, users, with_attributes};
use crate::report::Report;

pub(crate) fn workspace(of_users: usize) -> Options {
    with_attributes(&["has avatar:boolean", "tier:string"], users(of_users))
}

pub(crate) async fn pipeline(options: Options) -> Pipeline {
    Pipeline::of_version("preview", HAS_AVATAR, options).await
}

/// Returns the number of requests with this beginning of method and route.
fn requests(report: &Report, route: &str) -> u64 {
    report.world.requests.iter().filter(|(name, _)| name.starts_with(route)).map(|(_, count)| count).sum()
}

/// Returns the jobs of Intercom, and those of answered requests.
pub(crate) fn jobs(report: &Report) -> (Vec<&JobRow>, Vec<&JobRow>) {
    report.jobs.iter().partition(|job| !job.job.is_of_answers())
}

/// A plan of which some users' patches clear a value.
const TIER: &str = r#"
name = "tier"

[set.custom_attributes.tier]
type = "string"
value = "none if user.custom_attributes.plan == 'free' else user.custom_attributes.plan"
otherwise = "clear"
"#;

/// A plan that sets a field that bulk jobs do not carry.
const SIGNED_UP: &str = r#"
name = "signed-up"

[set.signed_up_at]
type = "date"
value = "user.created_at + 60"

[set.custom_attributes.tier]
type = "string"
value = "'new'"
"#;

#[tokio::test(start_paused = true)]
async fn patch_that_a_job_cannot_carry_is_sent_alone() {
    for bulk_null in [BulkNull::Kept, BulkNull::Ignored, BulkNull::Refused] {
        let options = workspace(600);
        let contacts = ContactOptions { bulk_null, ..options.contacts };
        let pipeline = Pipeline::of_version("preview", TIER, Options { contacts, ..options }).await;
        let ids: Vec<String> = pipeline.world.users().iter().map(|user| user["id"].as_str().unwrap().into()).collect();
        for id in &ids {
            pipeline.world.set_user(id, |user| user["custom_attributes"]["tier"] = json!("old"));
        }
        let report = pipeline.run(Value::Null).await;
        report.assert_complete();
        let alone = report.world.contacts.written - report.world.items;
        assert_eq!((report.world.contacts.written, report.world.contacts.refused), (600, 0), "{bulk_null:?}");
        assert!(alone > 50 && report.world.items > 50, "{alone} {}", report.world.items);
        let (bulk, answered) = jobs(&report);
        let users = |jobs: &[&JobRow]| jobs.iter().map(|job| job.users).sum::<u64>();
        assert_eq!((users(&bulk), users(&answered)), (report.world.items, alone));
    }
    let pipeline = Pipeline::of_version("preview", SIGNED_UP, workspace(300)).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    assert_eq!((report.world.contacts.written, report.world.items), (300, 0), "each patch goes one way as a whole");
}

/// Users that a job refuses, and that requests of their own explain or write.
#[tokio::test(start_paused = true)]
async fn refused_users_of_a_job_have_their_reasons() {
    refused_users_have_reasons("item-error=3%:parameter_invalid:name is invalid", workspace(1_000)).await;
    // The follow-up parts of jobs that end together hold more than fifty users who are refused alike.
    let together = Options { job_delay_s: 60, ..workspace(1_500) };
    refused_users_have_reasons("item-error=10%:parameter_invalid:name is invalid", together).await;
}

async fn refused_users_have_reasons(fault: &str, options: Options) {
    let pipeline = pipeline(Options { faults: faults(&[fault]), ..options }).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert!(report.errors.len() > 5, "{:?}", report.errors);
    for row in &report.errors {
        assert_eq!(row.code, "parameter_invalid");
        assert!(row.message.contains("name is invalid") && row.at.starts_with("part "), "{row:?}");
    }
    let (bulk, answered) = jobs(&report);
    assert!(bulk.iter().any(|job| job.end == Some(End::CompletedWithErrors) && job.users_read));
    let refused = report.errors.len() as u64;
    assert_eq!(answered.iter().map(|job| job.users).sum::<u64>(), refused, "the others have the value");
    assert_eq!(report.accounts.totals.written, report.cursor.tally.patches - refused);
}

/// Users that a job refuses and that Intercom accepts then are written.
#[tokio::test(start_paused = true)]
async fn user_refused_by_a_job_is_written_alone() {
    let pipeline = pipeline(Options { faults: faults(&["item-limited=2%"]), ..workspace(1_000) }).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    let again = jobs(&report).1.iter().map(|job| job.users).sum::<u64>();
    assert!(again > 3, "{again}");
    assert_eq!(report.world.items, report.cursor.tally.patches);
    assert_eq!(report.world.contacts.written, report.cursor.tally.patches);
}

/// Values that something else set between the page and the end of the job stay.
#[tokio::test(start_paused = true)]
async fn changed_values_are_not_overwritten() {
    let texts = &["others-write=10%", "item-limited=3%"];
    let pipeline = pipeline(Options { faults: faults(texts), ..workspace(1_000) }).await;
    let report = pipeline.run(Value::Null).await;
    let totals = &report.accounts.totals;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    assert!(totals.changed_since > 10, "{totals:?}");
    report.assert_counts_add_up();
    report.assert_jobs_known();
    assert!(report.lacking.len() as u64 >= totals.changed_since);
    assert!(report.lacking.is_subset(&report.world.users_changed.iter().cloned().collect()), "only theirs");
}

/// Users that are deleted or merged before their job are counted, and are no errors.
#[tokio::test(start_paused = true)]
async fn users_of_a_job_that_are_gone_are_counted() {
    let texts = &["gone-contact=merged:1%", "gone-contact=deleted:1%"];
    let pipeline = pipeline(Options { faults: faults(texts), ..workspace(900) }).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    assert_eq!(report.accounts.totals.gone, report.world.contacts.gone.len() as u64);
    assert!(report.accounts.totals.gone > 5);
    report.assert_counts_add_up();
}

/// Lost answers, server errors and 429s of each request cost time and no user.
#[tokio::test(start_paused = true)]
async fn faults_of_requests_lose_no_user() {
    for texts in [
        &["lose-call=bulk:2"][..],
        &["drop-call=bulk:2", "error-call=bulk:4"],
        &["late-error-call=bulk:1", "empty-call=bulk:3"],
        &["lose-bulk=3", "error-bulk=2"],
        &["limit-call=bulk:2", "limit-call-bare=bulk:4", "unavailable-call=bulk:6"],
        &["close-bulk=2"],
        &["lose-call=poll:1", "error-call=poll:2", "limit-call=poll:3", "empty-call=poll:4"],
        &["item-limited=3%", "lose-call=read:5", "error-call=read:7", "limit-call=read:60"],
        &["item-limited=3%", "lose-call=write:2", "error-call=write:4", "limit-call=write:6"],
        &["lose-call=list:2", "error-call=list:3"],
    ] {
        let pipeline = pipeline(Options { faults: faults(texts), ..workspace(900) }).await;
        let report = pipeline.run(Value::Null).await;
        assert_eq!(report.state(), State::Complete, "{texts:?}: {}", report.reason());
        report.assert_complete();
        assert_fired(&report, texts);
    }
}

/// A job that takes no more items says nothing about the users of a request, even if each is sent alone
/// twice and others are accepted.
#[tokio::test(start_paused = true)]
async fn closed_job_convicts_no_user() {
    // One of five users is sent alone after the errors, and accepted.
    let texts = &["error-bulk=1", "error-bulk=2", "close-bulk=4", "close-bulk=5", "close-bulk=6", "close-bulk=9"];
    let pipeline = pipeline(Options { faults: faults(texts), ..workspace(6) }).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    assert!(report.errors.is_empty(), "{:?}", report.errors);
    report.assert_complete();
    assert_fired(&report, texts);
}

/// A paused run sends nothing more, and continues at its page.
#[tokio::test(start_paused = true)]
async fn pause_keeps_the_position() {
    let options = Options { faults: faults(&["item-limited=2%"]), rate_limit_per_10s: 150, ..workspace(2_000) };
    let pipeline = pipeline(options).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.items >= 300).await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_secs(30)).await;
    let before = pipeline.world.state();
    sleep(Duration::from_mins(20)).await;
    let after = pipeline.world.state();
    assert_eq!((before.items, before.contacts), (after.items, after.contacts), "a write of a paused run");
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!(report.run.generation, 1);
    assert_eq!(report.world.contacts.written, report.cursor.tally.patches, "each change was written once");
}

/// A process that dies loses no user, and keeps its place.
#[tokio::test(start_paused = true)]
async fn crash_keeps_the_position() {
    for items in [1, 300, 700] {
        let options = Options { faults: faults(&["item-limited=2%"]), rate_limit_per_10s: 200, ..workspace(1_500) };
        let mut pipeline = pipeline(Options { latency_ms: 110, ..options }).await;
        let run = pipeline.start(Value::Null).await;
        pipeline.until(|state| state.items >= items).await;
        pipeline.crash().await;
        pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
        let report = pipeline.until_ended(&run).await;
        report.assert_complete();
        assert_eq!(report.run.generation, 1, "the position was kept");
        let again = report.world.contacts.written - report.cursor.tally.patches;
        assert!(again <= 200, "{again} users were written twice");
    }
}

/// The users of the jobs of a cancelled run are read and not written.
#[tokio::test(start_paused = true)]
async fn cancelled_run_reads_the_users_of_its_jobs() {
    let options = Options { faults: faults(&["item-limited=5%"]), job_delay_s: 40, ..workspace(2_000) };
    let pipeline = pipeline(Options { rate_limit_per_10s: 200, ..options }).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.items >= 300).await;
    control(&pipeline, json!({"cancel": true}), "cancelled").await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Cancelled);
    assert_eq!(requests(&report, "PUT /contacts/{id}"), 0, "{:?}", report.world.requests);
    assert!(report.errors.len() > 3 && report.errors.iter().all(|row| row.code == "not_written"));
    assert_eq!(report.accounts.totals.written, report.world.contacts.written);
    assert_eq!(report.accounts.totals.written + report.errors.len() as u64, report.world.items);
}

/// If many jobs end with errors, the run goes on with a request for each user.
#[tokio::test(start_paused = true)]
async fn run_whose_jobs_often_fail_sends_no_more() {
    let options = Options { faults: faults(&["item-limited=10%"]), rate_limit_per_10s: 300, ..workspace(6_000) };
    let pipeline = pipeline(options).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    let why = report.run.no_jobs.as_deref().unwrap();
    assert!(why.contains("of the last 50 bulk jobs ended with errors"), "{why}");
    let (bulk, answered) = jobs(&report);
    assert!((11..45).contains(&bulk.len()), "{}", bulk.len());
    assert!(answered.iter().map(|job| job.users).sum::<u64>() > 1_000);
}

/// The run shows the cost that the rate headers suggest, whatever the setting says.
#[tokio::test(start_paused = true)]
async fn cost_of_a_bulk_request_is_stored_with_the_run() {
    for (items_counted, seen) in [(true, BulkCharge::Item), (false, BulkCharge::Request)] {
        let options = Options { items_counted, rate_limit_per_10s: 2_000, ..workspace(1_500) };
        let report = pipeline(options).await.run(Value::Null).await;
        report.assert_complete();
        assert_eq!(report.run.bulk_charge_seen, Some(seen));
    }
    let report = Pipeline::of_version("2.17", HAS_AVATAR, workspace(300)).await.run(Value::Null).await;
    assert_eq!(report.run.bulk_charge_seen, None, "it has no bulk requests");
}

async fn charged(bulk_charge: BulkCharge, items_counted: bool, pace: Option<u64>) -> Report {
    let settings = Settings { bulk_charge, ..settings() };
    let options = Options { items_counted, rate_limit_per_10s: 83, ..workspace(1_500) };
    let pipeline = Pipeline::on(Way::of_version("preview"), HAS_AVATAR, options, settings, Vec::new()).await;
    let limits = pace.map_or(json!({}), |pace| json!({"limits": {"max_per_minute": pace}}));
    let report = pipeline.run(limits).await;
    report.assert_complete();
    assert_eq!(report.world.given_429, 0);
    report
}

#[tokio::test(start_paused = true)]
async fn bulk_request_is_charged_as_set() {
    let by_item = charged(BulkCharge::Item, true, None).await;
    let by_request = charged(BulkCharge::Request, false, None).await;
    assert!(by_request.seconds * 3 < by_item.seconds, "{} {}", by_request.seconds, by_item.seconds);
    let careful = charged(BulkCharge::Item, false, None).await;
    assert!(careful.seconds > by_request.seconds, "each item is paid for unless the setting says otherwise");
    // The pace counts users, however a request is charged.
    let paced = charged(BulkCharge::Request, false, Some(300)).await;
    assert!(paced.seconds as u64 >= paced.cursor.tally.patches / 300 * 60 - 60, "{}", paced.seconds);
}
