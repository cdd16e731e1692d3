//! Outages of hours only delay a run: it drops no queued patch and shows the reason of its wait.

use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::accident::Accident;
use crate::intercom::Closed;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

const TWO_HOURS: Duration = Duration::from_hours(2);

/// Nine pages that each take most of a second.
fn slowly() -> Options {
    Options { latency_ms: 700, ..users(900) }
}

/// Creates a pipeline whose ticks are about as rare as on AWS.
async fn slow(options: Options, accidents: Vec<Accident>) -> Pipeline {
    Pipeline::with(HAS_AVATAR, options, settings(), accidents).await.ticking(Duration::from_secs(20)).await
}

/// Runs with a disturbance of two hours from the third page on.
async fn disturbed(to: &'static str, how: Closed, waits: &str) -> Report {
    let pipeline = slow(slowly(), vec![]).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count >= 3)).await;
    pipeline.way.disturb(to, how);
    sleep(TWO_HOURS).await;
    assert!(matches!(pipeline.state(&run).await, Some(State::Running | State::Draining)), "{how:?}");
    if !waits.is_empty() {
        let cursor = pipeline.engine.clients.ledger.cursor(&run).await.unwrap().unwrap();
        let reason = cursor.waits.unwrap_or_default();
        assert!(reason.contains(waits) && reason.contains("tries since"), "{how:?}: {reason}");
        assert!(cursor.not_before_ms - pipeline.engine.now_ms() <= 300_000);
    }
    pipeline.way.close(None);
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert!(report.seconds < 9_000, "{how:?}: {} s", report.seconds);
    if matches!(how, Closed::Unsent | Closed::Limited) {
        // A generation that ended because nothing could be sent counts in no bound.
        assert_eq!((report.cursor.counted, report.cursor.stalled), (1, 0), "{how:?}");
    }
    let dropped = pipeline.items().await.into_iter().filter(|item| {
        item["sk"].as_s().unwrap().starts_with("PART#")
            && item.get("end").is_some_and(|end| end.as_s().unwrap() == "dropped")
    });
    assert_eq!(dropped.count(), 0, "{how:?}: nothing that was queued is dropped");
    report
}

#[tokio::test(start_paused = true)]
async fn two_hours_without_pages_end_no_run() {
    let outages = [
        (Closed::Unsent, "could not be reached"),
        (Closed::Limited, "rate limit"),
        (Closed::Answers(503), "its scroll must expire first"),
        (Closed::NoAnswer, "its scroll must expire first"),
    ];
    for (how, waits) in outages {
        let report = disturbed("GET /users/scroll", how, waits).await;
        let asked = report.world.requests["GET /users/scroll"];
        assert!(asked < 60, "{how:?}: {asked} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn two_hours_without_a_name_server_end_no_run() {
    disturbed("", Closed::Unsent, "could not be reached").await;
}

#[tokio::test(start_paused = true)]
async fn two_hours_of_429_to_bulk_requests_end_no_run() {
    disturbed("POST /bulk/users", Closed::Limited, "").await;
}

/// The previous generation's parts are waited for as long as an outage may last.
#[tokio::test(start_paused = true)]
async fn new_generation_waits_for_unsent_parts() {
    let options = Options { faults: vec![Fault::LosePage(6)], ..slowly() };
    let pipeline = slow(options, vec![]).await;
    pipeline.way.close(Some("POST /bulk/users"));
    let run = pipeline.start(Value::Null).await;
    sleep(TWO_HOURS).await;
    pipeline.way.close(None);
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!((report.cursor.generation, report.world.items), (2, report.accounts.totals.patches));
    let first = pipeline.items().await.into_iter().filter(|item| item["sk"].as_s().unwrap().starts_with("PART#0001"));
    assert!(first.clone().count() > 0);
    assert!(
        first.into_iter().all(|item| item["end"].as_s().unwrap() == "done"),
        "those of the first generation were sent"
    );
}

#[tokio::test(start_paused = true)]
async fn user_list_survives_two_hours_of_outage() {
    for how in [Closed::Unsent, Closed::Answers(500), Closed::Limited] {
        let pipeline = slow(slowly(), vec![]).await;
        let ids: Vec<Value> = pipeline.world.users().iter().take(50).map(|user| user["id"].clone()).collect();
        let run = pipeline.start(json!({ "users": ids })).await;
        pipeline.until(|state| state.requests.get("GET /users/{id}").is_some_and(|count| *count >= 25)).await;
        pipeline.way.disturb("GET /users/", how);
        sleep(TWO_HOURS).await;
        assert_eq!(pipeline.state(&run).await, Some(State::Running), "{how:?}");
        pipeline.way.close(None);
        let report = pipeline.until_ended(&run).await;
        assert_eq!((report.state(), report.cursor.tally.users), (State::Complete, 50), "{how:?}: {}", report.reason());
    }
}

/// Each outage costs a generation that gets less far than the first. None of them counts.
#[tokio::test(start_paused = true)]
async fn generations_ended_by_an_outage_do_not_count() {
    let pipeline = slow(slowly(), vec![]).await;
    let run = pipeline.start(Value::Null).await;
    let pages = |state: &intercom_simulator::State| state.requests.get("GET /users/scroll").copied().unwrap_or(0);
    for more in [6, 2, 2, 2, 2] {
        let before = pages(&pipeline.world.state());
        pipeline.until(|state| pages(state) >= before + more).await;
        pipeline.way.close(Some("GET /users/scroll"));
        sleep(Duration::from_mins(4)).await;
        pipeline.way.close(None);
    }
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert!(report.cursor.generation > 4, "{}", report.cursor.generation);
    assert_eq!((report.cursor.counted, report.cursor.stalled), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn outage_beyond_the_deadline_is_named() {
    let pipeline = slow(slowly(), vec![]).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count >= 3)).await;
    pipeline.way.close(Some("GET /users/scroll"));
    sleep(TWO_HOURS).await;
    pipeline.rest(Duration::from_hours(23)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Incomplete);
    let named = ["past its deadline", "of 900 users were read", "could not be reached"];
    assert!(named.iter().all(|text| report.reason().contains(text)), "{}", report.reason());
    report.assert_nobody_lost();
}

/// The failing user is in the middle of the list, and at its end.
#[tokio::test(start_paused = true)]
async fn failing_listed_user_blocks_no_other() {
    for at in [3, 9] {
        let pipeline = slow(slowly(), vec![]).await;
        let ids: Vec<Value> = pipeline.world.users().iter().take(10).map(|user| user["id"].clone()).collect();
        let failing = ids[at].as_str().unwrap().to_owned();
        pipeline.way.disturb(format!("GET /users/{failing}").leak(), Closed::Answers(500));
        let run = pipeline.start(json!({ "users": ids })).await;
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.state(), State::CompleteWithErrors, "{at}: {}", report.reason());
        assert_eq!(report.cursor.tally.users, 9);
        let errors: Vec<_> = report.errors.iter().map(|error| (error.user.as_str(), error.message.as_str())).collect();
        assert!(matches!(errors[..], [(user, said)] if user == failing && said.contains("500")), "{errors:?}");
    }
}
