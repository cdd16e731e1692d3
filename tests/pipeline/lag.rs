//! The list of API 2.x shows a write minutes later.

use intercom_bulk::domain::run::{RunId, State};
use intercom_bulk::domain::user::User;
use intercom_bulk::plan::Plan;
use intercom_bulk::runtime::event::StartEvent;
use intercom_simulator::{ContactOptions, Options};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::contacts::workspace;
use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::HAS_AVATAR;
use crate::report::Report;
use crate::unsettled::OPPOSITE;

/// The time until the list shows a write, in seconds. The program waits for at least as long.
const LAG_S: u64 = 180;

fn lagging(users: usize) -> Options {
    let options = workspace(users);
    Options { contacts: ContactOptions { index_lag_s: LAG_S, ..options.contacts }, ..options }
}

async fn pipeline(users: usize) -> Pipeline {
    Pipeline::of_version("2.17", HAS_AVATAR, lagging(users)).await
}

impl Pipeline {
    /// Starts a run that sets the opposite values, with these further fields.
    async fn start_opposite_with(&self, further: Value) -> RunId {
        sleep(Duration::from_secs(1)).await;
        let mut further = further;
        further["plan"] = Plan::from_toml("plan.toml", OPPOSITE).unwrap().to_json();
        let event = self.start_event(&further);
        self.engine.scroll(event.clone()).await.unwrap();
        StartEvent::read(&event).unwrap().run().unwrap()
    }

    async fn waits_for(&self, run: &RunId) -> String {
        sleep(Duration::from_secs(5)).await;
        self.engine.clients.ledger.cursor(run).await.unwrap().unwrap().waits.unwrap_or_default()
    }

    /// Returns the number of users that lack the value of a plan.
    fn lacking(&self, plan: &str) -> usize {
        let plan = Plan::from_toml("plan.toml", plan).unwrap();
        let users = self.world.users().into_iter().filter_map(User::new);
        users.filter(|user| plan.evaluate(user).patch.is_some()).count()
    }
}

fn is_soon(report: &Report) -> bool {
    report.seconds < 100
}

/// A run that reads the list too early takes the old values for right ones.
#[tokio::test(start_paused = true)]
async fn run_waits_until_the_list_shows_the_writes_of_the_run_before() {
    let pipeline = pipeline(300).await;
    let first = pipeline.run(Value::Null).await;
    assert_eq!(first.state(), State::Complete, "{}", first.reason());
    assert!(is_soon(&first), "no write came before it: {}", first.seconds);
    let second = pipeline.start_opposite_with(json!({})).await;
    let waits = pipeline.waits_for(&second).await;
    assert!(
        waits.starts_with("Intercom's list shows writes after up to 3 minutes, so it is read from 11:0"),
        "{waits}"
    );
    let second = pipeline.until_ended(&second).await;
    assert_eq!(second.state(), State::Complete, "{}", second.reason());
    assert_eq!(pipeline.lacking(OPPOSITE), 0);
    assert!((LAG_S as i64 - 15..LAG_S as i64 + 60).contains(&second.seconds), "{}", second.seconds);
    // It wrote, so the next one waits, too. That one writes nothing, and the last one waits for nothing.
    let third = pipeline.start_opposite_with(json!({})).await;
    assert!(!is_soon(&pipeline.until_ended(&third).await));
    let fourth = pipeline.start_opposite_with(json!({})).await;
    let fourth = pipeline.until_ended(&fourth).await;
    assert!(is_soon(&fourth) && fourth.cursor.tally.patches == 0, "{}", fourth.seconds);
}

/// A dry run waits like a run. A list of users is read by id, which shows each write.
#[tokio::test(start_paused = true)]
async fn only_lists_are_waited_for() {
    for (further, waits) in [
        (json!({"limits": {"dry_run": true}}), true),
        (json!({"limits": {"dry_run": true, "no_wait": true}}), false),
        (json!({"limits": {"no_wait": true}}), false),
        (json!({"users": []}), false),
    ] {
        let pipeline = pipeline(100).await;
        let mut further = further;
        if further.get("users").is_some() {
            let users: Vec<Value> = pipeline.world.users().iter().map(|user| user["id"].clone()).collect();
            further["users"] = users.into();
        }
        pipeline.run(Value::Null).await;
        let second = pipeline.start_opposite_with(further.clone()).await;
        let second = pipeline.until_ended(&second).await;
        assert_eq!(second.state(), State::Complete, "{further}: {}", second.reason());
        assert_eq!(is_soon(&second), !waits, "{further}: {}", second.seconds);
        if further.get("users").is_some() {
            assert_eq!(pipeline.lacking(OPPOSITE), 0, "it read the new values");
        }
    }
}

/// A run that is stopped has written, too, up to the last request under way.
#[tokio::test(start_paused = true)]
async fn run_waits_for_the_writes_of_a_cancelled_run() {
    let options = Options { rate_limit_per_10s: 200, latency_ms: 110, ..lagging(900) };
    let pipeline = Pipeline::of_version("2.17", HAS_AVATAR, options).await;
    pipeline.start(Value::Null).await;
    pipeline.until(|state| state.contacts.written >= 300).await;
    control(&pipeline, json!({"cancel": true}), "cancelled").await;
    let second = pipeline.start_opposite_with(json!({})).await;
    let second = pipeline.until_ended(&second).await;
    assert_eq!(second.state(), State::Complete, "{}", second.reason());
    assert_eq!(pipeline.lacking(OPPOSITE), 0);
    assert!(second.seconds >= LAG_S as i64 - 15, "{}", second.seconds);
}

/// The generation after a canary reads the list again.
#[tokio::test(start_paused = true)]
async fn generation_waits_for_the_writes_of_the_one_before() {
    for (rest, waits) in [(Duration::from_secs(10), true), (Duration::from_mins(10), false)] {
        let pipeline = pipeline(600).await;
        let canary = pipeline.run(json!({"limits": {"limit": 100, "then_pause": true}})).await;
        assert_eq!(canary.state(), State::Paused, "{}", canary.reason());
        let written = canary.world.contacts.written;
        assert!(written > 50, "{written}");
        pipeline.rest(rest).await;
        let resumed_ms = pipeline.engine.now_ms();
        pipeline.engine.scroll(json!({"resume": true})).await.unwrap();
        let done = pipeline.until_ended(&canary.run.id).await;
        assert_eq!(done.state(), State::Complete, "{}", done.reason());
        assert_eq!(done.cursor.tally.patches + written, done.world.contacts.written, "no user was written twice");
        let took_s = (done.run.ended_ms.unwrap() - resumed_ms) / 1000;
        assert_eq!(took_s > 100, waits, "{took_s}");
    }
}

/// The scroll of 1.x shows each write at once.
#[tokio::test(start_paused = true)]
async fn scroll_does_not_wait() {
    let pipeline = Pipeline::of_version("1.4", HAS_AVATAR, lagging(300)).await;
    pipeline.run(Value::Null).await;
    let second = pipeline.start_opposite_with(json!({})).await;
    let second = pipeline.until_ended(&second).await;
    assert_eq!(second.state(), State::Complete, "{}", second.reason());
    assert!(second.seconds < 150, "the scroll of the run before must expire: {}", second.seconds);
}
