//! An operator's verbs: pause, resume, cancel, and starts behind a paused run.

use std::time::Duration;

use intercom_bulk::domain::run::{Counted, RunId, State};
use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, MISSPELT, users};
use crate::report::Report;
use crate::resumes::{many_parts, with_parts};

pub(crate) const DAY: Duration = Duration::from_hours(24);

/// Starts a run whose pages are faster than its jobs, up to its first jobs.
pub(crate) async fn under_way() -> (Pipeline, RunId) {
    let options = Options { rate_limit_per_10s: 83, latency_ms: 300, ..users(1_500) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.jobs.len() > 2).await;
    (pipeline, run)
}

/// Starts a run and waits until only its jobs are open, which take five minutes.
pub(crate) async fn draining() -> (Pipeline, RunId) {
    draining_for(300).await
}

/// Starts a run and waits until only its jobs are open, which take so many seconds.
async fn draining_for(job_delay_s: u64) -> (Pipeline, RunId) {
    let options = Options { job_delay_s, ..users(300) };
    // Within the life of a job, no generation takes it for lost.
    let settings = intercom_bulk::runtime::config::Settings { job_life_ms: 900_000, ..settings() };
    let pipeline = Pipeline::with(HAS_AVATAR, options, settings, Vec::new()).await;
    let run = pipeline.start(Value::Null).await;
    while pipeline.state(&run).await != Some(State::Draining) {
        sleep(Duration::from_secs(1)).await;
    }
    sleep(Duration::from_secs(20)).await;
    (pipeline, run)
}

/// Invokes control, and checks the change that it reports.
pub(crate) async fn control(pipeline: &Pipeline, event: Value, did: &str) -> Value {
    let answer = pipeline.engine.control(event.clone()).await.unwrap();
    assert_eq!(answer["did"], did, "{event}: {answer}");
    answer
}

#[tokio::test(start_paused = true)]
async fn pause_of_30_days_ends_the_run() {
    let (pipeline, run) = under_way().await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    pipeline.rest(20 * DAY).await;
    control(&pipeline, json!({"resume": true}), "resumed").await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    pipeline.rest(9 * DAY).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(pipeline.state(&run).await, Some(State::Paused));
    // 30 days in all.
    pipeline.rest(DAY).await;
    sleep(Duration::from_mins(1)).await;
    let report = Report::of(&pipeline, &run).await;
    assert_eq!(report.state(), State::Cancelled);
    assert!(report.reason().contains("30 days"), "{}", report.reason());
}

#[tokio::test(start_paused = true)]
async fn pause_during_the_last_page_keeps_the_page() {
    let options = Options { latency_ms: 4_000, ..users(250) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    let pages = |state: &intercom_simulator::State| state.requests.get("GET /users/scroll").copied();
    // Three pages, and the one that says that there are no more.
    pipeline.until(|state| pages(state) >= Some(4)).await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_mins(1)).await;
    let ledger = &pipeline.engine.clients.ledger;
    let paused = ledger.run(&run).await.unwrap().unwrap();
    assert_eq!(paused.pause().map(|pause| pause.from), Some(State::Draining), "all pages are read");
    assert_eq!(ledger.cursor(&run).await.unwrap().unwrap().lease, None);
    control(&pipeline, json!({"resume": true}), "resumed").await;
    pipeline.until_ended(&run).await.assert_complete();
}

/// While only jobs are open, the accounts are read every five minutes, or when a job ends. A job that ends
/// during a pause does not end the run.
#[tokio::test(start_paused = true)]
async fn run_whose_jobs_ended_during_a_pause_ends_soon_after_it() {
    let (pipeline, run) = draining_for(120).await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_mins(3)).await;
    control(&pipeline, json!({"resume": true}), "resumed").await;
    let resumed = Instant::now();
    pipeline.until_ended(&run).await.assert_complete();
    let took = resumed.elapsed();
    assert!(took < Duration::from_secs(30), "the run ended {took:?} after the resume");
}

#[tokio::test(start_paused = true)]
async fn turn_of_a_paused_run_gives_its_lease_back() {
    let (pipeline, run) = under_way().await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_secs(10)).await;
    let cursor = pipeline.engine.clients.ledger.cursor(&run).await.unwrap().unwrap();
    assert_eq!((cursor.lease, cursor.leases), (None, 0));
    assert!(pipeline.sqs.bodies("pages").is_empty(), "the turn's message is deleted");
    control(&pipeline, json!({"resume": true}), "resumed").await;
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!(report.cursor.gaps, Vec::<u32>::new());
}

#[tokio::test(start_paused = true)]
async fn superseding_start_ends_a_paused_run() {
    let (pipeline, run) = under_way().await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    let waiting = pipeline.start(json!({"rails": {"limit": 100}})).await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(pipeline.state(&waiting).await, None);
    let next = pipeline.start(json!({"supersede": true})).await;
    assert_eq!(pipeline.state(&run).await, Some(State::Cancelled));
    while pipeline.state(&next).await.is_none() {
        sleep(Duration::from_secs(1)).await;
    }
    let report = pipeline.until_ended(&next).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
}

/// A start that supersedes does not end a run that is at work.
#[tokio::test(start_paused = true)]
async fn superseding_start_waits_for_a_run_at_work() {
    let (pipeline, run) = under_way().await;
    pipeline.start(json!({"supersede": true, "rails": {"limit": 100}})).await;
    sleep(Duration::from_mins(1)).await;
    assert!(pipeline.state(&run).await.unwrap().submits());
}

/// Users that are read and not sent are counted by subtraction: a cancelled run ends no part.
#[tokio::test(start_paused = true)]
async fn cancel_makes_one_more_job_per_process_at_most() {
    let parts = many_parts(2_000);
    let (pipeline, run, to_change) = with_parts(parts, 10).await;
    pipeline.until(|state| state.jobs.len() > 5).await;
    let queued = |pipeline: &Pipeline| pipeline.sqs.bodies("patches").len();
    assert!(queued(&pipeline) > parts - 1_000, "{} of {parts} parts are queued", queued(&pipeline));
    let before = pipeline.world.state().jobs.len();
    let said = control(&pipeline, json!({"cancel": run, "reason": "a wrong plan"}), "cancelled").await;
    assert_eq!(said["reason"], "cancelled by an operator: a wrong plan");
    sleep(Duration::from_secs(30)).await;
    assert_eq!(queued(&pipeline), 0, "their messages are deleted");
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Cancelled);
    // Submit has two processes.
    assert!(report.jobs.len() <= before + 2, "{before} jobs, then {}", report.jobs.len());
    // Every job is closed, and the totals are those of the jobs.
    report.assert_nobody_lost();
    assert_eq!(report.dead, Vec::<String>::new());
    let (tally, totals) = (&report.cursor.tally, &report.accounts.totals);
    assert_eq!((report.accounts.jobs_open(), totals.jobs), (0, report.jobs.len() as u64));
    let written: u64 = report.jobs.iter().map(|job| job.users).sum();
    assert_eq!((totals.written, report.world.items), (written, written));
    assert_eq!(tally.patches, to_change);
    assert!(to_change - written > to_change / 2, "the rest was dropped");
    let counted = Counted::of(tally, totals);
    assert_eq!(counted.pending, to_change - written, "{counted:?}");
}

#[tokio::test(start_paused = true)]
async fn second_equal_event_changes_nothing() {
    let (pipeline, run) = under_way().await;
    let none = control(&pipeline, json!({"resume": true}), "nothing").await;
    assert_eq!(none["hint"], "the run is not paused");
    control(&pipeline, json!({"pause": run}), "paused").await;
    let paused = pipeline.engine.clients.ledger.run(&run).await.unwrap();
    let again = control(&pipeline, json!({"pause": run}), "nothing").await;
    assert_eq!((again["state"].as_str(), again["hint"].as_str()), (Some("paused"), Some("the run is paused already")));
    assert_eq!(pipeline.engine.clients.ledger.run(&run).await.unwrap(), paused);
    control(&pipeline, json!({"cancel": run}), "cancelled").await;
    for verb in ["cancel", "pause", "resume"] {
        let said = control(&pipeline, json!({verb: run}), "nothing").await;
        assert_eq!(said["state"], "cancelled", "{verb}");
    }
    assert_eq!(control(&pipeline, json!({"pause": true}), "nothing").await["hint"], "no run is active");
    let unknown = pipeline.engine.control(json!({"pause": "has-avatar.1"})).await.unwrap_err();
    assert!(unknown.contains("has-avatar.1"), "{unknown}");
}

#[tokio::test(start_paused = true)]
async fn release_ends_the_wait_for_an_ended_runs_jobs() {
    let (pipeline, run) = draining().await;
    let running = pipeline.engine.control(json!({"release": run})).await.unwrap();
    assert_eq!(running["hint"], "the run has not ended: cancel it first");
    control(&pipeline, json!({"cancel": run}), "cancelled").await;
    let said = control(&pipeline, json!({"release": run}), "released").await;
    assert!(said["reason"].as_str().unwrap().contains("an older value may come later"), "{said}");
    let again = control(&pipeline, json!({"release": run}), "nothing").await;
    assert_eq!(again["hint"], "the run was released before");
    assert!(pipeline.engine.control(json!({"release": true})).await.is_err(), "an ended run is never the active one");
}

/// From then on a run that a limit paused keeps its place, too.
#[tokio::test(start_paused = true)]
async fn operator_can_hold_a_run_that_a_limit_paused() {
    let pipeline = Pipeline::new(MISSPELT, users(80)).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Paused);
    control(&pipeline, json!({"pause": true}), "paused").await;
    let held = pipeline.engine.clients.ledger.run(&report.run.id).await.unwrap().unwrap();
    assert!(held.hold().is_some() && held.reason == report.run.reason, "{held:?}");
    sleep(Duration::from_secs(2)).await;
    pipeline.start(json!({"rails": {"accept_unseen": true}})).await;
    assert_eq!(pipeline.state(&report.run.id).await, Some(State::Paused));
}
