//! Metrics of a real run. Steps are invoked one by one, and their sums match the workspace.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use intercom_bulk::domain::clock::Clock;
use intercom_bulk::runtime::clients::Clients;
use intercom_bulk::runtime::invocation::Invocation;
use intercom_bulk::runtime::telemetry::{Metric, line};
use intercom_bulk::{steps::check, steps::scroll, steps::submit};
use intercom_bulk_emulator::aws::Account;
use intercom_bulk_emulator::engine::Engine;
use intercom_simulator::{Fault, Options, World};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::accident::Accident;
use crate::intercom::{Way, client};
use crate::pipeline::{BEGIN, settings};
use crate::plans::{HAS_AVATAR, users};
use crate::sqs::Sqs;

const NAMES_OF_SCROLL: [&str; 12] = [
    "Buried",
    "Holes",
    "LeftForNewer",
    "LongWaits",
    "Pages",
    "Patches",
    "QuotaUsedPercent",
    "RateLimited",
    "RunsNotComplete",
    "RunsStarted",
    "Turns",
    "Users",
];

/// Steps without mappings and schedules: the test makes each invocation.
struct Hand {
    world: World,
    sqs: Sqs,
    clients: Clients,
    begin_ms: i64,
    began: Instant,
    handled: BTreeMap<&'static str, usize>,
    invocations: Cell<u64>,
    sums: BTreeMap<&'static str, u64>,
}

impl Hand {
    async fn new(options: Options) -> Self {
        let (begin_ms, began) = (BEGIN.parse::<jiff::Timestamp>().unwrap().as_millisecond(), Instant::now());
        let wall: intercom_bulk_emulator::engine::Wall =
            Arc::new(move || begin_ms + began.elapsed().as_millis() as i64);
        let world = World::new(Options { now: wall.clone(), ..options });
        let (account, sqs) = (Account::open(None).unwrap(), Sqs::with(Vec::<Accident>::new()));
        let queues = sqs.client();
        let opened = Engine::open(&account.dynamodb, &queues, client(&world, &Way::default()), settings(), wall);
        let clients = opened.await.unwrap().clients;
        Self {
            world,
            sqs,
            clients,
            begin_ms,
            began,
            handled: BTreeMap::new(),
            invocations: Cell::default(),
            sums: BTreeMap::new(),
        }
    }

    fn invocation(&self) -> Invocation {
        let now_ms = self.begin_ms + self.began.elapsed().as_millis() as i64;
        let request_id = format!("{now_ms}-{}", self.invocations.replace(self.invocations.get() + 1));
        Invocation { clock: Clock::starting_at(now_ms), request_id, deadline_ms: now_ms + 300_000, stop: None }
    }

    /// Returns the new messages of a queue as events. Nothing is deleted, so each is returned once.
    fn waiting(&mut self, queue: &'static str) -> Vec<Value> {
        let handled = self.handled.entry(queue).or_default();
        let new: Vec<String> = self.sqs.bodies(queue).into_iter().skip(*handled).collect();
        let first = *handled;
        *handled += new.len();
        let event = |(index, body): (usize, String)| {
            let id = format!("{queue}-{}", first + index);
            json!({"Records": [{"messageId": id, "receiptHandle": id, "body": body, "attributes": {}}]})
        };
        new.into_iter().enumerate().map(event).collect()
    }

    /// Adds the metrics of a line, as CloudWatch does.
    fn add(&mut self, metrics: &[Metric]) {
        let Some(line) = line(None, self.begin_ms, metrics) else { return };
        for metric in metrics {
            *self.sums.entry(metric.name).or_default() += line[metric.name].as_u64().unwrap();
        }
    }

    async fn scroll(&mut self, event: &Value) -> scroll::ScrollOutcome {
        let outcome = scroll::handle(&self.clients, event, &self.invocation()).await.unwrap();
        self.add(&outcome.metrics());
        outcome
    }

    /// Handles all messages of both queues, and the jobs, until the run ends.
    async fn until_ended(&mut self) {
        for _ in 0..500 {
            // New messages belong to the next round: a waiting turn would be invoked without end.
            let (pages, patches) = (self.waiting("pages"), self.waiting("patches"));
            for event in pages {
                self.scroll(&event).await;
            }
            for event in patches {
                let outcome = submit::handle(&self.clients, &event, &self.invocation()).await.unwrap();
                self.add(&outcome.metrics());
            }
            let outcome = check::handle(&self.clients, &json!({"tick": {}}), &self.invocation()).await.unwrap();
            self.add(&outcome.metrics());
            if self.clients.ledger.active().await.unwrap().run.is_none() {
                return;
            }
            sleep(Duration::from_secs(3)).await;
        }
        panic!("the run did not end: {:?}", self.sums);
    }

    fn sum(&self, name: &str) -> u64 {
        *self.sums.get(name).unwrap_or_else(|| panic!("{name} was never reported: {:?}", self.sums))
    }
}

fn start() -> Value {
    let plan = intercom_bulk::plan::Plan::from_toml("plan.toml", HAS_AVATAR).unwrap();
    json!({"plan": plan.to_json(), "time": BEGIN})
}

#[tokio::test(start_paused = true)]
async fn metrics_of_all_invocations_add_up_to_the_run() {
    let mut hand = Hand::new(Options { faults: vec![Fault::LimitBulk(2)], ..users(450) }).await;
    let started = hand.scroll(&start()).await;
    let names: Vec<&str> = started.metrics().iter().map(|metric| metric.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, NAMES_OF_SCROLL);
    assert_eq!(hand.sum("RunsStarted"), 1);
    hand.until_ended().await;
    let state = hand.world.state();
    assert_eq!((hand.sum("Users"), hand.sum("Pages"), hand.sum("RunsStarted")), (450, 5, 1));
    assert_eq!((hand.sum("Patches"), hand.sum("JobItems")), (state.items, state.items));
    let jobs = state.jobs.len() as u64;
    assert_eq!((hand.sum("Jobs"), hand.sum("JobsCompleted"), hand.sum("JobsWithErrors")), (jobs, jobs, 0));
    assert_eq!((hand.sum("RunsComplete"), hand.sum("RunsNotComplete"), hand.sum("UserErrors")), (1, 0, 0));
    assert_eq!((hand.sum("RateLimited"), hand.sum("Holes"), hand.sum("Buried")), (1, 0, 0));
    assert!(hand.sum("Turns") >= 6, "five pages and the end: {:?}", hand.sums);
    assert!(hand.sum("QuotaUsedPercent") > 0);
}

#[tokio::test(start_paused = true)]
async fn faults_are_reported_as_metrics() {
    // Also those of the second generation.
    let lost = (1..=20).map(Fault::LoseJob);
    let faults = lost.chain([Fault::LosePage(2)]).collect();
    let mut hand = Hand::new(Options { faults, ..users(300) }).await;
    hand.scroll(&start()).await;
    let poison = json!({"Records": [{"messageId": "p", "receiptHandle": "p", "body": "{", "attributes": {}}]});
    hand.scroll(&poison).await;
    assert_eq!(hand.sum("Buried"), 1);
    hand.until_ended().await;
    let jobs = hand.world.state().jobs.len() as u64;
    assert_eq!((hand.sum("Holes"), hand.sum("JobsUnknown")), (1, jobs), "{:?}", hand.sums);
    assert_eq!((hand.sum("RunsComplete"), hand.sum("RunsNotComplete")), (0, 1), "users of lost jobs are unknown");
}

#[tokio::test(start_paused = true)]
async fn run_with_failed_users_has_its_own_metric() {
    let refused = Fault::ItemError { percent: 5.0, code: "invalid".into(), message: "user invalid".into() };
    let mut hand = Hand::new(Options { faults: vec![refused], ..users(300) }).await;
    hand.scroll(&start()).await;
    hand.until_ended().await;
    assert_eq!((hand.sum("RunsComplete"), hand.sum("RunsWithErrors"), hand.sum("RunsNotComplete")), (1, 1, 0));
    assert!(hand.sum("UserErrors") > 0);
}

#[tokio::test(start_paused = true)]
async fn page_with_a_429_is_counted_by_scroll() {
    let mut hand = Hand::new(Options { faults: vec![Fault::LimitPage(2)], ..users(300) }).await;
    let mut limited = 0;
    hand.scroll(&start()).await;
    for _ in 0..40 {
        for event in hand.waiting("pages") {
            limited += hand.scroll(&event).await.rate_limited;
        }
        sleep(Duration::from_secs(3)).await;
    }
    assert_eq!(limited, 1);
    assert!(hand.sum("QuotaUsedPercent") > 0);
}

#[tokio::test(start_paused = true)]
async fn start_of_a_missing_plan_is_dead_lettered() {
    let mut hand = Hand::new(users(100)).await;
    hand.clients.ledger.put_plan("has-avatar", &start()["plan"]).await.unwrap();
    hand.scroll(&start()).await;
    let waits = hand.scroll(&json!({"plan": "has-avatar", "time": "2016-11-25T12:00:00Z"})).await;
    assert_eq!(waits.did, [scroll::Action::Queued]);
    hand.until_ended().await;
    hand.clients.ledger.put_plan("has-avatar", &json!({"name": "has-avatar", "set": {}})).await.unwrap();
    assert_eq!(hand.scroll(&json!({"tick": {}})).await.did, [scroll::Action::Buried]);
    assert_eq!(hand.sum("Buried"), 1);
    assert_eq!(hand.scroll(&json!({"tick": {}})).await.did, [scroll::Action::Nothing], "it is not in the way");
    let kept: Value = serde_json::from_str(&hand.sqs.bodies("pages-dead-letters")[0]).unwrap();
    assert_eq!((&kept["plan"], &kept["time"]), (&json!("has-avatar"), &json!("2016-11-25T12:00:00Z")));
    hand.clients.ledger.put_plan("has-avatar", &start()["plan"]).await.unwrap();
    assert_eq!(hand.scroll(&kept).await.did, [scroll::Action::Started], "it can be sent again as it is");
}
