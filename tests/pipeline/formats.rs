//! Deployments during a run. A newer version of the functions is deployed while this version still
//! works: this version leaves the newer version's items and messages to it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use intercom_bulk::domain::run::FORMAT;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// Returns an item's kind: the first word of its sort key, or of its partition if all are equal.
pub(crate) fn kind(item: &Item) -> String {
    let word = |name: &str| item[name].as_s().unwrap().split('#').next().unwrap().to_owned();
    let pk = word("pk");
    if pk == "RUN" || pk == "BUCKET" { word("sk") } else { pk }
}

/// The kinds that this version must read and not change if they are newer. Not in the list: windows
/// of the rate limit, counters that any version adds to, and `RUNS`, of which only names are read.
const LEFT: [&str; 14] = [
    "ACTIVE", "RUN", "PLAN", "PLANS", "CURSOR", "PAGE", "BODY", "PART", "JOB", "ERROR", "EXPIRY", "STARTS", "USERS",
    "READBACK",
];

fn newer(item: &Item) -> Item {
    let mut newer = item.clone();
    newer.insert("v".to_owned(), AttributeValue::N((FORMAT + 1).to_string()));
    newer
}

fn lasting(mut item: Item) -> Item {
    item.remove("expires_at");
    item
}

/// Creates a ledger with an active run, an ended one and a waiting one.
pub(crate) async fn in_the_midst() -> Pipeline {
    let faults = vec![Fault::ItemLimited(30.0), Fault::BadItem(2.0)];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, latency_ms: 200, ..users(500) }).await;
    pipeline.engine.clients.ledger.put_plan("has-avatar", &pipeline.plan.to_json()).await.unwrap();
    let some: Vec<Value> = pipeline.world.users().iter().take(30).map(|user| user["id"].clone()).collect();
    let ended = pipeline.run(json!({ "users": some })).await.run.id.to_string();
    sleep(Duration::from_secs(1)).await;
    pipeline.start(Value::Null).await;
    sleep(Duration::from_secs(1)).await;
    pipeline.start(json!({"rails": {"limit": 100}})).await;
    pipeline.stop().await;
    // As if check had not processed the ended run.
    let (text, number) = (|text: &str| AttributeValue::S(text.to_owned()), AttributeValue::N("2000000000".to_owned()));
    let expiring = [("pk", text("EXPIRY")), ("sk", text(&ended)), ("run", text(&ended)), ("after", text(" "))];
    let expiring = expiring.into_iter().chain([("expires_s", number)]).map(|(name, value)| (name.to_owned(), value));
    pipeline.put(expiring.collect()).await;
    pipeline
}

/// Items of a newer version stay for minutes. No invocation fails because of them, none goes to the
/// dead-letter queue, and none is changed. After the newer version takes over (here: the same code
/// with the format changed), all runs end.
#[tokio::test(start_paused = true)]
async fn items_of_a_newer_format_are_not_changed() {
    let mut kinds = BTreeSet::new();
    for left in LEFT {
        let pipeline = in_the_midst().await;
        let items = pipeline.items().await;
        kinds.extend(items.iter().map(kind));
        let before: Vec<Item> = items.into_iter().filter(|item| kind(item) == left).collect();
        for item in &before {
            pipeline.put(newer(item)).await;
        }
        let failures = || pipeline.engine.done.failures.load(Ordering::Relaxed);
        let failed_before = failures();
        pipeline.work();
        sleep(Duration::from_mins(3)).await;
        pipeline.stop().await;
        assert_eq!(failures(), failed_before, "{left}: invocations failed");
        let dead = ["pages", "patches"].map(|queue| pipeline.sqs.bodies(&format!("{queue}-dead-letters"))).concat();
        assert_eq!(dead, Vec::<String>::new(), "{left}");
        let now = pipeline.items().await;
        // Only their expiry may be set, after the run's end.
        let now: Vec<Item> = now.into_iter().map(lasting).collect();
        for item in before {
            let there = now.contains(&lasting(newer(&item)));
            assert!(there, "{left}: an item of a newer format was changed: {item:#?}");
            pipeline.put(item).await;
        }
        pipeline.work();
        for run in pipeline.engine.clients.ledger.runs(10).await.unwrap() {
            let report = pipeline.until_ended(&run).await;
            assert!(report.run.state.ended(), "{left}: {} {}", report.state(), report.reason());
        }
        let last = pipeline.engine.clients.ledger.runs(1).await.unwrap().remove(0);
        Report::of(&pipeline, &last).await.assert_intercom_respected();
    }
    let unknown: Vec<&&str> = LEFT.iter().filter(|left| !kinds.contains(**left)).collect();
    assert!(unknown.is_empty(), "never in the ledger: {unknown:?} of {kinds:?}");
}

/// Turns, starts and parts of a newer format, in today's form and in another one.
#[tokio::test(start_paused = true)]
async fn messages_of_a_newer_format_wait() {
    let v = FORMAT + 1;
    let pages = [
        json!({"v": v, "run": "has-avatar.20161101T110033Z", "turn": 1}),
        json!({"v": v, "run": "has-avatar.20161101T110033Z", "step": {"number": 1}}),
        json!({"v": v, "plan": "has-avatar", "contacts": "leads"}),
    ];
    let origin = json!({"page": {"page": 1, "part": 0}});
    let patches = [
        json!({"v": v, "run": "has-avatar.20161101T110033Z", "generation": 1, "origin": origin, "patches": []}),
        json!({"v": v, "run": "has-avatar.20161101T110033Z", "part": "0001"}),
    ];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 300, ..users(900) }).await;
    let run = pipeline.start(Value::Null).await;
    for (queue, bodies) in [("pages", &pages[..]), ("patches", &patches[..])] {
        for body in bodies {
            pipeline.send(queue, &body.to_string()).await;
        }
    }
    while !pipeline.state(&run).await.is_some_and(intercom_bulk::domain::run::State::ended) {
        sleep(Duration::from_secs(5)).await;
    }
    // In an hour each is delivered several times.
    pipeline.rest(Duration::from_mins(30)).await;
    sleep(Duration::from_mins(30)).await;
    let report = Report::of(&pipeline, &run).await;
    report.assert_complete();
    for (queue, bodies) in [("pages", &pages[..]), ("patches", &patches[..])] {
        let waiting: BTreeSet<String> = pipeline.sqs.bodies(queue).into_iter().collect();
        assert_eq!(waiting, bodies.iter().map(ToString::to_string).collect(), "{queue}");
    }
    assert_eq!(pipeline.engine.done.failures.load(Ordering::Relaxed), 0, "the alarms of errors stay quiet");
    assert_eq!(pipeline.engine.clients.ledger.runs(10).await.unwrap(), [run]);
}

/// Creates a run that died during a page, after another page was lost: a lease and a gap.
pub(crate) async fn while_a_page_is_read() -> Pipeline {
    let faults = vec![Fault::LosePage(2)];
    let options = Options { faults, latency_ms: 700, rate_limit_per_10s: 300, ..users(500) };
    let mut pipeline = Pipeline::new(HAS_AVATAR, options).await;
    pipeline.start(Value::Null).await;
    pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count >= 4)).await;
    pipeline.crash().await;
    pipeline.stop().await;
    pipeline
}
