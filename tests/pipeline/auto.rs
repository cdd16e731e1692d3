//! `auto`: the API of a run is chosen when it begins, by reads alone.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use intercom_bulk::domain::api::ApiVersion;
use intercom_bulk::domain::run::{Run, RunId, State};
use intercom_simulator::{Attribute, Fault, Options, World};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::intercom::{Closed, TOKEN};
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, faults, users};

/// Creates a pipeline with `auto` in a small workspace with these options.
async fn auto(options: &str) -> Pipeline {
    Pipeline::of_version("auto", HAS_AVATAR, workspace(options)).await
}

/// Returns a small workspace that has the attribute that the plan writes, with these options.
fn workspace(options: &str) -> Options {
    let mut of_users = users(60);
    of_users.contacts.attributes.push("has avatar:boolean".parse::<Attribute>().unwrap());
    for option in options.split_whitespace() {
        let (name, value) = option.split_once('=').unwrap();
        assert!(of_users.contacts.set(name, value).unwrap(), "{option}");
    }
    of_users
}

/// Starts a run. Returns the step's outcome, or its error.
async fn begin(pipeline: &Pipeline) -> Result<Value, String> {
    sleep(Duration::from_secs(1)).await;
    let outcome = pipeline.engine.scroll(pipeline.start_event(&Value::Null)).await?;
    Ok(serde_json::to_value(outcome).unwrap())
}

/// Runs the plan to its end. Returns version and reason.
async fn run(pipeline: &Pipeline) -> (&'static str, String) {
    let report = pipeline.run(Value::Null).await;
    report.assert_complete_with(0);
    chosen(&report.run)
}

fn chosen(run: &Run) -> (&'static str, String) {
    (run.version.map_or("", ApiVersion::as_str), run.version_reason.clone().unwrap_or_default())
}

/// Starts another process that chooses its API, and whose requests another workspace answers.
async fn move_to(pipeline: &mut Pipeline, options: Options) {
    let engine = pipeline.engine.clone();
    let other = World::new(Options { now: Arc::new(move || engine.now_ms()), ..options });
    pipeline.way.lead(TOKEN, other);
    restart(pipeline).await;
}

/// Starts another process, whose client chooses its API.
async fn restart(pipeline: &mut Pipeline) {
    pipeline.way.speak("auto");
    pipeline.stop().await;
    pipeline.lose_queues().await;
}

#[tokio::test(start_paused = true)]
async fn workspace_decides_the_api_of_a_first_run() {
    for (options, version, reason) in [
        ("", "2.17", "served a request for the newest API with version 2.17"),
        ("app-version=2.3", "2.17", "served a request for the newest API with version 2.17"),
        ("families=2.x app-version=2.3", "2.17", "with version 2.17"),
        ("families=1.x", "1.4", "400 intercom_version_invalid"),
        ("families=1.x unserved-version=missing", "1.4", "404"),
        ("families=1.x unserved-version=other", "1.4", "served as version 1.4"),
        ("families=1.x unserved-version=other app-version=1.1", "1.4", "served as version 1.1"),
        ("version-header=missing", "2.17", "its list of contacts has the form of API 2.x"),
        ("version-header=missing families=1.x", "1.4", "400 intercom_version_invalid"),
        ("version-header=missing families=1.x unserved-version=missing", "1.4", "404"),
        ("version-header=missing families=1.x unserved-version=other", "1.4", "400 intercom_version_invalid"),
    ] {
        let pipeline = auto(options).await;
        let (chosen, why) = run(&pipeline).await;
        assert!(chosen == version && why.contains(reason), "{options}: {chosen}: {why}");
        let wrote = pipeline.world.state().contacts.written > 0;
        assert_eq!(wrote, version != "1.4", "{options}: the chosen API writes");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_choice_says_what_to_do_and_begins_nothing() {
    let denied = |fault| Options { faults: vec![fault], ..workspace("") };
    for (options, advice) in [
        (denied(Fault::DenyMe), "or set INTERCOM_API to 2.17 (contacts) or 1.4 (bulk jobs)"),
        (denied(Fault::Denied { status: 403, after: 0 }), "Give the app the permission"),
        (denied(Fault::Denied { status: 402, after: 0 }), "ask the administrator of the subscription"),
        (denied(Fault::TokenRevokedAfter(0)), "check INTERCOM_TOKEN"),
        (workspace("hosted=unauthorized"), "INTERCOM_BASE_URL is the workspace's region"),
        (workspace("hosted=forbidden"), "set INTERCOM_BASE_URL to https://api.eu.intercom.io"),
        (workspace("hosted=missing"), "check that INTERCOM_BASE_URL is the workspace's region"),
        (workspace("hosted=redirected"), "set INTERCOM_BASE_URL to the workspace's region"),
    ] {
        let contacts = options.contacts.clone();
        let pipeline = Pipeline::of_version("auto", HAS_AVATAR, options).await;
        let error = begin(&pipeline).await.unwrap_err();
        assert!(error.starts_with("the run is not begun: ") && error.contains(advice), "{contacts:?}: {error}");
        assert_eq!(pipeline.engine.clients.ledger.runs(9).await.unwrap(), []);
        assert_eq!(pipeline.engine.clients.ledger.waiting().await.unwrap(), [], "nothing is tried again");
        let asked = pipeline.world.state().requests;
        assert!(asked.keys().all(|route| route.starts_with("GET /me")), "{asked:?}");
    }
}

/// A start that cannot begin: Intercom does not answer. It is asked again, with growing waits.
#[tokio::test(start_paused = true)]
async fn start_waits_for_an_answer() {
    for how in [Closed::Answers(503), Closed::Answers(500), Closed::Limited, Closed::NoAnswer, Closed::Unsent] {
        let pipeline = auto("").await;
        pipeline.way.disturb("GET /me", how);
        let outcome = begin(&pipeline).await.unwrap();
        assert_eq!(outcome["did"], json!(["queued"]), "{how:?}");
        assert!(outcome["hint"].as_str().unwrap().contains("the start waits"), "{outcome}");
        sleep(Duration::from_mins(10)).await;
        let waiting = pipeline.engine.clients.ledger.waiting().await.unwrap();
        assert_eq!(waiting.len(), 1);
        assert!((5..12).contains(&waiting[0].tries), "{how:?}: {} tries in ten minutes", waiting[0].tries);
        pipeline.way.close(None);
        let report = pipeline.until_ended(&waiting[0].start.run()).await;
        report.assert_complete_with(0);
        assert_eq!(chosen(&report.run).0, "2.17", "{how:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn last_run_decides_as_long_as_its_api_is_served() {
    for version in ["1.2", "1.4", "2.3"] {
        let mut pipeline = Pipeline::of_version(version, HAS_AVATAR, workspace("")).await;
        assert_eq!(run(&pipeline).await, (version, "as set".to_owned()));
        restart(&mut pipeline).await;
        let outcome = begin(&pipeline).await.unwrap();
        assert_eq!(outcome["api"], version);
        assert!(outcome["api_reason"].as_str().unwrap().contains("this plan's last run has-avatar."), "{outcome}");
        let second = RunId::parse(outcome["run"].as_str().unwrap()).unwrap();
        pipeline.until_ended(&second).await.assert_complete_with(0);
        // The token may not ask any more: the API stays.
        pipeline.way.disturb("GET /me", Closed::Answers(403));
        let third = pipeline.run(Value::Null).await;
        assert_eq!((third.state(), chosen(&third.run).0), (State::Complete, version));
        assert!(chosen(&third.run).1.contains("may not ask"), "{:?}", third.run.version_reason);
    }
}

/// Intercom recommends Preview for tests only: each run asks for it by name.
#[tokio::test(start_paused = true)]
async fn preview_is_not_kept_for_the_next_run() {
    let mut pipeline = Pipeline::of_version("preview", HAS_AVATAR, workspace("")).await;
    assert_eq!(run(&pipeline).await, ("Preview", "as set".to_owned()));
    restart(&mut pipeline).await;
    let (version, reason) = run(&pipeline).await;
    assert!(version == "2.17" && reason.contains("served a request for the newest API"), "{version}: {reason}");
}

#[tokio::test(start_paused = true)]
async fn api_that_is_not_served_any_more_is_replaced() {
    for (before, options, version) in [
        ("1.4", "families=2.x app-version=2.3", "2.17"),
        ("1.4", "families=2.x app-version=2.3 unserved-version=missing", "2.17"),
        ("1.4", "families=2.x app-version=2.3 unserved-version=other", "2.17"),
        ("2.17", "families=1.x", "1.4"),
        ("2.3", "families=1.x unserved-version=other", "1.4"),
    ] {
        let mut pipeline = Pipeline::of_version(before, HAS_AVATAR, workspace("")).await;
        run(&pipeline).await;
        move_to(&mut pipeline, workspace(options)).await;
        let outcome = begin(&pipeline).await.unwrap();
        assert_eq!(outcome["api"], version, "{before} {options}");
        let reason = outcome["api_reason"].as_str().unwrap();
        assert!(reason.starts_with(&format!("API {before} of this plan's last run has-avatar.")), "{reason}");
    }
}

/// In another API, or another workspace, its users may have other ids.
#[tokio::test(start_paused = true)]
async fn run_is_retried_and_undone_in_its_own_api_and_workspace_alone() {
    let refuses = || Options { faults: faults(&["item-error=20%:parameter_invalid:no"]), ..workspace("") };
    for (before, options, says) in [
        ("1.4", workspace("families=2.x app-version=2.3"), "in which users may have other ids"),
        ("2.17", workspace("families=1.x"), "in which users may have other ids"),
        (
            "2.17",
            Options { app_id: "other1".to_owned(), ..workspace("") },
            "the access token belongs to workspace other1",
        ),
    ] {
        let mut pipeline = Pipeline::of_version(before, HAS_AVATAR, refuses()).await;
        let first = pipeline.run(Value::Null).await;
        assert_eq!(first.state(), State::CompleteWithErrors, "{}", first.reason());
        move_to(&mut pipeline, options).await;
        for what in ["retry", "undo"] {
            let why =
                pipeline.engine.scroll(json!({"plan": "has-avatar", what: {"run": first.run.id}})).await.unwrap_err();
            assert!(why.contains(says), "{before}, {what}: {why}");
        }
        let runs = pipeline.engine.clients.ledger.runs(9).await.unwrap();
        assert_eq!(runs, [first.run.id], "no run begins");
    }
}

/// A failed run does not show that its API works, for example if the workspace has no bulk jobs.
#[tokio::test(start_paused = true)]
async fn failed_run_does_not_decide() {
    let mut pipeline = Pipeline::of_version("1.4", HAS_AVATAR, workspace("")).await;
    pipeline.way.disturb("GET /users/scroll", Closed::Answers(402));
    assert_eq!(pipeline.run(Value::Null).await.state(), State::Failed);
    pipeline.way.close(None);
    restart(&mut pipeline).await;
    assert_eq!(run(&pipeline).await.0, "2.17");
}

/// `GET /me` outlives the users and the bulk jobs of 1.x.
#[tokio::test(start_paused = true)]
async fn api_without_users_or_bulk_jobs_is_not_kept() {
    for (route, fails, says) in [
        ("GET /users", false, "is not served any more (its users: Intercom answered 404"),
        ("POST /bulk", true, "is not kept, because Intercom does not serve the bulk jobs of run has-avatar."),
    ] {
        let mut pipeline = Pipeline::of_version("1.4", HAS_AVATAR, workspace("")).await;
        pipeline.run(json!({"rails": {"limit": 20}})).await;
        restart(&mut pipeline).await;
        pipeline.way.disturb(route, Closed::Answers(404));
        if fails {
            assert_eq!(pipeline.run(Value::Null).await.state(), State::Failed);
        }
        let (version, reason) = run(&pipeline).await;
        assert!(version == "2.17" && reason.contains(says), "{route}: {version}: {reason}");
    }
    let none = auto("families=1.x").await;
    none.way.disturb("GET /users", Closed::Answers(404));
    let error = begin(&none).await.unwrap_err();
    assert!(error.contains("neither API 2.17 nor API 1.4 is served"), "{error}");
}

/// The ledger holds more runs of other plans than are read at once.
#[tokio::test(start_paused = true)]
async fn last_run_is_found_behind_those_of_other_plans() {
    let mut pipeline = Pipeline::of_version("1.2", HAS_AVATAR, workspace("")).await;
    run(&pipeline).await;
    for number in 0..1_500 {
        let (pk, time) = (AttributeValue::S("RUNS".to_owned()), 1_600_000_000_000_i64 + number);
        let run = AttributeValue::S(format!("other.20200913T{number:06}Z"));
        let sk = AttributeValue::S(format!("{time:015}#other.{number}"));
        pipeline.put([("pk", pk), ("sk", sk), ("run", run)].map(|(name, value)| (name.to_owned(), value)).into()).await;
    }
    restart(&mut pipeline).await;
    assert_eq!(begin(&pipeline).await.unwrap()["api"], "1.2");
}

/// A run of an earlier version stored no version: it is one of API 1.x.
#[tokio::test(start_paused = true)]
async fn run_without_a_version_is_1_x() {
    let mut pipeline = Pipeline::of_version("1.2", HAS_AVATAR, workspace("")).await;
    run(&pipeline).await;
    for mut item in pipeline.items().await {
        if item.get("sk").is_some_and(|sk| sk.as_s().unwrap() == "RUN") {
            item.retain(|name, _| !matches!(name.as_str(), "version" | "version_reason" | "api"));
            pipeline.put(item).await;
        }
    }
    restart(&mut pipeline).await;
    assert_eq!(begin(&pipeline).await.unwrap()["api"], "1.4");
}

/// A plan that the chosen API cannot carry out is refused, and one that another API can is not sent
/// to it: the operator decides.
#[tokio::test(start_paused = true)]
async fn plan_must_fit_the_chosen_api() {
    let plan = HAS_AVATAR.replace("user.avatar", "user.pseudonym and user.avatar");
    let pipeline = Pipeline::of_version("auto", &plan, workspace("")).await;
    let error = begin(&pipeline).await.unwrap_err();
    assert!(error.contains("API 2.17 does not have") && error.contains("set INTERCOM_API"), "{error}");
    let old = Pipeline::of_version("auto", &plan, workspace("families=1.x")).await;
    assert_eq!(begin(&old).await.unwrap()["api"], "1.4");
}

/// Runs of API 1.x compare the token's workspace by their own API.
#[tokio::test(start_paused = true)]
async fn run_asks_for_its_workspace_by_its_own_api() {
    let mut pipeline = Pipeline::of_version("1.4", HAS_AVATAR, workspace("families=1.x")).await;
    pipeline.run(json!({"rails": {"limit": 20, "then_pause": true}})).await;
    restart(&mut pipeline).await;
    pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
    let run = pipeline.engine.clients.ledger.active().await.unwrap().run.unwrap();
    pipeline.until_ended(&run).await.assert_complete_with(0);
}
