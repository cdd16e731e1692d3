//! `max_changes`: the parts of a run are held back until a generation has ended within the limit.

use intercom_bulk::domain::clock::Clock;
use intercom_bulk::domain::run::{RunId, State};
use intercom_bulk::runtime::invocation::Invocation;
use intercom_bulk::steps::scroll;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};

use crate::accident::Accident;
use crate::intercom::Closed;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;
use crate::verifying::{READ, read_back};

/// Limits on the changed users.
pub(crate) fn at_most(most: &Value) -> Value {
    json!({"rails": {"max_changes": most}})
}

/// The users of a workspace that the plan changes.
pub(crate) async fn to_change(options: Options) -> u64 {
    Report::to_change(&Pipeline::new(HAS_AVATAR, options).await) as u64
}

pub(crate) fn assert_nothing_written(report: &Report) {
    assert_eq!(report.state(), State::Failed, "{}", report.reason());
    assert!(report.reason().contains("(max_changes); nothing was written"), "{}", report.reason());
    assert_eq!((report.world.items, report.world.requests.get("POST /bulk/users")), (0, None));
    assert_eq!(report.world.requests.get(READ), None, "what was not written is not read back");
    report.assert_nobody_lost();
}

#[tokio::test(start_paused = true)]
async fn number_fails_the_run_at_the_page_that_exceeds_it() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(1_200)).await;
    let report = pipeline.run(at_most(&json!({"users": 120}))).await;
    assert_nothing_written(&report);
    assert!(report.world.requests["GET /users/scroll"] < 5);
}

#[tokio::test(start_paused = true)]
async fn parts_are_sent_after_the_last_page() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 300, ..users(900) }).await;
    let run = pipeline.start(at_most(&json!({"percent": 100}))).await;
    pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count >= 9)).await;
    assert!(pipeline.sqs.bodies("patches").is_empty() && pipeline.world.state().items == 0);
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!(report.world.items, report.cursor.tally.patches, "no user was sent twice");
    assert!(report.seconds < 120, "{} s", report.seconds);
}

/// The generation before is void, so the next one begins at once and reads all users.
#[tokio::test(start_paused = true)]
async fn held_generation_with_gaps_is_void() {
    let most = to_change(users(900)).await;
    let faults = || vec![Fault::LosePage(3)];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: faults(), ..users(900) }).await;
    let report = pipeline.run(at_most(&json!({"users": most}))).await;
    report.assert_complete();
    assert_eq!((report.run.generation, report.world.items), (2, most), "the first generation sent nothing");
    assert_eq!(read_back(&report).kept, 100, "the sample is of the second one");
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: faults(), ..users(900) }).await;
    assert_nothing_written(&pipeline.run(at_most(&json!({"users": most - 1}))).await);
}

#[tokio::test(start_paused = true)]
async fn last_generation_allowed_is_sent_with_gaps() {
    // Each generation loses its third page.
    let faults = (0..6).map(|n| Fault::LosePage(3 + 10 * n)).collect();
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(900) }).await;
    let report = pipeline.run(at_most(&json!({"percent": 100}))).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    assert_eq!(report.world.items, report.cursor.tally.patches, "only the last generation was sent");
    assert!(report.world.items > 600, "{}", report.world.items);
    report.assert_nobody_lost();
}

/// The last page's answer leaves its invocation no time to send the parts that it releases.
async fn released_without_a_message() -> (Pipeline, RunId) {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 3_500, ..users(900) }).await;
    let run = pipeline.start(at_most(&json!({"percent": 100}))).await;
    pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count >= 9)).await;
    pipeline.stop().await;
    let [turn] = &pipeline.sqs.bodies("pages")[..] else { panic!("one turn is queued") };
    let record = json!({"messageId": "last", "receiptHandle": "last", "body": turn});
    let now_ms = pipeline.engine.now_ms();
    let at = Invocation {
        clock: Clock::starting_at(now_ms),
        request_id: "last".to_owned(),
        deadline_ms: now_ms + 8_000,
        stop: None,
    };
    scroll::handle(&pipeline.engine.clients, &json!({"Records": [record]}), &at).await.unwrap();
    let row = pipeline.engine.clients.ledger.run(&run).await.unwrap().unwrap();
    assert_eq!((row.state, row.held_back), (State::Draining, false));
    assert!(pipeline.sqs.bodies("patches").is_empty());
    (pipeline, run)
}

/// The commit that begins draining requests that the parts are sent.
#[tokio::test(start_paused = true)]
async fn crash_between_the_release_and_the_messages_loses_no_part() {
    for restarts in [false, true] {
        let (mut pipeline, run) = released_without_a_message().await;
        if restarts {
            pipeline.lose_queues().await;
            pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
        } else {
            pipeline.work();
        }
        let report = pipeline.until_ended(&run).await;
        report.assert_complete();
        assert_eq!((report.run.generation, report.world.requests["GET /users/scroll"]), (1, 10));
        assert_eq!(report.world.items, report.cursor.tally.patches, "no user was sent twice");
        assert!(report.seconds < 180, "the tick sends them: {} s", report.seconds);
    }
}

/// The process and its queues end while the parts are sent and submitted.
#[tokio::test(start_paused = true)]
async fn crash_after_the_release_loses_no_part() {
    let options = Options { latency_ms: 300, rate_limit_per_10s: 83, ..users(900) };
    let mut pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(at_most(&json!({"percent": 100}))).await;
    pipeline.until(|state| state.jobs.len() >= 2).await;
    pipeline.crash().await;
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!((report.run.generation, report.world.requests["GET /users/scroll"]), (1, 10));
}

#[tokio::test(start_paused = true)]
async fn restart_sends_no_part_that_is_held_back() {
    let mut pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 300, ..users(900) }).await;
    let run = pipeline.start(at_most(&json!({"users": 100}))).await;
    for pages in [1, 2] {
        pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count > pages)).await;
        pipeline.crash().await;
        pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    }
    assert_nothing_written(&pipeline.until_ended(&run).await);
}

#[tokio::test(start_paused = true)]
async fn lost_message_of_a_released_part_is_sent_again() {
    let accidents = vec![Accident::Lost { queue: "patches", number: 2 }];
    let pipeline = Pipeline::with(HAS_AVATAR, users(900), settings(), accidents).await;
    let report = pipeline.run(at_most(&json!({"percent": 100}))).await;
    report.assert_complete();
    assert_eq!(report.world.items, report.cursor.tally.patches);
}

#[tokio::test(start_paused = true)]
async fn percentage_needs_no_count() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    pipeline.way.disturb("GET /counts", Closed::Answers(403));
    assert_nothing_written(&pipeline.run(at_most(&json!({"percent": 20}))).await);
    let report = pipeline.run(at_most(&json!({"percent": 95}))).await;
    report.assert_complete();
    assert_eq!(report.run.count, None);
}

/// Users that a list names, and that do not exist, are read, too.
#[tokio::test(start_paused = true)]
async fn percentage_of_a_list_is_of_its_users() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    let ids: Vec<Value> = pipeline.world.users().iter().map(|user| user["id"].clone()).take(40).collect();
    let report = pipeline.run(json!({"users": ids, "rails": {"max_changes": {"percent": 30}}})).await;
    assert_eq!((report.state(), report.world.items), (State::Failed, 0), "{}", report.reason());
    assert!(report.reason().contains("of 40 users"), "{}", report.reason());
}
