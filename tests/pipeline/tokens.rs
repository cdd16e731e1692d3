//! A token that is replaced, revoked, unreadable, or of another workspace during a run.

use std::sync::Arc;
use std::time::Duration;

use intercom_bulk::domain::run::{RunId, State};
use intercom_simulator::{Fault, Options, Quirks, World};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::contacts::workspace;
use crate::intercom::{Closed, TOKEN};
use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};

const NEWER: &str = "dG9rOm5ld2Vy";
const OTHERS: &str = "dG9rOm90aGVy";

/// Starts a run of some minutes, up to its first pages and jobs.
async fn under_way() -> (Pipeline, RunId) {
    let options = Options { rate_limit_per_10s: 83, latency_ms: 300, ..users(1_500) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.jobs.len() > 2).await;
    (pipeline, run)
}

/// Makes a token one of a workspace with another id, and returns that workspace.
fn another_workspace(pipeline: &Pipeline) -> World {
    let other = World::new(Options { app_id: "other123".to_owned(), ..users(50) });
    pipeline.way.lead(OTHERS, other.clone());
    other
}

#[tokio::test(start_paused = true)]
async fn token_replacement_costs_no_run() {
    for delay_s in [0, 1, 30, 400] {
        let (pipeline, run) = under_way().await;
        pipeline.way.store(Some(NEWER));
        sleep(Duration::from_secs(delay_s)).await;
        pipeline.way.revoke(TOKEN);
        pipeline.until_ended(&run).await.assert_complete();
    }
}

/// A write that Intercom refuses because of its token waits for another one. The run is paused then.
#[tokio::test(start_paused = true)]
async fn write_is_not_repeated_for_a_run_that_was_paused() {
    for (version, route) in [("1.4", "POST /bulk/users"), ("2.17", "PUT /contacts")] {
        let options = Options { rate_limit_per_10s: 83, latency_ms: 300, ..workspace(1_500) };
        let pipeline = Pipeline::of_version(version, HAS_AVATAR, options).await;
        let run = pipeline.start(Value::Null).await;
        let writes = |state: &intercom_simulator::State| -> u64 {
            state.requests.iter().filter(|(name, _)| name.starts_with(route)).map(|(_, count)| count).sum()
        };
        // The workspaces of both tokens are known.
        pipeline.until(|state| writes(state) > 1).await;
        pipeline.way.store(Some(NEWER));
        pipeline.way.revoke(TOKEN);
        let before = writes(&pipeline.world.state());
        pipeline.until(|state| writes(state) > before).await;
        pipeline.way.accept_all();
        pipeline.way.store(Some(TOKEN));
        pipeline.way.read_slowly(Duration::from_secs(5));
        pipeline.way.disturb(route, Closed::Answers(401));
        while pipeline.way.kept_away() == 0 {
            sleep(Duration::from_millis(50)).await;
        }
        control(&pipeline, json!({"pause": true}), "paused").await;
        pipeline.way.close(None);
        sleep(Duration::from_millis(1_500)).await;
        let paused = writes(&pipeline.world.state());
        sleep(Duration::from_mins(1)).await;
        assert_eq!(writes(&pipeline.world.state()), paused, "{version}");
        assert_eq!(pipeline.state(&run).await, Some(State::Paused));
        control(&pipeline, json!({"resume": true}), "resumed").await;
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.state(), State::Complete, "{version}: {}", report.reason());
    }
}

#[tokio::test(start_paused = true)]
async fn parameter_store_failure_costs_no_run() {
    let (pipeline, run) = under_way().await;
    pipeline.way.store(None);
    pipeline.way.revoke(TOKEN);
    sleep(Duration::from_mins(2)).await;
    let state = pipeline.state(&run).await.unwrap();
    assert!(state.submits(), "{state}");
    pipeline.way.store(Some(NEWER));
    pipeline.until_ended(&run).await.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn foreign_token_pauses_the_run() {
    let (pipeline, run) = under_way().await;
    let other = another_workspace(&pipeline);
    pipeline.way.store(Some(OTHERS));
    pipeline.way.revoke(TOKEN);
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Paused);
    let reason = report.reason();
    assert!(reason.contains("sim1app0") && reason.contains("other123"), "{reason}");
    let requests = other.state().requests;
    assert_eq!(requests.keys().collect::<Vec<_>>(), ["GET /me"], "{requests:?}");
    assert!(requests["GET /me"] <= 2, "once per token and process: {requests:?}");

    pipeline.way.store(Some(NEWER));
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    pipeline.until_ended(&run).await.assert_complete();
    assert_eq!(other.state().requests.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn jobs_are_not_polled_with_a_foreign_token() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { job_delay_s: 300, ..users(300) }).await;
    let run = pipeline.start(Value::Null).await;
    while pipeline.state(&run).await != Some(State::Draining) {
        sleep(Duration::from_secs(1)).await;
    }
    sleep(Duration::from_secs(20)).await;
    let other = another_workspace(&pipeline);
    pipeline.way.store(Some(OTHERS));
    pipeline.way.revoke(TOKEN);
    sleep(Duration::from_mins(2)).await;
    assert_eq!(pipeline.state(&run).await, Some(State::Paused));
    assert_eq!(other.state().requests.keys().collect::<Vec<_>>(), ["GET /me"]);
    pipeline.way.store(Some(NEWER));
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!(report.accounts.totals.unknown, 0, "no job was taken for lost");
}

/// A token without permission to read its workspace can still do the run: the users name it.
#[tokio::test(start_paused = true)]
async fn users_name_the_workspace_of_a_token_without_access_to_it() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults: vec![Fault::DenyMe], ..users(300) }).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    let workspace = report.run.workspace.as_ref().unwrap();
    assert_eq!((workspace.host.as_str(), workspace.app_id.as_deref()), ("127.0.0.1", Some("sim1app0")));
    let requests = &report.world.requests;
    assert_eq!((requests["GET /me"], requests["GET /users"]), (1, 1), "once per token and process");
}

/// A token of another workspace is known by that workspace's users.
#[tokio::test(start_paused = true)]
async fn foreign_token_without_access_to_its_workspace_pauses_the_run() {
    let (pipeline, run) = under_way().await;
    let other = Options { app_id: "other123".to_owned(), faults: vec![Fault::DenyMe], ..users(50) };
    let other = World::new(other);
    pipeline.way.lead(OTHERS, other.clone());
    pipeline.way.store(Some(OTHERS));
    pipeline.way.revoke(TOKEN);
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Paused);
    assert!(report.reason().contains("other123"), "{}", report.reason());
    assert_eq!(other.state().items, 0);
}

/// If neither the token nor the users name the workspace, nothing is written.
#[tokio::test(start_paused = true)]
async fn nothing_is_written_to_an_unreported_workspace() {
    let pipeline = Pipeline::new(HAS_AVATAR, unnamed(vec![Fault::DenyMe])).await;
    let run = pipeline.start(Value::Null).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Paused);
    assert!(report.reason().contains("does not report which workspace"), "{}", report.reason());
    assert_eq!((report.world.items, report.jobs.len()), (0, 0));
}

/// Creates the options of a workspace whose users do not name it.
fn unnamed(faults: Vec<Fault>) -> Options {
    let quirks = Quirks { replace: vec![("\"app_id\"".to_owned(), "\"app\"".to_owned())], ..Quirks::default() };
    Options { faults, quirks, ..users(300) }
}

/// The version before began runs without a workspace. The first token whose workspace is known names it.
#[tokio::test(start_paused = true)]
async fn run_without_a_workspace_belongs_to_the_first_known_one() {
    let pipeline = Pipeline::new(HAS_AVATAR, unnamed(vec![Fault::DenyMe])).await;
    let run = pipeline.start(Value::Null).await;
    assert_eq!(pipeline.until_ended(&run).await.state(), State::Paused);
    let ledger = &pipeline.engine.clients.ledger;
    assert_eq!(ledger.run(&run).await.unwrap().unwrap().workspace.unwrap().app_id, None);
    let engine = pipeline.engine.clone();
    let named = World::new(Options { now: Arc::new(move || engine.now_ms()), ..users(300) });
    pipeline.way.lead(NEWER, named.clone());
    pipeline.way.store(Some(NEWER));
    pipeline.way.revoke(TOKEN);
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    while pipeline.state(&run).await.is_some_and(|state| !state.ended()) {
        assert_ne!(pipeline.state(&run).await, Some(State::Paused));
        sleep(Duration::from_secs(1)).await;
    }
    let ended = ledger.run(&run).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.workspace.unwrap().app_id.as_deref()), (State::Complete, Some("sim1app0")));
    let found = ledger.set_workspace(&run, "other123").await.unwrap().unwrap();
    assert_eq!(found.app_id.as_deref(), Some("sim1app0"), "it stays");
}

#[tokio::test(start_paused = true)]
async fn permission_that_is_given_later_is_seen() {
    let pipeline = Pipeline::new(HAS_AVATAR, unnamed(Vec::new())).await;
    pipeline.way.disturb("GET /me", Closed::Answers(403));
    let run = pipeline.start(Value::Null).await;
    assert_eq!(pipeline.until_ended(&run).await.state(), State::Paused);
    pipeline.way.close(None);
    sleep(Duration::from_mins(1)).await;
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    pipeline.until_ended(&run).await.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn one_permit_per_window_is_enough_for_both_requests() {
    let options = Options { faults: vec![Fault::DenyMe], rate_limit_per_10s: 1, ..users(3) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_mins(3)).await;
    assert!(pipeline.state(&run).await.is_some(), "{:?}", pipeline.world.state().requests);
    assert_eq!(pipeline.world.state().requests["GET /me"], 1);
}

/// Until the token's workspace is known, no other request is made. The start and the run's parts
/// wait.
#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_the_workspace_is_unknown() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    pipeline.way.close(Some("GET /me"));
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_mins(3)).await;
    assert_eq!(pipeline.state(&run).await, None);
    assert_eq!(pipeline.world.state().requests.len(), 0, "{:?}", pipeline.world.state().requests);
    pipeline.way.close(None);
    sleep(Duration::from_mins(1)).await;
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!(report.world.requests["GET /me"], 1, "once per token and process");
    assert_eq!(report.run.workspace.as_ref().unwrap().app_id.as_deref(), Some("sim1app0"));

    let (pipeline, run) = under_way().await;
    pipeline.way.close(Some("GET /me"));
    pipeline.way.store(Some(NEWER));
    pipeline.way.revoke(TOKEN);
    sleep(Duration::from_secs(30)).await;
    let before = pipeline.world.state().items;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(pipeline.world.state().items, before);
    pipeline.way.close(None);
    pipeline.until_ended(&run).await.assert_complete();
}
