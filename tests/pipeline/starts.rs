//! Starts of runs, their order, and the end of runs by their deadline.

use std::time::Duration;

use intercom_bulk::domain::run::{LIST_MAX, RunId, State};
use intercom_bulk::runtime::event::StartEvent;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, PLAN_PRICE, users};
use crate::report::Report;
use crate::verifying::{READ, read_back};

#[tokio::test(start_paused = true)]
async fn start_waits_for_the_active_run() {
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
async fn oldest_waiting_start_is_next() {
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
async fn schedule_that_fires_twice_is_one_run() {
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
async fn duplicate_start_removes_no_waiting_start() {
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
async fn start_by_message_and_stored_name_runs() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    pipeline.engine.clients.ledger.put_plan("has-avatar", &pipeline.plan.to_json()).await.unwrap();
    pipeline.send("pages", r#"{"plan": "has-avatar", "time": "2016-11-01T11:00:00Z"}"#).await;
    sleep(Duration::from_secs(1)).await;
    let runs = pipeline.engine.clients.ledger.runs(10).await.unwrap();
    pipeline.until_ended(&runs[0]).await.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn invalid_plan_starts_nothing_and_names_the_error() {
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
async fn deadline_ends_a_run_and_counts_missing_users() {
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
async fn jobs_of_a_failed_run_are_still_polled() {
    let faults = vec![Fault::RepeatPage(6), Fault::RepeatPage(7), Fault::RepeatPage(8)];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, job_delay_s: 600, latency_ms: 900, ..users(900) }).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Failed, "{}", report.reason());
    assert!(!report.jobs.is_empty());
    report.assert_nobody_lost();
}

/// Returns the ids of the workspace's first users.
fn ids(pipeline: &Pipeline, count: usize) -> Vec<Value> {
    pipeline.world.users().iter().map(|user| user["id"].clone()).take(count).collect()
}

pub(crate) fn run_of(event: &Value) -> RunId {
    StartEvent::read(event).unwrap().run().unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_starts_in_one_second_are_two_runs() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    let ids = ids(&pipeline, 2);
    let further =
        [json!({"users": [ids[0]]}), json!({"users": [ids[1]]}), json!({"rails": {"limit": 20}}), Value::Null];
    let events: Vec<Value> = further.iter().map(|further| pipeline.start_event(further)).collect();
    for event in events.iter().chain(&events) {
        pipeline.engine.scroll(event.clone()).await.unwrap();
    }
    for event in &events {
        assert_eq!(pipeline.until_ended(&run_of(event)).await.state(), State::Complete, "{}", run_of(event));
    }
    assert_eq!(pipeline.engine.clients.ledger.runs(10).await.unwrap().len(), 4, "and those that came twice are one");
}

/// A run's id contains its second, and two versions of a plan have one name.
#[tokio::test(start_paused = true)]
async fn other_plan_version_in_the_same_second_is_refused() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    let (first, mut second) = (pipeline.start_event(&Value::Null), pipeline.start_event(&Value::Null));
    second["plan"]["where"] = json!("user.email is present");
    pipeline.engine.scroll(first.clone()).await.unwrap();
    let error = pipeline.engine.scroll(second.clone()).await.unwrap_err();
    assert!(error.contains("another version of this plan"), "{error}");
    pipeline.send("pages", &second.to_string()).await;
    let report = pipeline.until_ended(&run_of(&first)).await;
    assert_eq!((report.state(), report.dead), (State::Complete, vec![second.to_string()]));
}

#[tokio::test(start_paused = true)]
async fn needless_start_is_reported() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(900)).await;
    pipeline.start(Value::Null).await;
    sleep(Duration::from_millis(1_500)).await;
    let waits = pipeline.start_event(&Value::Null);
    let answer = pipeline.engine.scroll(waits.clone()).await.unwrap();
    assert_eq!(answer["did"], json!(["queued"]));
    assert_eq!(pipeline.engine.scroll(waits.clone()).await.unwrap()["did"], json!(["known"]));
    sleep(Duration::from_millis(1_500)).await;
    let answer = pipeline.engine.scroll(pipeline.start_event(&Value::Null)).await.unwrap();
    assert_eq!((&answer["did"], &answer["run"]), (&json!(["covered"]), &json!(run_of(&waits))));
    // Another version of the plan is a different start, and waits, too.
    let mut other = pipeline.start_event(&Value::Null);
    other["plan"]["where"] = json!("user.email is present");
    assert_eq!(pipeline.engine.scroll(other.clone()).await.unwrap()["did"], json!(["queued"]));
    for event in [waits, other] {
        let report = pipeline.until_ended(&run_of(&event)).await;
        assert_eq!(report.state(), State::Complete, "{}", report.reason());
    }
}

/// The plan of a waiting start is replaced by one that is not valid.
#[tokio::test(start_paused = true)]
async fn impossible_start_is_dead_lettered() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(900)).await;
    let ledger = &pipeline.engine.clients.ledger;
    ledger.put_plan("has-avatar", &pipeline.plan.to_json()).await.unwrap();
    let first = pipeline.start(Value::Null).await;
    let stored = pipeline.start_event(&json!({"plan": "has-avatar", "rails": {"accept_unseen": true}}));
    sleep(Duration::from_secs(1)).await;
    let list = pipeline.start_event(&json!({"users": ids(&pipeline, 3)}));
    for event in [&stored, &list] {
        pipeline.send("pages", &event.to_string()).await;
    }
    sleep(Duration::from_millis(500)).await;
    ledger.put_plan("has-avatar", &json!({"name": "has-avatar", "set": {}})).await.unwrap();
    let first = pipeline.until_ended(&first).await;
    let next = pipeline.until_ended(&run_of(&list)).await;
    assert_eq!(next.state(), State::Complete, "{}", next.reason());
    assert!(next.run.started_ms - first.run.ended_ms.unwrap() < 10_000, "in the same tick");
    let [dead] = &next.dead[..] else { panic!("{:?}", next.dead) };
    assert_eq!(run_of(&serde_json::from_str(dead).unwrap()), run_of(&stored));
    assert_eq!(ledger.waiting().await.unwrap(), []);
}

/// An outage passes: the start waits until the token's workspace is known.
#[tokio::test(start_paused = true)]
async fn start_survives_two_hours_of_outage() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(900)).await.ticking(Duration::from_secs(20)).await;
    pipeline.way.close(Some("GET /"));
    let start = pipeline.start_event(&json!({"rails": {"max_changes": {"percent": 100}}}));
    pipeline.send("pages", &start.to_string()).await;
    sleep(Duration::from_hours(2)).await;
    assert_eq!(pipeline.state(&run_of(&start)).await, None);
    pipeline.way.close(None);
    sleep(Duration::from_mins(6)).await;
    pipeline.until_ended(&run_of(&start)).await.assert_complete();
}

/// A start does not hold up those behind it for more than a day.
#[tokio::test(start_paused = true)]
async fn start_ends_after_a_day_without_a_known_workspace() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await.ticking(Duration::from_secs(20)).await;
    pipeline.way.close(Some("GET /me"));
    let start = pipeline.start_event(&Value::Null);
    pipeline.send("pages", &start.to_string()).await;
    sleep(Duration::from_hours(28)).await;
    assert_eq!(pipeline.engine.clients.ledger.waiting().await.unwrap(), []);
    pipeline.way.close(None);
    let next = pipeline.run(Value::Null).await;
    assert_eq!(next.state(), State::Complete, "{}", next.reason());
    let [dead] = &next.dead[..] else { panic!("{:?}", next.dead) };
    assert_eq!(run_of(&serde_json::from_str(dead).unwrap()), run_of(&start));
}

#[tokio::test(start_paused = true)]
async fn long_list_is_stored_with_its_waiting_start() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(1_200)).await;
    let first = pipeline.start(json!({"users": ids(&pipeline, 3)})).await;
    sleep(Duration::from_secs(1)).await;
    let list = pipeline.start(json!({"users": ids(&pipeline, 1_200)})).await;
    let items = pipeline.items().await;
    let waiting = items.iter().find(|item| item["pk"].as_s().unwrap() == "STARTS").unwrap();
    assert!(waiting["start"].as_s().unwrap().len() < 1_000, "{waiting:?}");
    let first = pipeline.until_ended(&first).await;
    let report = pipeline.until_ended(&list).await;
    report.assert_complete();
    let checks = read_back(&first).users + read_back(&report).users;
    assert_eq!(report.world.requests[READ], 1_203 + u64::from(checks));
}

/// Each item of a list is a call. The calls of the longest list fit the time-out of 25 s easily.
#[tokio::test(start_paused = true)]
async fn longest_list_begins_with_few_calls() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(3)).await;
    let ids: Vec<String> = (0..LIST_MAX).map(|n| format!("{n:024x}")).collect();
    let run = pipeline.start(json!({ "users": ids })).await;
    let listed = pipeline.engine.clients.ledger.list(&run).await.unwrap();
    assert_eq!(listed.len(), LIST_MAX);
    let is_list = |item: &&std::collections::HashMap<_, aws_sdk_dynamodb::types::AttributeValue>| {
        item["sk"].as_s().unwrap().starts_with("USERS#")
    };
    assert_eq!(pipeline.items().await.iter().filter(is_list).count(), 40);
}
