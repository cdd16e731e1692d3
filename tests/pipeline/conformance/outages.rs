//! Outages of hours only delay a run.

use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_simulator::Options;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::api::{On, workspace};
use crate::accident::Accident;
use crate::intercom::Closed;
use crate::pipeline::{Pipeline, settings};
use crate::plans::HAS_AVATAR;
use crate::report::Report;

super::scenarios! {
    on_each_api: [
        two_hours_without_pages_end_no_run,
        two_hours_without_writes_end_no_run,
        two_hours_without_delivery_end_no_run,
    ];
}

const TWO_HOURS: Duration = Duration::from_hours(2);

/// Creates a pipeline whose ticks are about as rare as on AWS.
async fn slow(on: On, accidents: Vec<Accident>) -> Pipeline {
    let options = Options { latency_ms: 700, ..workspace(250) };
    on.with(HAS_AVATAR, options, settings(), accidents).await.ticking(Duration::from_mins(1)).await
}

/// Asserts that a run of more than two hours completed, soon after the outage.
async fn assert_delayed(pipeline: &Pipeline, report: &Report) {
    report.assert_complete();
    assert!((7_200..10_800).contains(&report.seconds), "{} s", report.seconds);
    let dropped = |item: &std::collections::HashMap<_, aws_sdk_dynamodb::types::AttributeValue>| {
        item.get("end").is_some_and(|end| end.as_s().is_ok_and(|end| end == "dropped"))
    };
    assert!(!pipeline.items().await.iter().any(dropped), "nothing that was queued is dropped");
}

/// Runs with an outage of two hours from the second page on.
async fn disturbed(on: On, to: &'static str, how: Closed) -> Report {
    let pipeline = slow(on, vec![]).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| on.lists(state) >= 2).await;
    pipeline.way.disturb(to, how);
    sleep(TWO_HOURS).await;
    assert!(matches!(pipeline.state(&run).await, Some(State::Running | State::Draining)), "{how:?}");
    pipeline.way.close(None);
    let report = pipeline.until_ended(&run).await;
    assert_delayed(&pipeline, &report).await;
    // A generation that ended because nothing could be sent counts in no bound.
    let is_free = matches!(how, Closed::Unsent | Closed::Limited);
    assert!(!is_free || (report.cursor.counted, report.cursor.stalled) == (1, 0), "{how:?}: {:?}", report.cursor);
    report
}

async fn two_hours_without_pages_end_no_run(on: On) {
    for how in [Closed::Unsent, Closed::NoAnswer, Closed::Limited, Closed::Answers(503)] {
        let report = disturbed(on, on.list_line, how).await;
        let lists = on.lists(&report.world);
        assert!(lists < 60, "{how:?}: {lists} requests");
    }
}

async fn two_hours_without_writes_end_no_run(on: On) {
    for how in [Closed::Unsent, Closed::Answers(503)] {
        let report = disturbed(on, on.write, how).await;
        assert_eq!(on.written(&report.world), report.accounts.totals.written, "{how:?}: no user was sent twice");
    }
}

async fn two_hours_without_delivery_end_no_run(on: On) {
    for queue in ["pages", "patches"] {
        let from = Instant::now() + Duration::from_secs(2);
        let pipeline = slow(on, vec![Accident::Held { queue, from, until: from + TWO_HOURS }]).await;
        let run = pipeline.start(Value::Null).await;
        sleep(Duration::from_hours(1)).await;
        assert!(matches!(pipeline.state(&run).await, Some(State::Running | State::Draining)), "{queue}");
        let cursor = pipeline.engine.clients.ledger.cursor(&run).await.unwrap().unwrap();
        let is_resent = cursor.waits.unwrap_or_default().contains("was resent");
        assert_eq!(is_resent, queue == "pages", "a turn's message is resent");
        assert!(!is_resent || (5..20).contains(&cursor.resends), "at growing intervals: {}", cursor.resends);
        let report = pipeline.until_ended(&run).await;
        assert_delayed(&pipeline, &report).await;
    }
}
