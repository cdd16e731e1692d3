//! Requests for a retry: which are refused, repeated and queued.

use intercom_bulk::domain::run::{RunId, State};
use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::sleep;

use std::time::Duration;

use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, faults, users};
use crate::report::Report;
use crate::starts::run_of;

/// Requests a retry, and waits for its end.
pub(crate) async fn retry(pipeline: &Pipeline, event: Value) -> Report {
    // The id of a run contains its second.
    sleep(Duration::from_secs(1)).await;
    let said = control(pipeline, event, "requested").await;
    let run = RunId::parse(said["run"].as_str().unwrap()).unwrap();
    pipeline.until_ended(&run).await
}

fn failing(count: usize) -> Options {
    Options { faults: faults(&["item-error=10%:parameter_invalid:the value is invalid"]), ..users(count) }
}

async fn refused(pipeline: &Pipeline, event: Value) -> String {
    pipeline.engine.control(event).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn retry_is_refused_with_the_reason() {
    let pipeline = Pipeline::new(HAS_AVATAR, failing(200)).await;
    let missing = refused(&pipeline, json!({"retry": "has-avatar.1"})).await;
    assert!(missing.contains("there is no run has-avatar.1"), "{missing}");
    let run = pipeline.start(Value::Null).await;
    let early = refused(&pipeline, json!({"retry": run})).await;
    assert!(early.contains("has not ended"), "{early}");
    control(&pipeline, json!({"pause": run}), "paused").await;
    let paused = refused(&pipeline, json!({"retry": run})).await;
    assert!(paused.contains("`resume` continues it"), "{paused}");
    control(&pipeline, json!({"resume": run}), "resumed").await;
    assert_eq!(pipeline.until_ended(&run).await.state(), State::CompleteWithErrors);
    let known = refused(&pipeline, json!({"retry": run, "unknown": true})).await;
    assert!(known.contains("has a known end"), "{known}");
    let preview = pipeline.run(json!({"rails": {"dry_run": true}})).await;
    let dry = refused(&pipeline, json!({"retry": preview.run.id})).await;
    assert!(dry.contains("preview"), "{dry}");
    pipeline.rest(Duration::from_hours(81 * 24)).await;
    let old = refused(&pipeline, json!({"retry": run})).await;
    assert!(old.contains("80 days"), "{old}");
}

/// A start by event meets the same refusals, as a dead letter with the reason.
#[tokio::test(start_paused = true)]
async fn start_of_a_retry_that_cannot_begin_is_a_dead_letter() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(150)).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::Complete);
    let start = json!({"plan": "has-avatar", "retry": {"run": first.run.id}});
    let said = pipeline.engine.scroll(start.clone()).await.unwrap_err();
    assert!(said.contains("no user of"), "{said}");
    pipeline.send("pages", &start.to_string()).await;
    sleep(Duration::from_secs(30)).await;
    let dead = pipeline.sqs.bodies("pages-dead-letters");
    assert_eq!(dead, [start.to_string()]);
}

#[tokio::test(start_paused = true)]
async fn repeated_request_makes_one_run() {
    let pipeline = Pipeline::new(HAS_AVATAR, failing(200)).await;
    let first = pipeline.run(Value::Null).await;
    pipeline.world.cure(first.errors.iter().map(|row| &row.user));
    let event = json!({"retry": first.run.id, "time": "2016-11-01T12:00:00Z"});
    let said = control(&pipeline, event.clone(), "requested").await;
    let run = RunId::parse(said["run"].as_str().unwrap()).unwrap();
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), report.lacking.len()), (State::Complete, 0), "{}", report.reason());
    let again = control(&pipeline, event, "nothing").await;
    assert_eq!((again["run"].as_str(), again["state"].as_str()), (Some(run.as_str()), Some("complete")), "{again}");
    assert_eq!(pipeline.engine.clients.ledger.runs(9).await.unwrap().len(), 2);
}

/// Also one without a time, while the first waits or runs.
#[tokio::test(start_paused = true)]
async fn retry_waits_behind_the_active_run() {
    let pipeline = Pipeline::new(HAS_AVATAR, failing(300)).await;
    let first = pipeline.run(Value::Null).await;
    pipeline.world.cure(first.errors.iter().map(|row| &row.user));
    let other = pipeline.start(json!({"users": [first.errors[0].user]})).await;
    control(&pipeline, json!({"pause": other}), "paused").await;
    let said = control(&pipeline, json!({"retry": first.run.id}), "requested").await;
    sleep(Duration::from_secs(30)).await;
    let again = control(&pipeline, json!({"retry": first.run.id}), "nothing").await;
    assert_eq!((&again["run"], &again["state"]), (&said["run"], &Value::Null), "{again}");
    let run = RunId::parse(said["run"].as_str().unwrap()).unwrap();
    assert_eq!(pipeline.state(&run).await, None, "it waits");
    control(&pipeline, json!({"resume": other}), "resumed").await;
    assert_eq!(pipeline.until_ended(&other).await.state(), State::Complete);
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    assert_eq!((report.accounts.totals.written, report.cursor.tally.same), (first.errors.len() as u64 - 1, 1));
    report.assert_nobody_lost();
}

/// Its run becomes too old while another run is paused. The starts behind it begin.
#[tokio::test(start_paused = true)]
async fn waiting_retry_that_is_too_late_is_a_dead_letter() {
    let pipeline = Pipeline::new(HAS_AVATAR, failing(150)).await;
    let first = pipeline.run(Value::Null).await;
    pipeline.rest(Duration::from_hours(80 * 24 - 1)).await;
    let other = pipeline.start(json!({"users": [first.errors[0].user]})).await;
    while pipeline.state(&other).await.is_none() {
        sleep(Duration::from_millis(100)).await;
    }
    control(&pipeline, json!({"pause": other}), "paused").await;
    let said = control(&pipeline, json!({"retry": first.run.id}), "requested").await;
    sleep(Duration::from_hours(2)).await;
    let behind = pipeline.start_event(&Value::Null);
    pipeline.send("pages", &behind.to_string()).await;
    control(&pipeline, json!({"resume": other}), "resumed").await;
    pipeline.until_ended(&other).await;
    let next = pipeline.until_ended(&run_of(&behind)).await;
    assert_eq!(next.state(), State::CompleteWithErrors, "{}", next.reason());
    let run = RunId::parse(said["run"].as_str().unwrap()).unwrap();
    assert_eq!(pipeline.state(&run).await, None, "it never begins");
    let [dead] = &pipeline.sqs.bodies("pages-dead-letters")[..] else { panic!("one dead letter") };
    assert!(dead.contains("\"retry\"") && dead.contains(first.run.id.as_str()), "{dead}");
    let old = refused(&pipeline, json!({"retry": first.run.id})).await;
    assert!(old.contains("80 days"), "{old}");
}

#[tokio::test(start_paused = true)]
async fn retry_has_the_plan_of_its_run() {
    let pipeline = Pipeline::new(HAS_AVATAR, failing(200)).await;
    let first = pipeline.run(Value::Null).await;
    pipeline.world.cure(first.errors.iter().map(|row| &row.user));
    let ledger = &pipeline.engine.clients.ledger;
    ledger.put_plan("has-avatar", &json!({"name": "has-avatar", "set": {}})).await.unwrap();
    let report = retry(&pipeline, json!({"retry": first.run.id})).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    assert_eq!(ledger.plan_of(&report.run.id).await.unwrap(), pipeline.plan.to_json());
    assert!(report.run.version_reason.unwrap().contains(first.run.id.as_str()));
}
