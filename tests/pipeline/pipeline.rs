//! One workspace and one engine on it, in virtual time.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use intercom_bulk::domain::run::State::{Draining, Paused};
use intercom_bulk::domain::run::{Cursor, RunId};
use intercom_bulk::plan::Plan;
use intercom_bulk::runtime::config::{Pace, Settings};
use intercom_bulk::runtime::event::StartEvent;
use intercom_bulk_emulator::aws::Account;
use intercom_bulk_emulator::engine::{Engine, Wall};
use intercom_simulator::{Options, World};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::accident::Accident;
use crate::guard::Guard;
use crate::intercom::{Way, client};
use crate::report::Report;
use crate::sqs::Sqs;

/// The start of every test: one of the times whose keys collided in 2016 (1 Nov 11:01, 11 Nov
/// 01:01).
pub(crate) const BEGIN: &str = "2016-11-01T11:00:33Z";
/// A run that has not ended by then is stuck: its deadline is after 24 hours.
const STUCK_AFTER: Duration = Duration::from_hours(26);
/// A run's jobs without an end and its in-flight messages are over by then: jobs are unknown after
/// 6 h.
const QUIET_AFTER: Duration = Duration::from_hours(8);
/// The interval between reads of a run.
const LOOK: Duration = Duration::from_secs(5);
/// After this many reads, a run that only waits for jobs runs in pieces: the engine works for some
/// seconds and pauses for minutes. Six hours of ticks, one a second, would take a minute of real
/// time.
const PATIENCE: u32 = 200;
const PIECE: Duration = Duration::from_mins(9);

/// The engine's task, and its stop.
struct Working {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// A workspace, its plan, and the engine that works on it.
pub(crate) struct Pipeline {
    pub(crate) plan: Plan,
    pub(crate) world: World,
    pub(crate) way: Way,
    pub(crate) sqs: Sqs,
    pub(crate) engine: Engine,
    /// The operations that the workspace allows per rate window.
    pub(crate) limit: u64,
    /// The functions' roles, in front of AWS.
    pub(crate) guard: Guard,
    account: Account,
    settings: Settings,
    wall: Wall,
    working: RefCell<Option<Working>>,
}

/// The time until a possible job is over. Fifteen minutes of ticks, one a second, would take most
/// of a test's time.
const JOB_LIFE_MS: i64 = 60_000;

/// Returns the settings of the command.
pub(crate) fn settings() -> Settings {
    Settings { pace: Pace::LOCAL, job_life_ms: JOB_LIFE_MS, ..Settings::read(|_| None).unwrap() }
}

impl Pipeline {
    /// Creates a pipeline for a plan (TOML) in a workspace with `options`.
    pub(crate) async fn new(plan: &str, options: Options) -> Self {
        Self::with(plan, options, settings(), Vec::new()).await
    }

    /// Creates a pipeline whose runs use this version of the API.
    pub(crate) async fn of_version(version: &str, plan: &str, options: Options) -> Self {
        Self::on(Way::of_version(version), plan, options, settings(), Vec::new()).await
    }

    /// Creates a pipeline with other settings and with accidents of the queues.
    pub(crate) async fn with(plan: &str, options: Options, settings: Settings, accidents: Vec<Accident>) -> Self {
        Self::on(Way::default(), plan, options, settings, accidents).await
    }

    /// Creates a pipeline whose client goes this way.
    pub(crate) async fn on(
        way: Way,
        plan: &str,
        options: Options,
        settings: Settings,
        accidents: Vec<Accident>,
    ) -> Self {
        let (begin_ms, began) = (BEGIN.parse::<Timestamp>().unwrap().as_millisecond(), Instant::now());
        let wall: Wall = Arc::new(move || begin_ms + began.elapsed().as_millis() as i64);
        let limit = options.rate_limit_per_10s.into();
        let world = World::new(Options { now: wall.clone(), ..options });
        let (account, sqs) = (Account::open(None).unwrap(), Sqs::with(accidents));
        let (guard, intercom) = (Guard::new(), client(&world, &way));
        let (dynamodb, queues) = guarded(&guard, &account, &sqs);
        let opened = Engine::open(&dynamodb, &queues, intercom, settings.clone(), wall.clone());
        let engine = opened.await.unwrap();
        let plan = Plan::from_toml("plan.toml", plan).unwrap();
        let working = RefCell::default();
        let pipeline = Self { plan, world, way, sqs, engine, limit, guard, account, settings, wall, working };
        pipeline.work();
        pipeline
    }

    /// Sets the interval of ticks: hours of ticks, one a second, would take most of a test's time.
    pub(crate) async fn ticking(mut self, each: Duration) -> Self {
        let working = self.working.take().unwrap();
        working.stop.send(true).unwrap();
        working.task.await.unwrap();
        self.engine.ticks = (each, each);
        self.work();
        self
    }

    /// Starts the engine.
    pub(crate) fn work(&self) {
        let (stop, stopped) = watch::channel(false);
        let engine = self.engine.clone();
        let task = tokio::spawn(async move { engine.run(stopped).await });
        self.working.replace(Some(Working { stop, task }));
    }

    /// Starts another process on the same ledger and queues. It ends with the test.
    pub(crate) async fn work_beside(&self) {
        let client = client(&self.world, &self.way);
        let (dynamodb, sqs) = guarded(&self.guard, &self.account, &self.sqs);
        let opened = Engine::open(&dynamodb, &sqs, client, self.settings.clone(), self.wall.clone());
        let (engine, (stop, stopped)) = (opened.await.unwrap(), watch::channel(false));
        tokio::spawn(async move {
            engine.run(stopped).await;
            drop(stop);
        });
    }

    /// Waits until the ledger has the error of a user.
    pub(crate) async fn until_an_error_is_recorded(&self) {
        let is_error =
            |item: &HashMap<String, AttributeValue>| item["sk"].as_s().is_ok_and(|sk| sk.starts_with("ERROR#"));
        while !self.items().await.iter().any(is_error) {
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Kills the engine at an await point, and loses its queues.
    pub(crate) async fn crash(&mut self) {
        let working = self.working.take().unwrap();
        working.task.abort();
        assert!(working.task.await.unwrap_err().is_cancelled());
        self.lose_queues().await;
    }

    /// Starts another process after the last one ended, with empty queues.
    pub(crate) async fn lose_queues(&mut self) {
        self.sqs = Sqs::with(Vec::<Accident>::new());
        let client = client(&self.world, &self.way);
        let (dynamodb, sqs) = guarded(&self.guard, &self.account, &self.sqs);
        let opened = Engine::open(&dynamodb, &sqs, client, self.settings.clone(), self.wall.clone());
        self.engine = opened.await.unwrap();
        self.work();
    }

    /// Stops the engine, advances time, and starts it again. Much faster than ticks through weeks.
    pub(crate) async fn rest(&self, time: Duration) {
        self.stop().await;
        sleep(time).await;
        self.work();
    }

    /// Stops the engine, and lets it finish.
    pub(crate) async fn stop(&self) {
        let working = self.working.take().unwrap();
        working.stop.send(true).unwrap();
        working.task.await.unwrap();
    }

    /// Writes an item directly, without the ledger.
    pub(crate) async fn put(&self, item: HashMap<String, AttributeValue>) {
        let request = self.account.dynamodb.put_item().table_name("intercom-bulk-ledger").set_item(Some(item));
        request.send().await.unwrap();
    }

    /// Returns the event that starts this pipeline's plan now, with these further fields.
    pub(crate) fn start_event(&self, further: &Value) -> Value {
        let now = Timestamp::from_millisecond(self.engine.now_ms()).unwrap();
        let mut event = json!({"plan": self.plan.to_json(), "time": now.to_string()});
        let fields = event.as_object_mut().unwrap();
        fields.extend(further.as_object().cloned().unwrap_or_default());
        event
    }

    /// Starts a run, whose id contains its start's second.
    pub(crate) async fn start(&self, further: Value) -> RunId {
        let event = self.start_event(&further);
        let run = StartEvent::read(&event).unwrap().run().unwrap();
        self.engine.scroll(event).await.unwrap();
        run
    }

    /// Waits until a run ends or pauses, and its jobs and messages are over.
    pub(crate) async fn until_ended(&self, run: &RunId) -> Report {
        let bound = Instant::now() + STUCK_AFTER;
        for look in 0.. {
            let state = self.state(run).await;
            if state.is_some_and(|state| state.ended() || state == Paused) {
                break;
            }
            assert!(Instant::now() < bound, "the run is stuck: {:#?}", self.engine.clients.ledger.cursor(run).await);
            let waits = state == Some(Draining) || look > PATIENCE && self.waits_long(run).await;
            self.reschedule(look, waits).await;
        }
        self.until_quiet().await;
        Report::of(self, run).await
    }

    /// Starts a run and waits for its end.
    pub(crate) async fn run(&self, further: Value) -> Report {
        // The id of a run contains its second, so two starts need two seconds.
        sleep(Duration::from_secs(1)).await;
        let run = self.start(further).await;
        self.until_ended(&run).await
    }

    /// Waits until every job is closed and no message is queued.
    async fn until_quiet(&self) {
        let bound = Instant::now() + QUIET_AFTER;
        for look in 0.. {
            let open = self.engine.clients.ledger.due(i64::MAX / 2, 1).await.unwrap();
            let messages = ["pages", "patches"].map(|queue| self.sqs.bodies(queue));
            if open.is_empty() && messages.iter().all(Vec::is_empty) {
                return;
            }
            assert!(Instant::now() < bound, "never quiet: {open:#?} {messages:#?}");
            self.reschedule(look, true).await;
        }
    }

    /// Returns whether a run waits for earlier work for longer than a piece.
    async fn waits_long(&self, run: &RunId) -> bool {
        let cursor = self.engine.clients.ledger.cursor(run).await.unwrap();
        let until_ms = cursor.as_ref().map_or(0, Cursor::waits_until_ms);
        until_ms > self.engine.now_ms() + 2 * PIECE.as_millis() as i64
    }

    /// Advances time until the next read, in pieces if only jobs are waited for.
    async fn reschedule(&self, look: u32, only_waits: bool) {
        sleep(LOOK).await;
        if look > PATIENCE && only_waits {
            self.rest(PIECE).await;
        }
    }

    /// Returns a run's row; `None` if the run does not exist (yet).
    pub(crate) async fn state(&self, run: &RunId) -> Option<intercom_bulk::domain::run::State> {
        self.engine.clients.ledger.run(run).await.unwrap().map(|run| run.state)
    }

    /// Advances time until the world's state satisfies `reached`.
    pub(crate) async fn until(&self, reached: impl Fn(&intercom_simulator::State) -> bool) {
        let bound = Instant::now() + STUCK_AFTER;
        while !reached(&self.world.state()) {
            assert!(Instant::now() < bound, "never reached: {:#?}", self.world.state());
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Returns all items of the ledger's table.
    pub(crate) async fn items(&self) -> Vec<HashMap<String, AttributeValue>> {
        let pages = self.account.dynamodb.scan().table_name("intercom-bulk-ledger").into_paginator().items().send();
        pages.collect::<Result<_, _>>().await.unwrap()
    }

    /// Sends a body to a queue, as another program could.
    pub(crate) async fn send(&self, queue: &str, body: &str) {
        let url = format!("http://sqs.model/000000000000/{queue}");
        self.sqs.client().send_message().queue_url(url).message_body(body).send().await.unwrap();
    }
}

/// Returns an account's SDK clients behind the functions' roles.
fn guarded(guard: &Guard, account: &Account, sqs: &Sqs) -> (aws_sdk_dynamodb::Client, aws_sdk_sqs::Client) {
    let dynamodb = account.dynamodb.config();
    let network = guard.before(dynamodb.http_client().unwrap());
    let dynamodb = aws_sdk_dynamodb::Client::from_conf(dynamodb.to_builder().http_client(network).build());
    let network = guard.before(SharedHttpClient::new(sqs.clone()));
    (dynamodb, aws_sdk_sqs::Client::from_conf(sqs.config().http_client(network).build()))
}
