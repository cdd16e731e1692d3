//! Users that Intercom refuses: one by one in a job's feed, or the whole request for one of them.

use intercom_bulk::run::State;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

async fn with_faults(faults: Vec<Fault>) -> Report {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(650) }).await;
    pipeline.run(Value::Null).await
}

fn item_error(percent: f64) -> Fault {
    Fault::ItemError { percent, code: "invalid".into(), message: "email ann@example.com invalid".into() }
}

#[tokio::test(start_paused = true)]
async fn items_that_were_refused_for_the_rate_limit_are_sent_again() {
    for percent in [3.0, 60.0, 100.0] {
        let report = with_faults(vec![Fault::ItemLimited(percent)]).await;
        report.assert_complete();
        assert!(report.jobs.iter().any(|job| job.again.is_some()));
        assert!(report.world.items > report.cursor.tally.patches, "{percent} % went twice");
    }
}

/// Three attempts, and then each user has a row.
#[tokio::test(start_paused = true)]
async fn items_that_are_refused_for_the_limit_each_time_are_errors_in_the_end() {
    let fault = Fault::ItemError {
        percent: 4.0,
        code: "rate_limit_exceeded".into(),
        message: "Exceeded rate limit of 83 in 10_seconds".into(),
    };
    let report = with_faults(vec![fault]).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.users_in_error(), report.lacking);
    let tries = report.world.items - (report.cursor.tally.patches - report.errors.len() as u64);
    assert_eq!(tries, 3 * report.errors.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn refused_users_have_a_row_each_with_intercom_s_words() {
    let report = with_faults(vec![item_error(5.0)]).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.users_in_error(), report.lacking);
    assert!(report.errors.len() > 10);
    for row in &report.errors {
        assert_eq!(row.code, "invalid");
        assert!(row.message.contains("invalid") && !row.message.contains("ann@"), "{}", row.message);
        assert!(row.at.starts_with("job job_v2_"), "{}", row.at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_of_many_pages_is_read_to_its_end() {
    for size in [1, 7] {
        let report = with_faults(vec![item_error(40.0), Fault::FeedPageSize(size)]).await;
        assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
        report.assert_nobody_lost();
        assert_eq!(report.users_in_error(), report.lacking);
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_of_both_kinds_in_one_job_are_told_apart() {
    let report = with_faults(vec![item_error(10.0), Fault::ItemLimited(30.0)]).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.users_in_error(), report.lacking);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_refused_for_one_item_is_halved_until_it_stands_alone() {
    let report = with_faults(vec![Fault::BadItem(1.0)]).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.users_in_error(), report.lacking);
    assert!((1..=15).contains(&report.errors.len()), "{:?}", report.errors);
}

#[tokio::test(start_paused = true)]
async fn a_workspace_that_refuses_every_user_is_the_run_s_fault() {
    let report = with_faults(vec![Fault::BadItem(100.0)]).await;
    assert_eq!(report.state(), State::Failed, "{}", report.reason());
    assert!(report.reason().contains("refuses every user alike"), "{}", report.reason());
    report.assert_nobody_lost();
    assert!(report.world.requests["POST /bulk/users"] < 100, "{:?}", report.world.requests);
}

/// The users that Intercom refuses for good are all that a second run has to change.
#[tokio::test(start_paused = true)]
async fn a_second_run_is_not_failed_for_the_few_that_are_refused_for_good() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: vec![Fault::BadItem(4.0)], ..users(900) }).await;
    let first = pipeline.run(Value::Null).await;
    assert!(first.errors.len() >= 20, "{} users are refused", first.errors.len());
    for further in [Value::Null, json!({"users": first.users_in_error()})] {
        let again = pipeline.run(further).await;
        assert_eq!(again.state(), State::CompleteWithErrors, "{}", again.reason());
        assert_eq!(again.users_in_error(), first.users_in_error());
    }
}

#[tokio::test(start_paused = true)]
async fn every_item_refused_in_the_feed_is_a_row_for_every_user() {
    let report = with_faults(vec![item_error(100.0)]).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.errors.len() as u64, report.cursor.tally.patches);
}

/// Failed users are run again by their ids; those that are right now make no second error.
#[tokio::test(start_paused = true)]
async fn users_in_error_can_be_run_again_by_their_ids() {
    let faults = vec![Fault::ItemLimited(100.0), Fault::JobFails(1)];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(90) }).await;
    let first = pipeline.run(Value::Null).await;
    first.assert_users_accounted_for();
    let left: Vec<String> = first.lacking.iter().cloned().collect();
    assert!(!left.is_empty());
    let second = pipeline.run(json!({ "users": left })).await;
    assert_eq!(second.state(), State::Complete, "{}", second.reason());
    assert_eq!(second.cursor.tally.users, left.len() as u64);
    assert!(second.lacking.is_empty());
}
