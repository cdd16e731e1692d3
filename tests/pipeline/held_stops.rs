//! Stops of a run whose parts `max_changes` holds back: no stop sends a part, and what continues it
//! still keeps the limit.

use std::time::Duration;

use intercom_bulk::domain::part::Part;
use intercom_bulk::domain::run::{Counted, Run, RunId, State};
use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::held_back::{assert_nothing_written, at_most, to_change};
use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

/// The users of the workspace. Their last page has fifty.
const USERS: usize = 750;
/// Requests of a generation that reads to its end: eight pages, and one that says that there are no
/// more.
const REQUESTS: u64 = 9;

fn options() -> Options {
    Options { latency_ms: 900, ..users(USERS) }
}

fn pages(state: &intercom_simulator::State) -> u64 {
    state.requests.get("GET /users/scroll").copied().unwrap_or_default()
}

/// Starts a run with this limit, up to this request for a page.
async fn held(most: &Value, request: u64) -> (Pipeline, RunId) {
    let pipeline = Pipeline::new(HAS_AVATAR, options()).await;
    let run = pipeline.start(at_most(most)).await;
    pipeline.until(|state| pages(state) >= request).await;
    (pipeline, run)
}

async fn row(pipeline: &Pipeline, run: &RunId) -> Run {
    pipeline.engine.clients.ledger.run(run).await.unwrap().unwrap()
}

fn assert_nothing_sent(pipeline: &Pipeline) {
    let state = pipeline.world.state();
    assert_eq!((state.items, state.jobs.len(), pipeline.sqs.bodies("patches").len()), (0, 0, 0));
}

/// A message of such a part is a copy that came early, or one that another program sent.
#[tokio::test(start_paused = true)]
async fn message_of_a_held_part_is_not_submitted() {
    let (pipeline, run) = held(&json!({"percent": 100}), 4).await;
    let ledger = &pipeline.engine.clients.ledger;
    let page = ledger.committed_page(&run, 1, 1).await.unwrap().expect("the first page has patches");
    let parts: Vec<Part> = ledger.bodies(&run, 2, page.part_ids().collect()).await.unwrap();
    assert!(!parts.is_empty());
    pipeline.engine.clients.queues.send_parts(&parts).await.unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_nothing_sent(&pipeline);
    assert!(row(&pipeline, &run).await.held_back);
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!(report.world.items, report.cursor.tally.patches, "the part is sent once, after the last page");
}

/// A pause, and what it interrupts.
struct Paused {
    name: &'static str,
    /// The request for a page at which the operator pauses.
    request: u64,
    lasts: Duration,
    /// The generations and the requests for pages of the whole run.
    generation: u32,
    requests: u64,
}

const PAUSES: [Paused; 3] = [
    Paused { name: "its scroll lives", request: 4, lasts: Duration::from_secs(20), generation: 1, requests: REQUESTS },
    Paused {
        name: "its scroll expires",
        request: 4,
        lasts: Duration::from_mins(9),
        generation: 2,
        requests: REQUESTS + 4,
    },
    Paused { name: "on the last page", request: 9, lasts: Duration::from_mins(9), generation: 1, requests: REQUESTS },
];

#[tokio::test(start_paused = true)]
async fn paused_run_holds_its_parts_back_until_a_generation_ends() {
    let most = to_change(options()).await;
    for paused in PAUSES {
        let (pipeline, run) = held(&json!({"users": most}), paused.request).await;
        control(&pipeline, json!({"pause": true}), "paused").await;
        sleep(paused.lasts).await;
        assert_nothing_sent(&pipeline);
        // The last page releases the parts, and the pause keeps them.
        assert_eq!(row(&pipeline, &run).await.held_back, paused.request < REQUESTS, "{}", paused.name);
        control(&pipeline, json!({"resume": true}), "resumed").await;
        let report = pipeline.until_ended(&run).await;
        report.assert_complete();
        let read = (report.run.generation, report.world.requests["GET /users/scroll"]);
        assert_eq!(read, (paused.generation, paused.requests), "{}", paused.name);
        assert_eq!(report.world.items, most, "{}: no user was sent twice", paused.name);
    }
}

#[tokio::test(start_paused = true)]
async fn limit_holds_over_a_pause() {
    let most = to_change(options()).await;
    for paused in PAUSES {
        let (pipeline, run) = held(&json!({"users": most - 1}), paused.request.min(7)).await;
        control(&pipeline, json!({"pause": true}), "paused").await;
        sleep(paused.lasts).await;
        control(&pipeline, json!({"resume": true}), "resumed").await;
        assert_nothing_written(&pipeline.until_ended(&run).await);
    }
    // The last page ends the paused run.
    let percent = (most * 100 - 1) / USERS as u64;
    let (pipeline, run) = held(&json!({"percent": percent}), REQUESTS).await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_secs(20)).await;
    assert_nothing_written(&Report::of(&pipeline, &run).await);
}

/// The parts are in the queue, or with submit.
#[tokio::test(start_paused = true)]
async fn pause_after_the_release_keeps_the_rest() {
    let options = Options { rate_limit_per_10s: 83, ..options() };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(at_most(&json!({"percent": 100}))).await;
    pipeline.until(|state| state.jobs.len() >= 2).await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_mins(9)).await;
    let paused = row(&pipeline, &run).await;
    assert_eq!((paused.state, paused.held_back), (State::Paused, false));
    let before = pipeline.world.state().items;
    control(&pipeline, json!({"resume": true}), "resumed").await;
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!((report.run.generation, report.world.items), (1, report.cursor.tally.patches));
    assert!(before < report.world.items, "{before}");
}

#[tokio::test(start_paused = true)]
async fn cancelled_run_writes_nothing_that_it_held_back() {
    for pauses_first in [false, true] {
        let (pipeline, run) = held(&json!({"percent": 100}), 4).await;
        if pauses_first {
            control(&pipeline, json!({"pause": true}), "paused").await;
            sleep(Duration::from_mins(2)).await;
        }
        control(&pipeline, json!({"cancel": run, "reason": "a wrong plan"}), "cancelled").await;
        sleep(Duration::from_mins(2)).await;
        assert_nothing_sent(&pipeline);
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.state(), State::Cancelled);
        let counted = Counted::of(&report.cursor.tally, &report.accounts.totals);
        assert!(counted.pending > 0 && counted.pending == report.cursor.tally.patches, "{counted:?}");
        assert_eq!(counted.written, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn superseding_start_drops_the_parts_held_back() {
    let most = to_change(options()).await;
    let (pipeline, run) = held(&json!({"percent": 100}), 6).await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_secs(5)).await;
    let next = pipeline.start(json!({"supersede": true, "rails": {"max_changes": {"users": most}}})).await;
    assert_eq!(pipeline.state(&run).await, Some(State::Cancelled));
    while pipeline.state(&next).await.is_none() {
        sleep(Duration::from_secs(1)).await;
    }
    let report = pipeline.until_ended(&next).await;
    report.assert_complete();
    assert_eq!(report.world.items, most, "only the second run wrote");
}

#[tokio::test(start_paused = true)]
async fn deadline_ends_a_run_that_holds_its_parts_back() {
    let (pipeline, run) = held(&json!({"percent": 100}), 4).await;
    pipeline.rest(Duration::from_hours(25)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), report.world.items), (State::Incomplete, 0), "{}", report.reason());
    let reason = report.reason();
    assert!(reason.contains("past its deadline") && reason.contains("of 750 users were read"), "{reason}");
    assert!(reason.contains(" parts were held back (max_changes) and not sent"), "{reason}");
}
