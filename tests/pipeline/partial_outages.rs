//! API 2.x: Intercom fails most writes for a while. Users are given up one by one, and only after requests
//! of their own.

use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::contacts::{LEADS, pipeline, workspace};
use crate::intercom::Closed;
use crate::pipeline::Pipeline;
use crate::plans::faults;

/// Returns a user that the plan changes.
fn user_to_change(pipeline: &Pipeline) -> String {
    let lacks = |user: &&Value| user["custom_attributes"].get("has avatar").is_none();
    pipeline.world.users().iter().find(lacks).unwrap()["id"].as_str().unwrap().to_owned()
}

/// Eight attempts at a part last about 24 minutes.
#[tokio::test(start_paused = true)]
async fn partial_outage_gives_up_no_user() {
    for percent in [80, 90] {
        let options = Options { latency_ms: 110, ..workspace(2_500) };
        let pipeline = pipeline(options).await.ticking(Duration::from_secs(20)).await;
        pipeline.way.disturb("PUT", Closed::Busy(percent));
        let run = pipeline.start(Value::Null).await;
        sleep(Duration::from_mins(40)).await;
        pipeline.way.close(None);
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.errors, [], "{percent} %");
        report.assert_complete_with(LEADS);
    }
}

/// A user that Intercom cannot accept is given up, and delays the run for a bounded time.
#[tokio::test(start_paused = true)]
async fn one_user_that_always_fails_is_given_up() {
    let pipeline = pipeline(Options { latency_ms: 110, ..workspace(900) }).await;
    let one = user_to_change(&pipeline);
    pipeline.way.disturb(format!("PUT /contacts/{one}").leak(), Closed::Answers(503));
    let report = pipeline.run(Value::Null).await;
    let errors: Vec<_> = report.errors.iter().map(|row| (row.user.as_str(), row.code.as_str())).collect();
    assert_eq!((report.state(), errors), (State::CompleteWithErrors, vec![(one.as_str(), "gave_up")]));
    assert!(report.seconds < 4 * 3_600, "{}", report.seconds);
    report.assert_counts_add_up();
}

/// After three hours, a part of a small run is given up. Its users that were not sent stay open.
#[tokio::test(start_paused = true)]
async fn users_that_were_not_sent_are_not_given_up() {
    let pipeline = pipeline(workspace(200)).await.ticking(Duration::from_secs(20)).await;
    pipeline.way.disturb("PUT", Closed::Answers(503));
    let run = pipeline.start(Value::Null).await;
    let ledger = &pipeline.engine.clients.ledger;
    let given_up = loop {
        sleep(Duration::from_secs(1)).await;
        let errors = ledger.errors(&ledger.run(&run).await.unwrap().unwrap()).await.unwrap();
        if !errors.is_empty() {
            break errors.len();
        }
    };
    pipeline.way.close(None);
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), report.errors.len()), (State::CompleteWithErrors, given_up));
    assert!(report.errors.iter().all(|row| row.code == "gave_up"), "{:?}", report.errors);
    assert!((11..=2 * 42).contains(&given_up) && (given_up as u64) < report.cursor.tally.patches, "{given_up}");
    report.assert_counts_add_up();
}

/// At the end of a run, only users are left that Intercom never accepts: more, and in more parts, than a
/// run gives up without a sign that Intercom accepts others.
#[tokio::test(start_paused = true)]
async fn many_users_that_always_fail_are_given_up() {
    for status in [423, 503] {
        let faults = faults(&[&format!("poison-item={status}:20%")]);
        let pipeline = pipeline(Options { latency_ms: 110, faults, ..workspace(600) }).await;
        let pipeline = pipeline.ticking(Duration::from_secs(20)).await;
        let report = pipeline.run(Value::Null).await;
        assert_eq!(report.state(), State::CompleteWithErrors, "{status}: {}", report.reason());
        assert!(report.errors.iter().all(|row| row.code == "gave_up"), "{:?}", report.errors);
        let parts: std::collections::BTreeSet<_> = report.errors.iter().map(|row| &row.at).collect();
        assert!(report.errors.len() >= 20 && parts.len() > 3, "{} in {}", report.errors.len(), parts.len());
        assert_eq!(report.users_in_error(), report.world.poisoned.iter().cloned().collect(), "{status}");
        assert!(report.seconds < 4 * 3_600, "{status}: {}", report.seconds);
        report.assert_counts_add_up();
    }
}

/// An outage that begins while users are written, and outlasts the time after which users that always
/// fail are given up.
#[tokio::test(start_paused = true)]
async fn outage_of_six_hours_gives_up_no_user() {
    let options = Options { latency_ms: 110, rate_limit_per_10s: 50, ..workspace(600) };
    let pipeline = pipeline(options).await.ticking(Duration::from_secs(20)).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.contacts.written >= 100).await;
    pipeline.way.disturb("PUT", Closed::Answers(503));
    sleep(Duration::from_hours(6)).await;
    pipeline.way.close(None);
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.errors, []);
    report.assert_complete_with(LEADS);
}

/// Hours without a connection do not count as failures of users.
#[tokio::test(start_paused = true)]
async fn first_failure_after_hours_without_a_network_gives_up_no_user() {
    let pipeline = pipeline(workspace(200)).await.ticking(Duration::from_secs(20)).await;
    let ids: Vec<Value> = pipeline.world.users().iter().map(|user| user["id"].clone()).take(60).collect();
    pipeline.way.disturb("PUT", Closed::Unsent);
    let run = pipeline.start(json!({ "users": ids })).await;
    sleep(Duration::from_hours(4)).await;
    pipeline.way.disturb("PUT", Closed::Answers(503));
    sleep(Duration::from_mins(20)).await;
    pipeline.way.close(None);
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.errors, []);
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
}
