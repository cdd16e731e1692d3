//! Ended runs whose jobs or requests may still change values: later runs wait for them.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use intercom_bulk::control::{self, Released};
use intercom_bulk::domain::clock::Clock;
use intercom_bulk::domain::run::{Run, RunId, State};
use intercom_bulk::domain::user::User;
use intercom_bulk::ledger::Ledger;
use intercom_bulk::plan::Plan;
use intercom_bulk::runtime::event::StartEvent;
use intercom_bulk::runtime::invocation::Invocation;
use intercom_bulk::steps::scroll;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::intercom::Closed;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

/// Sets the opposite values.
pub(crate) const OPPOSITE: &str = r#"
    name = "other"
    [set.custom_attributes."has avatar"]
    type = "bool"
    value = "user.avatar.image_url is not present"
"#;

impl Pipeline {
    pub(crate) fn ledger(&self) -> &Ledger {
        &self.engine.clients.ledger
    }

    /// Cancels a run.
    pub(crate) async fn cancel(&self, run: &RunId) -> Run {
        let run = self.ledger().run(run).await.unwrap().unwrap();
        assert!(control::cancel(self.ledger(), &run, "by the test", self.engine.now_ms()).await.unwrap());
        run
    }

    async fn release(&self, run: &RunId) -> Released {
        let clock = Clock::starting_at(self.engine.now_ms());
        control::release(self.ledger(), run, &settings().settle_times(), clock).await.unwrap()
    }

    /// Starts a run that sets the opposite values.
    pub(crate) async fn start_opposite(&self) -> RunId {
        sleep(Duration::from_secs(1)).await;
        let plan = Plan::from_toml("plan.toml", OPPOSITE).unwrap().to_json();
        let event = self.start_event(&json!({ "plan": plan }));
        self.engine.scroll(event.clone()).await.unwrap();
        StartEvent::read(&event).unwrap().run().unwrap()
    }

    /// Waits for the run that sets the opposite values, and asserts that no older job came later.
    pub(crate) async fn opposite_wins(&self, run: &RunId) -> Report {
        let report = self.until_ended(run).await;
        assert_eq!(report.state(), State::Complete, "{}", report.reason());
        let plan = Plan::from_toml("plan.toml", OPPOSITE).unwrap();
        let users = self.world.users().into_iter().filter_map(User::new);
        assert_eq!(users.filter(|user| plan.evaluate(user).patch.is_some()).count(), 0, "an older job came later");
        report
    }

    /// Returns the reason why a run waits.
    pub(crate) async fn waits(&self, run: &RunId) -> String {
        let cursor = self.ledger().cursor(run).await.unwrap().unwrap();
        cursor.waits.unwrap_or_default()
    }

    /// Carries out the next turn of a run, when it is due. Returns the number of long waits that it counts.
    async fn long_waits(&self, run: &RunId) -> u64 {
        self.stop().await;
        let cursor = self.ledger().cursor(run).await.unwrap().unwrap();
        let due_ms = cursor.not_before_ms - self.engine.now_ms();
        sleep(Duration::from_millis(u64::try_from(due_ms).unwrap_or_default() + 1)).await;
        let queued = self.sqs.bodies("pages").into_iter().filter(|body| body.contains(run.as_str()));
        let record = |body| json!({"messageId": "m", "receiptHandle": "m", "body": body, "attributes": {}});
        let records: Vec<Value> = queued.map(record).collect();
        let clock = Clock::starting_at(self.engine.now_ms());
        let deadline_ms = clock.now_ms() + 60_000;
        let at = Invocation { clock, request_id: "turn".to_owned(), deadline_ms, stop: None };
        let outcome = scroll::handle(&self.engine.clients, &json!({ "Records": records }), &at).await.unwrap();
        self.work();
        outcome.long_waits
    }

    async fn unsettled(&self) -> usize {
        self.ledger().active().await.unwrap().unsettled.len()
    }
}

/// A job with a known id is waited for until check closes it, also beyond a job's usual life.
#[tokio::test(start_paused = true)]
async fn run_waits_for_a_job_of_hours_and_names_it() {
    let faults = vec![Fault::SlowJob { job: 1, seconds: 7_200 }];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(300) }).await;
    let first = pipeline.start(Value::Null).await;
    pipeline.until(|state| !state.jobs.is_empty()).await;
    pipeline.cancel(&first).await;
    let second = pipeline.start_opposite().await;
    sleep(Duration::from_mins(10)).await;
    let job = pipeline.world.state().jobs[0].id.clone();
    // The first job is made at 11:00, and unknown jobs are closed after six hours.
    let why = format!("bulk job {job}, open since 11:00 UTC, of {first} must end first, at 17:00 UTC at the latest");
    assert_eq!(pipeline.waits(&second).await, format!("{why}, so that an older value cannot overwrite a newer one"));
    assert_eq!(pipeline.long_waits(&second).await, 0);
    sleep(Duration::from_hours(1)).await;
    assert_eq!(pipeline.long_waits(&second).await, 1, "an alarm counts each such turn");
    let report = pipeline.opposite_wins(&second).await;
    assert!((7_100..8_500).contains(&report.seconds), "{}", report.seconds);
}

/// One server that does not know the job, long after its creation, does not mean that it is over.
#[tokio::test(start_paused = true)]
async fn job_that_is_not_found_for_a_moment_is_waited_for() {
    let faults = vec![Fault::SlowJob { job: 1, seconds: 2_400 }];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(300) }).await;
    let first = pipeline.start(Value::Null).await;
    pipeline.until(|state| !state.jobs.is_empty()).await;
    pipeline.cancel(&first).await;
    let second = pipeline.start_opposite().await;
    sleep(Duration::from_mins(20)).await;
    pipeline.way.disturb("GET /jobs", Closed::Answers(404));
    sleep(Duration::from_secs(45)).await;
    pipeline.way.close(None);
    let report = pipeline.opposite_wins(&second).await;
    // Polls of a slow job are up to a quarter of an hour apart.
    assert!((2_300..4_500).contains(&report.seconds), "{}", report.seconds);
    let first = Report::of(&pipeline, &first).await;
    assert_eq!(first.accounts.totals.jobs_by_end.get("unknown"), None);
}

#[tokio::test(start_paused = true)]
async fn stuck_job_of_an_earlier_run_holds_for_six_hours() {
    let faults = vec![Fault::JobNeverEnds(1)];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(300) }).await;
    let first = pipeline.start(Value::Null).await;
    pipeline.until(|state| !state.jobs.is_empty()).await;
    pipeline.cancel(&first).await;
    let second = pipeline.start_opposite().await;
    let report = pipeline.opposite_wins(&second).await;
    assert!((21_500..23_500).contains(&report.seconds), "{}", report.seconds);
    let first = Report::of(&pipeline, &first).await;
    assert_eq!(first.accounts.totals.jobs_by_end["unknown"], 1, "its end is in the accounts of its run");
}

/// A run that completed may have a job whose id was lost. Its job may be slower than the retry.
#[tokio::test(start_paused = true)]
async fn lost_job_of_a_complete_run_is_waited_for() {
    let faults = vec![Fault::LoseBulk(1), Fault::SlowJob { job: 1, seconds: 55 }];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(300) }).await;
    let first = pipeline.run(Value::Null).await;
    first.assert_complete();
    let second = pipeline.start_opposite().await;
    assert_eq!(pipeline.unsettled().await, 1);
    sleep(Duration::from_secs(15)).await;
    let waits = pipeline.waits(&second).await;
    assert!(
        waits.starts_with(&format!("a request of {} whose outcome is unknown, sent by 11:", first.run.id)),
        "{waits}"
    );
    pipeline.opposite_wins(&second).await;
}

/// A run that is stopped while it waits has sent nothing. The run after it waits for the first one.
#[tokio::test(start_paused = true)]
async fn wait_survives_the_stop_of_a_waiting_run() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { job_delay_s: 300, ..users(300) }).await;
    let first = pipeline.start(Value::Null).await;
    pipeline.until(|state| !state.jobs.is_empty()).await;
    pipeline.cancel(&first).await;
    let second = pipeline.start_opposite().await;
    sleep(Duration::from_mins(1)).await;
    pipeline.cancel(&second).await;
    let third = pipeline.start_opposite().await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(pipeline.unsettled().await, 1, "the second changed nothing");
    assert!(pipeline.waits(&third).await.contains(first.as_str()));
    pipeline.opposite_wins(&third).await;
}

#[tokio::test(start_paused = true)]
async fn released_run_is_not_waited_for() {
    let faults = vec![Fault::JobNeverEnds(1)];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(300) }).await;
    let first = pipeline.start(Value::Null).await;
    pipeline.until(|state| !state.jobs.is_empty()).await;
    assert!(matches!(pipeline.release(&first).await, Released::NotEnded(_)));
    assert_eq!(pipeline.release(&RunId::of("p", 0)).await, Released::Unknown);
    pipeline.cancel(&first).await;
    let second = pipeline.start_opposite().await;
    sleep(Duration::from_mins(10)).await;
    assert_eq!(pipeline.state(&second).await, Some(State::Running));
    let Released::Now { why, .. } = pipeline.release(&first).await else { panic!("it waits for a job") };
    assert!(why.contains("bulk job job_") && why.contains(first.as_str()), "{why}");
    let again = pipeline.release(&first).await;
    assert!(matches!(again, Released::Before { .. } | Released::Settled), "{again:?}");
    let report = pipeline.until_ended(&second).await;
    assert!(report.seconds < 900, "{}", report.seconds);
    assert_eq!(pipeline.release(&first).await, Released::Settled);
    let reason = Report::of(&pipeline, &first).await.reason().to_owned();
    assert!(reason.starts_with("by the test; an operator released it while bulk job job_"), "{reason}");
    assert!(reason.ends_with("an older value may come later"), "{reason}");
}

pub(crate) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(crate) fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn item<const N: usize>(fields: [(&str, AttributeValue); N]) -> HashMap<String, AttributeValue> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The version before wrote the end of a run into `last` alone.
#[tokio::test(start_paused = true)]
async fn last_run_of_the_version_before_is_waited_for() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { job_delay_s: 300, ..users(300) }).await;
    let first = pipeline.start(Value::Null).await;
    pipeline.until(|state| !state.jobs.is_empty()).await;
    pipeline.stop().await;
    pipeline.cancel(&first).await;
    let active = pipeline.ledger().active().await.unwrap();
    assert!(pipeline.ledger().remove_unsettled(&active.unsettled[0], None).await.unwrap());
    let (free_at_ms, last) = (number(active.free_at_ms), text(first.as_str()));
    pipeline
        .put(item([("pk", text("ACTIVE")), ("sk", text("ACTIVE")), ("free_at_ms", free_at_ms), ("last", last)]))
        .await;
    pipeline.work();
    let second = pipeline.start_opposite().await;
    assert!(pipeline.waits(&second).await.contains(first.as_str()));
    pipeline.opposite_wins(&second).await;
    let active = pipeline.ledger().active().await.unwrap();
    assert_eq!((active.unsettled.len(), active.recorded), (0, active.last));
}
