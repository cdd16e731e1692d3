//! How runs begin, wait for each other, and are ended by their deadline.

use std::time::Duration;

use intercom_bulk::run::{RunId, State};
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, PLAN_PRICE, users};
use crate::report::Report;

#[tokio::test(start_paused = true)]
async fn a_start_while_a_run_is_active_waits_for_its_end() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(900)).await;
    let first = pipeline.start(Value::Null).await;
    sleep(Duration::from_millis(1_500)).await;
    let second = pipeline.start(Value::Null).await;
    assert_ne!(first, second);
    assert_eq!(pipeline.state(&second).await, None, "it waits");
    let first = pipeline.until_ended(&first).await;
    assert_eq!(first.state(), State::Complete, "{}", first.reason());
    let second = pipeline.until_ended(&second).await;
    second.assert_complete();
    assert!(second.run.started_ms >= first.run.ended_ms.unwrap());
    assert!(second.jobs.is_empty(), "the first left nothing to do");
}

#[tokio::test(start_paused = true)]
async fn another_plan_waits_too_and_the_oldest_start_is_next() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(900)).await;
    let first = pipeline.start(Value::Null).await;
    let other: Value = json!({
        "plan": intercom_bulk::plan::Plan::from_toml("plan.toml", PLAN_PRICE).unwrap().to_json(),
        "time": "2016-11-01T11:00:00Z",
    });
    pipeline.engine.scroll(other).await.unwrap();
    sleep(Duration::from_millis(1_500)).await;
    let third = pipeline.start(Value::Null).await;
    let time: jiff::Timestamp = "2016-11-01T11:00:00Z".parse().unwrap();
    let price = RunId::of("plan-price", time.as_second());
    let ends = [
        pipeline.until_ended(&first).await.run.ended_ms,
        pipeline.until_ended(&price).await.run.ended_ms,
        pipeline.until_ended(&third).await.run.ended_ms,
    ];
    assert!(ends.is_sorted(), "{ends:?}");
    Report::of(&pipeline, &third).await.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_fires_twice_is_one_run() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    let event = pipeline.start_event(&Value::Null);
    let (once, twice) = tokio::join!(pipeline.engine.scroll(event.clone()), pipeline.engine.scroll(event.clone()));
    assert!(once.is_ok() && twice.is_ok());
    let runs = pipeline.engine.clients.ledger.runs(10).await.unwrap();
    assert_eq!(runs.len(), 1);
    let report = pipeline.until_ended(&runs[0]).await;
    report.assert_complete();
    pipeline.engine.scroll(event).await.unwrap();
    sleep(Duration::from_mins(2)).await;
    let after = Report::of(&pipeline, &runs[0]).await;
    assert_eq!(
        after.world.requests["GET /users/scroll"], report.world.requests["GET /users/scroll"],
        "no third either"
    );
}

/// A schedule that fires twice is delivered while the next start of its plan waits.
#[tokio::test(start_paused = true)]
async fn a_start_that_comes_again_takes_none_that_waits_out_of_the_queue() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(900)).await;
    let event = pipeline.start_event(&Value::Null);
    pipeline.engine.scroll(event.clone()).await.unwrap();
    sleep(Duration::from_millis(1_500)).await;
    let limited = pipeline.start(json!({"rails": {"limit": 10}})).await;
    sleep(Duration::from_millis(1_500)).await;
    let all = pipeline.start(Value::Null).await;
    pipeline.engine.scroll(event).await.unwrap();
    for run in [limited, all] {
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.state(), State::Complete, "{}", report.reason());
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_by_message_and_by_stored_name_runs() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    pipeline.engine.clients.ledger.put_plan("has-avatar", &pipeline.plan.to_json()).await.unwrap();
    pipeline.send("pages", r#"{"plan": "has-avatar", "time": "2016-11-01T11:00:00Z"}"#).await;
    sleep(Duration::from_secs(1)).await;
    let runs = pipeline.engine.clients.ledger.runs(10).await.unwrap();
    pipeline.until_ended(&runs[0]).await.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn a_start_with_a_bad_plan_starts_nothing_and_says_why() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    let typo = json!({"name": "typo", "set": {"custom_attributes": {"x": {"type": "string", "value": "user.nmae"}}}});
    for (plan, text) in [(typo, "name"), (json!("nowhere"), "nowhere"), (json!(7), "plan")] {
        let error = pipeline.engine.scroll(json!({ "plan": plan })).await.unwrap_err();
        assert!(error.contains(text), "{error}");
    }
    sleep(Duration::from_mins(1)).await;
    assert_eq!(pipeline.engine.clients.ledger.runs(10).await.unwrap(), []);
    assert!(pipeline.world.state().requests.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_past_its_deadline_ends_and_counts_what_is_missing() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { rate_limit_per_10s: 10, ..users(900) }).await;
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_mins(1)).await;
    pipeline.rest(Duration::from_hours(25)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    assert!(report.reason().contains("past its deadline"), "{}", report.reason());
    assert!(report.reason().contains("of 900 users were read"), "{}", report.reason());
    report.assert_users_accounted_for();
    report.assert_jobs_known();
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_s_jobs_are_still_looked_at() {
    let faults = vec![Fault::RepeatPage(6), Fault::RepeatPage(7), Fault::RepeatPage(8)];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, job_delay_s: 600, latency_ms: 900, ..users(900) }).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Failed, "{}", report.reason());
    assert!(!report.jobs.is_empty());
    report.assert_nobody_lost();
}
