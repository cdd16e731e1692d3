//! Defect D7: the process crashes and loses its queues. The ledger alone has the state to resume
//! from.

use intercom_bulk::domain::run::State;
use intercom_simulator::Options;
use serde_json::{Value, json};

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

/// Crashes after this number of requests of a kind, and restarts.
async fn dies_after(route: &str, requests: u64, latency_ms: u64) -> (Report, usize) {
    let options = Options { latency_ms, rate_limit_per_10s: 300, ..users(900) };
    let mut pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    let lacking = Report::of(&pipeline, &run).await.lacking.len();
    pipeline.until(|state| state.requests.get(route).is_some_and(|count| *count >= requests)).await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    (pipeline.until_ended(&run).await, lacking)
}

#[tokio::test(start_paused = true)]
async fn crash_between_pages_loses_no_user() {
    for (pages, latency_ms) in [(1, 0), (2, 700), (4, 700), (9, 300)] {
        let (report, _) = dies_after("GET /users/scroll", pages, latency_ms).await;
        report.assert_complete();
    }
}

#[tokio::test(start_paused = true)]
async fn crash_during_a_submission_records_the_job() {
    for (jobs, latency_ms) in [(1, 3_000), (3, 3_000), (2, 150), (5, 950)] {
        let (report, _) = dies_after("POST /bulk/users", jobs, latency_ms).await;
        report.assert_complete();
    }
}

#[tokio::test(start_paused = true)]
async fn run_that_dies_repeatedly_ends() {
    let mut pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 400, ..users(900) }).await;
    let run = pipeline.start(Value::Null).await;
    for requests in 1..=6 {
        let seen = |state: &intercom_simulator::State| state.requests.get("GET /users/scroll").copied().unwrap_or(0);
        let before = seen(&pipeline.world.state());
        pipeline.until(|state| seen(state) >= before + requests).await;
        pipeline.crash().await;
        pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    }
    pipeline.until_ended(&run).await.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn tick_recovers_from_a_crash() {
    let mut pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 400, ..users(900) }).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.jobs.len() > 2).await;
    pipeline.crash().await;
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert!(report.seconds > 90 && report.cursor.generation > 1, "{} s", report.seconds);
}

#[tokio::test(start_paused = true)]
async fn interrupted_page_of_a_list_is_read_again() {
    // Parts of the reading before are void: each reading has its own part names.
    let mut pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 400, ..users(300) }).await;
    let ids: Vec<Value> = pipeline.world.users().iter().take(50).map(|user| user["id"].clone()).collect();
    let run = pipeline.start(json!({ "users": ids })).await;
    pipeline.until(|state| state.requests.get("GET /users/{id}").is_some_and(|count| *count >= 25)).await;
    pipeline.crash().await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    assert_eq!((report.cursor.generation, report.cursor.tally.users), (1, 50));
    let missed = ids.iter().filter(|id| report.lacking.contains(id.as_str().unwrap())).count();
    assert_eq!(missed, 0, "users of the list lack the value");
}

#[tokio::test(start_paused = true)]
async fn second_crash_waits_for_the_first_scroll() {
    for scroll in [1, 2, 5] {
        let mut pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 3_000, ..users(900) }).await;
        let run = pipeline.start(Value::Null).await;
        pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count >= scroll)).await;
        for _ in 0..2 {
            pipeline.crash().await;
            pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
        }
        pipeline.until_ended(&run).await.assert_complete();
    }
}
