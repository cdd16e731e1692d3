//! Pauses in each phase of a run, for longer than a scroll or a message lives, and what a resume
//! continues.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use intercom_bulk::domain::run::{Counted, RunId, State};
use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::accident::Accident;
use crate::intercom::Closed;
use crate::pauses::{DAY, control, draining, under_way};
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, MISSPELT, users};
use crate::report::Report;

/// The time in which a run reads the pages of a thousand parts.
const READ_WITHIN: Duration = Duration::from_mins(4);

/// Returns the number of parts of a test with many: `PIPELINE_PARTS`, or this one.
pub(crate) fn many_parts(parts: usize) -> usize {
    std::env::var("PIPELINE_PARTS").ok().and_then(|parts| parts.parse().ok()).unwrap_or(parts)
}

/// Starts a run, all of whose parts are delivered after its pages are read. A page is a part. Returns
/// it with all parts queued, and the number of users to change.
pub(crate) async fn with_parts(parts: usize, page_size: usize) -> (Pipeline, RunId, u64) {
    let (now, within) = (Instant::now(), READ_WITHIN * parts.div_ceil(1_000) as u32);
    let held = Accident::Held { queue: "patches", from: now, until: now + within };
    let options = Options { page_size, rate_limit_per_10s: 500, ..users(parts * page_size) };
    let pipeline = Pipeline::with(HAS_AVATAR, options, settings(), vec![held]).await;
    let to_change = Report::to_change(&pipeline) as u64;
    let run = pipeline.start(Value::Null).await;
    let pipeline = pipeline.ticking(Duration::from_mins(1)).await;
    while pipeline.state(&run).await != Some(State::Draining) {
        assert!(now.elapsed() < within, "{:?}: {:?}", now.elapsed(), pipeline.engine.clients.ledger.run(&run).await);
        sleep(Duration::from_secs(1)).await;
    }
    (pipeline, run, to_change)
}

/// Pauses for a time, and resumes.
async fn paused_for(pipeline: &Pipeline, run: &RunId, time: Duration) {
    control(pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_mins(2)).await;
    let jobs = pipeline.world.state().jobs.len();
    pipeline.rest(time).await;
    sleep(Duration::from_mins(2)).await;
    assert_eq!(pipeline.state(run).await, Some(State::Paused));
    assert_eq!(pipeline.world.state().jobs.len(), jobs, "a job of a paused run");
    control(pipeline, json!({"resume": run}), "resumed").await;
}

fn pages(pipeline: &Pipeline) -> u64 {
    pipeline.world.state().requests.get("GET /users/scroll").copied().unwrap_or_default()
}

/// Returns the users of each job so far.
fn sizes(pipeline: &Pipeline) -> Vec<usize> {
    pipeline.world.state().jobs.iter().map(|job| job.items).collect()
}

fn mean(sizes: &[usize]) -> usize {
    sizes.iter().sum::<usize>() / sizes.len().max(1)
}

async fn deadline_ms(pipeline: &Pipeline, run: &RunId) -> i64 {
    pipeline.engine.clients.ledger.run(run).await.unwrap().unwrap().deadline_ms
}

/// SQS keeps a message for 14 days. Ticks are a minute apart, as on AWS.
#[tokio::test(start_paused = true)]
async fn queued_parts_survive_a_pause_of_29_days() {
    let parts = many_parts(1_000);
    let (pipeline, run, to_change) = with_parts(parts, 10).await;
    pipeline.until(|state| state.jobs.len() > 20).await;
    let (before, deadline_before_ms) = (sizes(&pipeline), deadline_ms(&pipeline, &run).await);
    let queued = pipeline.sqs.bodies("patches").len();
    assert!(queued > parts * 7 / 10, "{queued} parts are queued");
    paused_for(&pipeline, &run, 29 * DAY).await;
    let moved_ms = deadline_ms(&pipeline, &run).await - deadline_before_ms;
    assert!((0..5 * 60_000).contains(&(moved_ms - 29 * 24 * 3_600_000)), "the deadline moves by {moved_ms} ms");
    let paused = sizes(&pipeline).len();
    sleep(Duration::from_mins(1)).await;
    assert!(sizes(&pipeline).len() > paused + 20, "too few jobs a minute after the resume");
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!((report.run.generation, report.dead.len()), (1, 0), "no page is read again");
    assert_eq!(report.world.items, to_change, "no user was sent twice");
    let after = sizes(&pipeline).split_off(paused);
    assert!(10 * mean(&after) >= 9 * mean(&before), "jobs are as full as before: {before:?}, then {after:?}");
}

/// A scroll has expired, so its users are read again, after what was queued is submitted.
#[tokio::test(start_paused = true)]
async fn queued_parts_are_submitted_before_a_new_generation() {
    let (pipeline, run) = under_way().await;
    assert_eq!(pipeline.state(&run).await, Some(State::Running));
    paused_for(&pipeline, &run, DAY).await;
    let (ledger, read) = (&pipeline.engine.clients.ledger, pages(&pipeline));
    while ledger.cursor(&run).await.unwrap().unwrap().generation == 1 {
        assert_eq!(pages(&pipeline), read, "a page was read before the queued parts had ended");
        assert_eq!(pipeline.state(&run).await, Some(State::Running));
        sleep(Duration::from_secs(1)).await;
    }
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!(report.run.generation, 2);
    let counted = Counted::of(&report.cursor.tally, &report.accounts.totals);
    assert_eq!(report.world.items, counted.written, "no user was sent twice");
}

#[tokio::test(start_paused = true)]
async fn draining_run_drains_after_a_pause() {
    for time in [Duration::from_mins(30), 29 * DAY] {
        let (pipeline, run) = draining().await;
        let read = pages(&pipeline);
        paused_for(&pipeline, &run, time).await;
        assert_eq!(pipeline.state(&run).await, Some(State::Draining));
        let report = pipeline.until_ended(&run).await;
        report.assert_complete();
        assert_eq!((report.run.generation, pages(&pipeline)), (1, read), "no page is read again");
    }
}

pub(crate) fn sort_key(item: &HashMap<String, AttributeValue>) -> &str {
    item["sk"].as_s().unwrap()
}

/// The three hours after which a failing part of a small run is given up do not include a pause.
#[tokio::test(start_paused = true)]
async fn pause_during_an_outage_gives_no_part_up() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(12)).await;
    pipeline.way.disturb("POST /bulk/users", Closed::Answers(503));
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_mins(3)).await;
    paused_for(&pipeline, &run, Duration::from_hours(5)).await;
    sleep(Duration::from_mins(10)).await;
    pipeline.way.close(None);
    pipeline.until_ended(&run).await.assert_complete();
}

/// The page that showed the missing path was not sent. Its scroll is still open.
#[tokio::test(start_paused = true)]
async fn resume_reads_the_page_that_paused_the_run_again() {
    for (count, holds) in [(1_200, false), (1_200, true), (80, false)] {
        let pipeline = Pipeline::new(MISSPELT, users(count)).await;
        let run = pipeline.start(Value::Null).await;
        while pipeline.state(&run).await != Some(State::Paused) {
            sleep(Duration::from_millis(100)).await;
        }
        if holds {
            control(&pipeline, json!({"pause": true}), "paused").await;
        }
        for user in pipeline.world.users() {
            let id = user["id"].as_str().unwrap();
            pipeline.world.set_user(id, |body| body["custom_attributes"]["plann"] = json!("there now"));
        }
        control(&pipeline, json!({"resume": true}), "resumed").await;
        let report = pipeline.until_ended(&run).await;
        report.assert_complete();
        assert_eq!(report.run.generation, 2);
    }
}

/// A run of the version before keeps no content of its parts, so their users are read again.
#[tokio::test(start_paused = true)]
async fn run_of_format_1_reads_again_what_was_queued() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { rate_limit_per_10s: 83, ..users(900) }).await;
    pipeline.stop().await;
    let run = pipeline.start(Value::Null).await;
    for mut item in pipeline.items().await {
        if ["RUN", "CURSOR"].contains(&sort_key(&item)) {
            item.insert("v".to_owned(), AttributeValue::N("1".to_owned()));
            pipeline.put(item).await;
        }
    }
    pipeline.work();
    pipeline.until(|state| state.jobs.len() > 2).await;
    paused_for(&pipeline, &run, Duration::from_mins(30)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), report.run.v, report.run.generation), (State::Complete, 1, 2));
    report.assert_users_accounted_for();
    report.assert_counts_add_up();
}
