//! A canary: a run that pauses when its first users are done, and continues with all users.

use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_simulator::{Alteration, Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;
use crate::verifying::{READ, altered, note, read_back};

async fn canary(pipeline: &Pipeline, more: Value) -> Report {
    let mut limits = json!({"limit": 100, "then_pause": true});
    limits.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    pipeline.run(json!({ "rails": limits })).await
}

async fn resumed(pipeline: &Pipeline, before: &Report) -> Report {
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    pipeline.until_ended(&before.run.id).await
}

#[tokio::test(start_paused = true)]
async fn canary_tells_the_users_that_failed() {
    let fault = Fault::ItemError { percent: 20.0, code: "invalid".into(), message: "no".into() };
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: vec![fault], ..users(650) }).await;
    let report = canary(&pipeline, json!({})).await;
    assert_eq!(report.state(), State::Paused);
    let failed = format!("{} failed; ", report.errors.len());
    assert!(report.errors.len() > 1 && report.reason().contains(&failed), "{}", report.reason());
    let report = resumed(&pipeline, &report).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    report.assert_nobody_lost();
}

/// The pause tells what Intercom did not keep, before the other users are written.
#[tokio::test(start_paused = true)]
async fn canary_tells_the_values_that_are_not_kept() {
    let pipeline = Pipeline::new(&note("string", "' a '"), altered(Alteration::Trim, 250)).await;
    let report = canary(&pipeline, json!({})).await;
    assert_eq!((report.state(), report.world.items), (State::Paused, 100));
    let reason = report.reason();
    assert!(
        reason.contains("; 0 of 100 read back are as written; Intercom did not keep custom_attributes.note"),
        "{reason}"
    );
    let report = resumed(&pipeline, &report).await;
    assert_eq!((report.state(), report.run.generation), (State::CompleteWithErrors, 2), "{}", report.reason());
    assert_eq!(read_back(&report).not_kept, 100);
}

/// An operator's pause is not the end of the canary.
#[tokio::test(start_paused = true)]
async fn pause_while_a_canary_is_verified_continues_the_check() {
    for restarts in [false, true] {
        let mut pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 400, ..users(650) }).await;
        let run = pipeline.start(json!({"rails": {"limit": 100, "then_pause": true}})).await;
        pipeline.until(|state| state.requests.get(READ).is_some_and(|count| *count >= 45)).await;
        assert_eq!(pipeline.state(&run).await, Some(State::Verifying));
        if restarts {
            pipeline.crash().await;
            pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
        } else {
            control(&pipeline, json!({"pause": true}), "paused").await;
            sleep(Duration::from_hours(3)).await;
            assert_eq!(Report::of(&pipeline, &run).await.run.canary_ended, None);
            control(&pipeline, json!({"resume": true}), "resumed").await;
        }
        let report = pipeline.until_ended(&run).await;
        assert_eq!((report.state(), report.run.canary_ended, report.cursor.tally.users), (State::Paused, Some(1), 100));
        assert!(report.world.requests[READ] <= report.world.items + 20, "{} reads", report.world.requests[READ]);
        resumed(&pipeline, &report).await.assert_complete();
    }
}

/// The limit covers the canary and the rest: what the canary wrote counts.
#[tokio::test(start_paused = true)]
async fn max_changes_covers_the_canary_and_the_rest() {
    let most = Report::to_change(&Pipeline::new(HAS_AVATAR, users(650)).await) as u64;
    for (allowed, ends) in [(most, State::Complete), (most - 1, State::Failed)] {
        let pipeline = Pipeline::new(HAS_AVATAR, users(650)).await;
        let report = canary(&pipeline, json!({"max_changes": {"users": allowed}})).await;
        assert_eq!(report.state(), State::Paused, "{}", report.reason());
        let written = report.world.items;
        let report = resumed(&pipeline, &report).await;
        assert_eq!(report.state(), ends, "{}", report.reason());
        if ends == State::Failed {
            assert_eq!(report.world.items, written, "the rest is held back");
            let reason = format!("up to {written} users were changed before, and nothing was written since");
            assert!(report.reason().ends_with(&reason), "{}", report.reason());
        }
    }
    let pipeline = Pipeline::new(HAS_AVATAR, users(650)).await;
    let report = canary(&pipeline, json!({"max_changes": {"percent": 50}})).await;
    assert_eq!((report.state(), report.world.items), (State::Failed, 0), "{}", report.reason());
}

#[tokio::test(start_paused = true)]
async fn later_start_waits_behind_a_canary() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(650)).await;
    let report = canary(&pipeline, json!({})).await;
    let answer = pipeline.engine.scroll(pipeline.start_event(&Value::Null)).await.unwrap();
    assert_eq!(answer["did"], json!(["queued"]));
    sleep(Duration::from_hours(1)).await;
    assert_eq!(pipeline.state(&report.run.id).await, Some(State::Paused));
    let ends = pipeline.start_event(&json!({"supersede": true}));
    pipeline.engine.scroll(ends).await.unwrap();
    assert_eq!(pipeline.state(&report.run.id).await, Some(State::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn canary_of_a_smaller_workspace_pauses_too() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(60)).await;
    let report = canary(&pipeline, json!({})).await;
    assert_eq!((report.state(), report.cursor.tally.users), (State::Paused, 60));
    resumed(&pipeline, &report).await.assert_complete();
}
