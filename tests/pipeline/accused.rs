//! API 2.x: results that accuse the run and not its users pause it.

use std::time::Duration;

use intercom_bulk::control;
use intercom_bulk::domain::run::{Run, RunId, State};
use intercom_simulator::{ContactOptions, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::contacts::{picture, pipeline, workspace};
use crate::intercom::Closed;
use crate::pauses::draining;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

impl Pipeline {
    async fn resume_and_end(&self, paused: &Report) -> Report {
        self.engine.scroll(json!({"resume": true})).await.unwrap();
        self.until_ended(&paused.run.id).await
    }

    /// Waits until a run pauses. Returns its users with a result that moment: gone, and errors.
    async fn results_at_the_pause(&self, run: &RunId) -> (u64, usize) {
        while self.state(run).await != Some(State::Paused) {
            sleep(Duration::from_millis(10)).await;
        }
        let ledger = &self.engine.clients.ledger;
        let (run, cursor) = (ledger.run(run).await.unwrap().unwrap(), ledger.cursor(run).await.unwrap().unwrap());
        let gone = ledger.accounts(&run, &cursor).await.unwrap().totals.gone;
        (gone, ledger.errors(&run).await.unwrap().len())
    }
}

/// Asserts that no request of the run is recorded as earlier than its start.
fn assert_jobs_follow_the_start(report: &Report) {
    let earlier = report.jobs.iter().find(|job| job.made_ms < report.run.started_ms);
    assert_eq!(earlier, None);
}

/// A token of another workspace finds no user. At a limit of 83 an invocation has fewer than 200 users.
#[tokio::test(start_paused = true)]
async fn run_without_any_user_pauses() {
    for (limit, mends) in [(1_667, true), (83, true), (1_667, false), (83, false)] {
        let name = format!("limit {limit}, mended: {mends}");
        let pipeline =
            Pipeline::of_version("2.17", HAS_AVATAR, Options { rate_limit_per_10s: limit, ..workspace(900) }).await;
        pipeline.way.disturb("PUT /contacts", Closed::NoUser);
        let paused = pipeline.run(Value::Null).await;
        assert_eq!(paused.state(), State::Paused, "{name}: {}", paused.reason());
        assert!(paused.reason().starts_with("Intercom has none of the first 2"), "{name}: {}", paused.reason());
        assert_eq!(paused.errors.len(), 0, "{name}");
        let gone_before = paused.accounts.totals.gone;
        assert!(gone_before < 200 && (limit == 83) == (gone_before > 0), "{name}: {gone_before}");
        if mends {
            pipeline.way.close(None);
        }
        let done = pipeline.resume_and_end(&paused).await;
        assert_eq!(done.state(), State::Complete, "{name}: {}", done.reason());
        done.assert_counts_add_up();
        let gone = if mends { gone_before } else { done.cursor.tally.patches };
        assert_eq!(done.accounts.totals.gone, gone, "{name}");
        assert_eq!(done.lacking.len() as u64, gone, "{name}");
        assert_jobs_follow_the_start(&done);
    }
}

/// A wrong address answers 404 without a word about a user.
#[tokio::test(start_paused = true)]
async fn users_of_a_missing_route_are_not_gone() {
    let pipeline = Pipeline::of_version("2.17", HAS_AVATAR, workspace(900)).await;
    pipeline.way.disturb("PUT /contacts", Closed::Answers(404));
    let paused = pipeline.run(Value::Null).await;
    assert_eq!((paused.state(), paused.accounts.totals.gone), (State::Paused, 0), "{}", paused.reason());
    assert!(paused.reason().contains("INTERCOM_BASE_URL"), "{}", paused.reason());
    pipeline.way.close(None);
    let done = pipeline.resume_and_end(&paused).await;
    assert_eq!((done.state(), done.accounts.totals.gone), (State::Complete, 0), "{}", done.reason());
    assert_eq!((done.lacking.len(), done.errors.len()), (0, 0));
    done.assert_counts_add_up();
}

/// A run that writes 20 users a minute has at most 20 in each invocation.
#[tokio::test(start_paused = true)]
async fn refusals_in_a_row_are_counted_over_invocations() {
    let options = Options { contacts: ContactOptions::default(), ..users(200) };
    let pipeline = Pipeline::of_version("2.17", &picture(), options).await;
    pipeline.way.disturb("GET /data_attributes", Closed::Answers(403));
    let paused = pipeline.run(json!({"limits": {"max_per_minute": 20}})).await;
    assert_eq!(paused.state(), State::Paused, "{}", paused.reason());
    assert!(paused.reason().contains("users in a row alike") && paused.reason().contains("does not exist"));
    assert!((30..50).contains(&paused.errors.len()), "users of earlier invocations: {}", paused.errors.len());
    let id = pipeline.world.users()[0]["id"].as_str().unwrap().to_owned();
    pipeline.world.set_user(&id, |user| user["custom_attributes"]["has picture"] = json!("unknown"));
    let done = pipeline.resume_and_end(&paused).await;
    assert_eq!(done.state(), State::CompleteWithErrors, "{}", done.reason());
    assert_eq!((done.lacking.len(), done.errors.len()), (paused.errors.len(), paused.errors.len()));
    assert_jobs_follow_the_start(&done);
}

/// Two processes hold users without a result when one of them pauses the run.
#[tokio::test(start_paused = true)]
async fn users_of_another_process_stay_open_after_the_pause() {
    for answer_ms in [150, 400, 700, 1_500] {
        let pipeline = pipeline(Options { latency_ms: 300, ..workspace(900) }).await;
        pipeline.way.disturb("PUT /contacts", Closed::NoUser);
        pipeline.way.answer_slowly(Duration::from_millis(answer_ms));
        let run = pipeline.start(Value::Null).await;
        let (gone, _) = pipeline.results_at_the_pause(&run).await;
        let paused = pipeline.until_ended(&run).await;
        assert_eq!((paused.state(), paused.accounts.totals.gone), (State::Paused, gone), "{answer_ms}");
        pipeline.way.close(None);
        let done = pipeline.resume_and_end(&paused).await;
        assert_eq!(done.state(), State::Complete, "{answer_ms}: {}", done.reason());
        assert_eq!((done.accounts.totals.gone, done.lacking.len() as u64), (gone, gone), "{answer_ms}");
    }
}

/// The second process has fewer users than a row needs.
#[tokio::test(start_paused = true)]
async fn refused_users_of_another_process_stay_open_after_the_pause() {
    for latency_ms in [300, 500, 700] {
        let options = Options { contacts: ContactOptions::default(), latency_ms, ..users(190) };
        let pipeline = Pipeline::of_version("2.17", &picture(), options).await;
        pipeline.way.disturb("GET /data_attributes", Closed::Answers(403));
        let run = pipeline.start(Value::Null).await;
        assert_eq!(pipeline.results_at_the_pause(&run).await, (0, 0), "{latency_ms}");
        let paused = pipeline.until_ended(&run).await;
        assert_eq!((paused.state(), paused.errors.len()), (State::Paused, 0), "{latency_ms}");
    }
}

/// The run reads its last page between its read and the pause.
#[tokio::test(start_paused = true)]
async fn pause_meets_a_run_that_drains_since_its_read() {
    let (pipeline, id) = draining().await;
    let ledger = &pipeline.engine.clients.ledger;
    let run = ledger.run(&id).await.unwrap().unwrap();
    let now_ms = pipeline.engine.now_ms();
    let later = Run { state: State::Running, generation: run.generation + 1, ..run.clone() };
    assert!(!control::pause(ledger, &later, "another generation", now_ms).await.unwrap());
    let before = Run { state: State::Running, ..run.clone() };
    assert!(control::pause(ledger, &before, "a fault", now_ms).await.unwrap());
    let paused = ledger.run(&id).await.unwrap().unwrap();
    assert_eq!(paused.pause().map(|pause| pause.from), Some(State::Draining));
    assert!(!control::pause(ledger, &before, "another fault", now_ms).await.unwrap(), "it is paused");
}

/// The ledger fails at the pause.
#[tokio::test(start_paused = true)]
async fn pause_that_fails_is_made_by_the_next_invocation() {
    let pipeline = pipeline(workspace(900)).await;
    pipeline.way.disturb("PUT /contacts", Closed::NoUser);
    pipeline.guard.refuse_once("submit", "TransactWriteItems");
    let paused = pipeline.run(Value::Null).await;
    assert!(!pipeline.guard.refuses());
    assert_eq!((paused.state(), paused.accounts.totals.gone), (State::Paused, 0), "{}", paused.reason());
}
