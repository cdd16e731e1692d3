//! Cancelled runs: their numbers add up, and no older value of theirs comes later.

use std::time::Duration;

use intercom_bulk::domain::run::{Counted, RunId, State};
use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::api::{On, workspace};
use crate::intercom::Closed;
use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, faults};
use crate::report::Report;

super::scenarios! {
    on_each_api: [
        cancel_adds_up_and_begins_no_later_write,
        later_run_waits_for_writes_that_take_effect_late,
        released_run_holds_until_its_requests_are_over,
    ];
    later_run_waits_for_the_jobs_of_a_cancelled_run on [v1_4, preview] not [
        v2_17 "a write is carried out before its answer"
    ];
    release_ends_the_wait_for_a_job on [v1_4, preview] not [
        v2_17 "a write is carried out before its answer"
    ];
}

async fn cancel_adds_up_and_begins_no_later_write(on: On) {
    let options = Options { rate_limit_per_10s: 100, latency_ms: 300, job_delay_s: 5, ..workspace(700) };
    let pipeline = on.pipeline(HAS_AVATAR, options).await;
    let to_change = Report::to_change(&pipeline) as u64;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| on.written(state) >= 100).await;
    let said = control(&pipeline, json!({"cancel": run, "reason": "a wrong plan"}), "cancelled").await;
    assert_eq!(said["reason"], "cancelled by an operator: a wrong plan");
    sleep(Duration::from_secs(3)).await;
    let before = on.writes(&pipeline.world.state());
    sleep(Duration::from_mins(10)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), on.writes(&report.world)), (State::Cancelled, before), "a write began later");
    report.assert_nobody_lost();
    assert_eq!((report.accounts.jobs_open(), report.dead.len(), report.errors.len()), (0, 0, 0));
    let written = on.written(&report.world);
    assert!(written < to_change, "{written} of {to_change}");
    assert_eq!(report.lacking.len() as u64, to_change - written);
    let counted = Counted::of(&report.cursor.tally, &report.accounts.totals);
    let pending = report.cursor.tally.patches - written;
    assert_eq!((counted.written, counted.failed, counted.pending), (written, 0, pending), "{counted:?}");
    assert_eq!(counted.read, written + counted.unchanged + counted.skipped + pending, "{counted:?}");
}

/// The writes of a run are carried out 75 s after they were sent. Returns it after its cancellation.
async fn cancelled_with_late_writes(on: On) -> (Pipeline, RunId) {
    let pipeline = on.pipeline(HAS_AVATAR, workspace(300)).await;
    pipeline.way.disturb(on.write, Closed::Late(75));
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_secs(20)).await;
    pipeline.cancel(&run).await;
    (pipeline, run)
}

/// The next run writes the opposite values.
async fn later_run_waits_for_writes_that_take_effect_late(on: On) {
    let (pipeline, first) = cancelled_with_late_writes(on).await;
    let second = pipeline.start_opposite().await;
    sleep(Duration::from_secs(15)).await;
    let waits = pipeline.waits(&second).await;
    assert!(waits.contains(first.as_str()) && waits.contains("request"), "{waits}");
    assert_eq!(on.written(&pipeline.world.state()), 0, "they are not carried out yet");
    pipeline.way.close(None);
    pipeline.opposite_wins(&second).await;
    assert!(on.written(&pipeline.world.state()) > 250, "the late writes were carried out");
    // No late write comes after it.
    sleep(Duration::from_mins(3)).await;
    pipeline.opposite_wins(&second).await;
}

async fn released_run_holds_until_its_requests_are_over(on: On) {
    let (pipeline, first) = cancelled_with_late_writes(on).await;
    let second = pipeline.start_opposite().await;
    sleep(Duration::from_secs(10)).await;
    let said = control(&pipeline, json!({ "release": first }), "released").await;
    assert!(said["reason"].as_str().unwrap().contains("an older value may come later"), "{said}");
    pipeline.way.close(None);
    pipeline.opposite_wins(&second).await;
    sleep(Duration::from_mins(3)).await;
    pipeline.opposite_wins(&second).await;
    assert_eq!(control(&pipeline, json!({ "release": first }), "nothing").await["state"], "cancelled");
}

/// Cancels a run after its first job, and starts one with the opposite values.
async fn cancelled_after_a_job(on: On, options: Options) -> (Pipeline, RunId, RunId) {
    let pipeline = on.pipeline(HAS_AVATAR, options).await;
    let first = pipeline.start(Value::Null).await;
    pipeline.until(|state| !state.jobs.is_empty()).await;
    control(&pipeline, json!({"cancel": true}), "cancelled").await;
    let second = pipeline.start_opposite().await;
    (pipeline, first, second)
}

async fn later_run_waits_for_the_jobs_of_a_cancelled_run(on: On) {
    let (pipeline, first, second) = cancelled_after_a_job(on, Options { job_delay_s: 300, ..workspace(300) }).await;
    sleep(Duration::from_mins(1)).await;
    let waits = pipeline.waits(&second).await;
    assert!(waits.contains("bulk job") && waits.contains(first.as_str()), "{waits}");
    let report = pipeline.opposite_wins(&second).await;
    assert!((230..1_200).contains(&report.seconds), "{} s", report.seconds);
    let first = Report::of(&pipeline, &first).await;
    assert_eq!(first.accounts.jobs_open(), 0);
}

async fn release_ends_the_wait_for_a_job(on: On) {
    let options = Options { faults: faults(&["job-never-ends=1"]), ..workspace(300) };
    let (pipeline, first, second) = cancelled_after_a_job(on, options).await;
    sleep(Duration::from_mins(10)).await;
    assert!(pipeline.waits(&second).await.contains(first.as_str()));
    let said = control(&pipeline, json!({ "release": first }), "released").await;
    assert!(said["reason"].as_str().unwrap().contains("bulk job"), "{said}");
    let report = pipeline.opposite_wins(&second).await;
    assert!(report.seconds < 1_200, "{} s", report.seconds);
}
