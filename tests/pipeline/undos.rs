//! Requests for an undo: which are refused, repeated and queued, and the hold of the plan.

use std::time::Duration;

use intercom_bulk::domain::run::{RunId, State};
use intercom_bulk::ledger::End;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::{ACCOUNT_BY_EMAIL, HAS_AVATAR, MISSPELT, users, with_attributes};
use crate::report::Report;

/// Requests an undo, and waits for its end.
pub(crate) async fn undo(pipeline: &Pipeline, event: Value) -> Report {
    // The id of a run contains its second.
    sleep(Duration::from_secs(1)).await;
    let said = control(pipeline, event, "requested").await;
    let run = RunId::parse(said["run"].as_str().unwrap()).unwrap();
    pipeline.until_ended(&run).await
}

/// Returns a plan of this text.
fn plan(text: &str) -> Value {
    intercom_bulk::plan::Plan::from_toml("plan", text).unwrap().to_json()
}

/// Returns the text of a plan of the same name that sets the opposite values.
fn opposite() -> String {
    HAS_AVATAR.replace("is not blank and", "is blank or").replace("'gravatar.com' not in", "'gravatar.com' in")
}

/// Returns the same with another name.
fn other_opposite() -> Value {
    plan(&opposite().replace("\"has-avatar\"", "\"opposite\""))
}

/// Stores the plan and runs it by its name.
async fn run_by_name(pipeline: &Pipeline) -> Report {
    pipeline.engine.clients.ledger.put_plan("has-avatar", &pipeline.plan.to_json()).await.unwrap();
    let first = pipeline.run(json!({"plan": "has-avatar"})).await;
    assert_eq!(first.state(), State::Complete);
    first
}

pub(crate) async fn refused(pipeline: &Pipeline, event: Value) -> String {
    pipeline.engine.control(event).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn undo_is_refused_with_the_reason() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(200)).await;
    let missing = refused(&pipeline, json!({"undo": "has-avatar.1"})).await;
    assert!(missing.contains("there is no run has-avatar.1"), "{missing}");
    let run = pipeline.start(Value::Null).await;
    let early = refused(&pipeline, json!({"undo": run})).await;
    assert!(early.contains("has not ended"), "{early}");
    assert_eq!(pipeline.until_ended(&run).await.state(), State::Complete);
    let preview = pipeline.run(json!({"rails": {"dry_run": true}})).await;
    let dry = refused(&pipeline, json!({"undo": preview.run.id})).await;
    assert!(dry.contains("preview"), "{dry}");
    let nothing = pipeline.run(Value::Null).await;
    let none = refused(&pipeline, json!({"undo": nothing.run.id})).await;
    assert!(none.contains("changed no user"), "{none}");
    // Neither the preview nor the run without a change forbids the undo.
    undo(&pipeline, json!({"undo": run, "dry_run": true})).await;
    pipeline.rest(Duration::from_hours(81 * 24)).await;
    let old = refused(&pipeline, json!({"undo": run})).await;
    assert!(old.contains("80 days"), "{old}");
}

#[tokio::test(start_paused = true)]
async fn run_that_may_still_change_values_is_not_undone() {
    let options = Options { rate_limit_per_10s: 40, ..users(300) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    while pipeline.state(&run).await != Some(State::Draining) {
        sleep(Duration::from_millis(500)).await;
    }
    control(&pipeline, json!({"cancel": run}), "cancelled").await;
    let early = refused(&pipeline, json!({"undo": run})).await;
    assert!(early.contains("may still change values"), "{early}");
    let first = pipeline.until_ended(&run).await;
    pipeline.rest(Duration::from_mins(30)).await;
    let report = undo(&pipeline, json!({"undo": run})).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    assert_eq!(report.accounts.totals.written, first.accounts.totals.written);
    assert_eq!(report.lacking.len(), Report::to_change(&pipeline));
}

/// The undo reads users whose values look as if they had not been written a second time.
#[tokio::test(start_paused = true)]
async fn values_that_a_read_shows_late_are_restored() {
    for version in ["1.4", "2.17", "preview"] {
        let options = Options { read_lag_s: 150, rate_limit_per_10s: 40, ..users(300) };
        let workspace = with_attributes(&["has avatar:boolean"], options);
        let pipeline = Pipeline::of_version(version, HAS_AVATAR, workspace).await;
        let run = pipeline.start(Value::Null).await;
        while pipeline.state(&run).await != Some(State::Draining) {
            sleep(Duration::from_millis(500)).await;
        }
        control(&pipeline, json!({"cancel": run}), "cancelled").await;
        let written = pipeline.until_ended(&run).await.accounts.totals.written;
        let said = loop {
            match pipeline.engine.control(json!({"undo": run})).await {
                Ok(said) => break said,
                Err(why) => assert!(why.contains("may still change values"), "{why}"),
            }
            sleep(Duration::from_secs(1)).await;
        };
        let report = pipeline.until_ended(&RunId::parse(said["run"].as_str().unwrap()).unwrap()).await;
        assert_eq!(report.state(), State::Complete, "{version}: {}", report.reason());
        assert_eq!(report.cursor.tally.skip_reasons.get("not_written"), None);
        assert!(written > 0 && report.accounts.totals.written == written, "{version}: not all of {written}");
        assert_eq!(report.lacking.len(), Report::to_change(&pipeline));
    }
}

/// Intercom never reports the end of the first job, another program sets the values during a pause, and the run
/// reads and writes them again. Each of two values may be the one from before the run.
#[tokio::test(start_paused = true)]
async fn value_is_unsure_if_two_may_have_been_there_before() {
    let faults = vec![Fault::SlowJob { job: 1, seconds: 36_000 }];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, latency_ms: 2_000, ..users(300) }).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.jobs.len() == 1).await;
    control(&pipeline, json!({"pause": run}), "paused").await;
    sleep(Duration::from_mins(20)).await;
    let set = |body: &mut Value| body["custom_attributes"]["has avatar"] = json!("something else");
    for user in pipeline.world.users() {
        assert!(pipeline.world.set_user(user["id"].as_str().unwrap(), set));
    }
    control(&pipeline, json!({"resume": run}), "resumed").await;
    let first = pipeline.until_ended(&run).await;
    assert_eq!((first.run.generation, first.lacking.len()), (2, 0), "{}", first.reason());
    let unknown: u64 = first.jobs.iter().filter(|job| job.end == Some(End::Unknown)).map(|job| job.users).sum();
    assert!((1..300).contains(&unknown), "{unknown}");
    let report = undo(&pipeline, json!({"undo": run})).await;
    let (state, skipped) = (report.state(), &report.cursor.tally.skip_reasons);
    assert_eq!((state, skipped), (State::Complete, &[("unsure".to_owned(), unknown)].into()), "{}", report.reason());
    assert_eq!(report.lacking.len() as u64, 300 - unknown, "the others have a value from before");
}

/// Only a run that wrote one of the same targets.
#[tokio::test(start_paused = true)]
async fn later_run_with_the_same_targets_is_undone_first() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(150)).await;
    let first = pipeline.run(Value::Null).await;
    let other = pipeline.run(json!({"plan": plan(ACCOUNT_BY_EMAIL)})).await;
    assert!(other.accounts.totals.written > 0, "{}", other.reason());
    // Another plan with the same target.
    let opposite = other_opposite();
    let stopped = pipeline.run(json!({"plan": opposite, "rails": {"max_changes": {"users": 1}}})).await;
    assert_eq!((stopped.state(), stopped.accounts.totals.written), (State::Failed, 0), "{}", stopped.reason());
    let later = pipeline.run(json!({ "plan": opposite })).await;
    assert!(later.accounts.totals.written > 0, "{}", later.reason());
    let why = refused(&pipeline, json!({"undo": first.run.id})).await;
    assert!(why.contains(later.run.id.as_str()) && !why.contains(other.run.id.as_str()), "{why}");
    assert!(!why.contains(stopped.run.id.as_str()), "a run that wrote nothing: {why}");
    // A start by event meets the same refusal, as a dead letter. It holds no plan.
    let start = json!({"plan": "has-avatar", "undo": {"run": first.run.id}, "time": "2016-11-01T11:50:00Z"});
    let ledger = &pipeline.engine.clients.ledger;
    ledger.put_plan("has-avatar", &pipeline.plan.to_json()).await.unwrap();
    pipeline.send("pages", &start.to_string()).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(pipeline.sqs.bodies("pages-dead-letters"), [start.to_string()]);
    assert_eq!(ledger.stored_plan("has-avatar").await.unwrap().unwrap().held, None, "a hold without an undo");
    let restored = undo(&pipeline, json!({"undo": later.run.id})).await;
    assert_eq!(restored.state(), State::Complete, "{}", restored.reason());
    let report = undo(&pipeline, json!({"undo": first.run.id})).await;
    assert_eq!((report.state(), report.accounts.totals.written), (State::Complete, first.accounts.totals.written));
}

/// A run with the same targets waits before the undo, and writes them when it begins.
#[tokio::test(start_paused = true)]
async fn waiting_undo_ends_if_a_later_run_writes_its_targets() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(150)).await;
    let ledger = &pipeline.engine.clients.ledger;
    let first = run_by_name(&pipeline).await;
    let active = pipeline.start(json!({"plan": plan(ACCOUNT_BY_EMAIL)})).await;
    control(&pipeline, json!({"pause": active}), "paused").await;
    sleep(Duration::from_secs(1)).await;
    pipeline.send("pages", &pipeline.start_event(&json!({"plan": other_opposite()})).to_string()).await;
    sleep(Duration::from_secs(5)).await;
    let said = control(&pipeline, json!({"undo": first.run.id}), "requested").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(ledger.waiting().await.unwrap().len(), 2);
    control(&pipeline, json!({"resume": active}), "resumed").await;
    pipeline.until_ended(&active).await;
    while pipeline.sqs.bodies("pages-dead-letters").is_empty() {
        sleep(Duration::from_secs(10)).await;
    }
    let undo = RunId::parse(said["run"].as_str().unwrap()).unwrap();
    assert_eq!(pipeline.state(&undo).await, None, "it never begins");
    let [dead] = &pipeline.sqs.bodies("pages-dead-letters")[..] else { panic!("one dead letter") };
    assert!(dead.contains("\"undo\"") && dead.contains(first.run.id.as_str()), "{dead}");
    assert_eq!(ledger.waiting().await.unwrap(), []);
    assert_eq!(ledger.stored_plan("has-avatar").await.unwrap().unwrap().held, None, "a hold without an undo");
}

/// Its values may come until the job is closed.
#[tokio::test(start_paused = true)]
async fn cancelled_later_run_with_an_open_job_is_undone_first() {
    let options = Options { job_delay_s: 300, ..users(150) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::Complete, "{}", first.reason());
    let later = pipeline.start(json!({"plan": plan(&opposite())})).await;
    pipeline.until(|state| state.jobs.len() > first.world.jobs.len()).await;
    sleep(Duration::from_secs(5)).await;
    control(&pipeline, json!({"cancel": later}), "cancelled").await;
    let why = refused(&pipeline, json!({"undo": first.run.id})).await;
    assert!(why.contains(later.as_str()), "{why}");
}

#[tokio::test(start_paused = true)]
async fn repeated_request_makes_one_run() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(150)).await;
    let first = pipeline.run(Value::Null).await;
    let event = json!({"undo": first.run.id, "time": "2016-11-01T12:00:00Z"});
    let said = control(&pipeline, event.clone(), "requested").await;
    let run = RunId::parse(said["run"].as_str().unwrap()).unwrap();
    assert_eq!(pipeline.until_ended(&run).await.state(), State::Complete);
    let again = control(&pipeline, event, "nothing").await;
    assert_eq!((again["run"].as_str(), again["state"].as_str()), (Some(run.as_str()), Some("complete")), "{again}");
    assert_eq!(pipeline.engine.clients.ledger.runs(9).await.unwrap().len(), 2);
}

/// A schedule would set the values again.
#[tokio::test(start_paused = true)]
async fn undo_holds_the_plan_until_it_is_stored_again() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(150)).await;
    let ledger = &pipeline.engine.clients.ledger;
    let first = run_by_name(&pipeline).await;
    undo(&pipeline, json!({"undo": first.run.id, "dry_run": true})).await;
    assert_eq!(ledger.stored_plan("has-avatar").await.unwrap().unwrap().held, None, "a preview holds nothing");
    let undone = undo(&pipeline, json!({"undo": first.run.id})).await;
    assert_eq!(undone.state(), State::Complete, "{}", undone.reason());
    let scheduled = json!({"plan": "has-avatar", "time": "2016-11-02T03:00:00Z"});
    let why = pipeline.engine.scroll(scheduled.clone()).await.unwrap_err();
    assert!(why.contains(undone.run.id.as_str()) && why.contains("--unhold"), "{why}");
    pipeline.send("pages", &scheduled.to_string()).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(pipeline.sqs.bodies("pages-dead-letters"), [scheduled.to_string()]);
    let held = async || ledger.stored_plan("has-avatar").await.unwrap().unwrap().held;
    // A start that waits ends the hold when its run begins.
    let other = pipeline.start(json!({"plan": other_opposite(), "rails": {"limit": 1}})).await;
    let unhold = pipeline.start(json!({"plan": "has-avatar", "unhold": true})).await;
    assert_eq!((pipeline.state(&unhold).await, held().await), (None, Some(undone.run.id)));
    pipeline.until_ended(&other).await;
    let unhold = pipeline.until_ended(&unhold).await;
    assert_eq!((unhold.state(), unhold.lacking.len(), held().await), (State::Complete, 0, None));
    let undone = undo(&pipeline, json!({"undo": unhold.run.id})).await;
    assert_eq!(held().await, Some(undone.run.id));
    ledger.put_plan("has-avatar", &pipeline.plan.to_json()).await.unwrap();
    let stored = pipeline.run(json!({"plan": "has-avatar"})).await;
    assert_eq!((stored.state(), stored.lacking.len()), (State::Complete, 0));
}

/// A plan whose attribute Intercom does not have.
const UNKNOWN: &str = r#"
name = "unknown"

[set.custom_attributes.unheard_of]
type = "bool"
value = "true"
"#;

/// A start of a plan is a decision about a run that a step paused. An undo and its preview wait, and a start
/// that is refused ends nothing.
#[tokio::test(start_paused = true)]
async fn only_a_start_that_begins_replaces_a_paused_run() {
    let options = with_attributes(&["has avatar:boolean", "tier:string"], users(200));
    let pipeline = Pipeline::of_version("2.17", HAS_AVATAR, options).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::Complete, "{}", first.reason());
    let paused = pipeline.run(json!({"plan": plan(MISSPELT)})).await;
    assert_eq!(paused.state(), State::Paused, "{}", paused.reason());
    for dry_run in [true, false] {
        sleep(Duration::from_secs(1)).await;
        control(&pipeline, json!({"undo": first.run.id, "dry_run": dry_run}), "requested").await;
    }
    sleep(Duration::from_mins(10)).await;
    assert_eq!(pipeline.state(&paused.run.id).await, Some(State::Paused));
    for supersede in [false, true] {
        let start = pipeline.start_event(&json!({"plan": plan(UNKNOWN), "supersede": supersede}));
        let refused = pipeline.engine.scroll(start).await.unwrap_err();
        assert!(refused.contains("unheard_of"), "{refused}");
        assert_eq!(pipeline.state(&paused.run.id).await, Some(State::Paused));
        sleep(Duration::from_secs(1)).await;
        if !supersede {
            control(&pipeline, json!({"pause": paused.run.id}), "paused").await;
        }
    }
    let next = pipeline.start(json!({"supersede": true, "rails": {"limit": 10}})).await;
    assert_eq!(pipeline.until_ended(&next).await.state(), State::Complete);
    assert_eq!(pipeline.state(&paused.run.id).await, Some(State::Cancelled));
}
