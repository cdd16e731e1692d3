//! A new version of the functions is deployed in the middle of a run, and this one is still at work: what the new one wrote
//! is left to it.

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

type Item = HashMap<String, AttributeValue>;

/// The kind of an item: the first word of its sort key, or of its partition where that is the same for all.
fn kind(item: &Item) -> String {
    let word = |name: &str| item[name].as_s().unwrap().split('#').next().unwrap().to_owned();
    let pk = word("pk");
    if pk == "RUN" || pk == "BUCKET" { word("sk") } else { pk }
}

/// Only what this version must read and may not change while it is newer: windows of the rate limit are counters that any
/// version adds to, and of `RUNS` the names alone are read.
const LEFT: [&str; 12] =
    ["ACTIVE", "RUN", "PLAN", "PLANS", "CURSOR", "PART", "CHANGES", "JOB", "ERROR", "EXPIRY", "STARTS", "USERS"];

fn newer(item: &Item) -> Item {
    let mut newer = item.clone();
    newer.insert("v".to_owned(), AttributeValue::N((FORMAT + 1).to_string()));
    newer
}

fn lasting(mut item: Item) -> Item {
    item.remove("expires_at");
    item
}

/// A run in its midst, behind one that ended and in front of one that waits.
async fn in_the_midst() -> Pipeline {
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
    // As if check had not come to the run that ended.
    let (text, number) = (|text: &str| AttributeValue::S(text.to_owned()), AttributeValue::N("2000000000".to_owned()));
    let expiring = [("pk", text("EXPIRY")), ("sk", text(&ended)), ("run", text(&ended)), ("after", text(" "))];
    let expiring = expiring.into_iter().chain([("expires_s", number)]).map(|(name, value)| (name.to_owned(), value));
    pipeline.put(expiring.collect()).await;
    pipeline
}

/// What a newer version wrote lies there for minutes: no invocation fails for it, none is sent to the dead-letter queue, nothing of it is changed;
/// and when the newer version has taken over, which this one plays with what is the same but for its format, all runs end.
#[tokio::test(start_paused = true)]
async fn each_kind_of_item_of_a_newer_format_is_left_alone() {
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
        // All that may be set on it is when it goes, once its run has ended.
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

/// Turns, starts and parts of a newer format, of the shapes of today and of another.
#[tokio::test(start_paused = true)]
async fn messages_of_a_newer_format_wait_and_harm_nothing() {
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
    // In an hour each comes up again and again.
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

/// The ledgers and queues of [`in_the_midst`] and of [`while_a_page_is_read`], as the version before the layers wrote them.
const FORMAT_1: &str = include_str!("../samples/format-1.json");

/// A run that died while it read a page, after another page was lost: its cursor has a lease and a gap.
async fn while_a_page_is_read() -> Pipeline {
    let faults = vec![Fault::LosePage(2)];
    let options = Options { faults, latency_ms: 700, rate_limit_per_10s: 300, ..users(500) };
    let mut pipeline = Pipeline::new(HAS_AVATAR, options).await;
    pipeline.start(Value::Null).await;
    pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count >= 4)).await;
    pipeline.crash().await;
    pipeline.stop().await;
    pipeline
}

/// A value of `DynamoDB`'s own JSON. Bytes are numbers in a list.
fn from_json(value: &Value) -> AttributeValue {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "BOOL" => AttributeValue::Bool(value.as_bool().unwrap()),
        "NULL" => AttributeValue::Null(true),
        "B" => AttributeValue::B(serde_json::from_value::<Vec<u8>>(value.clone()).unwrap().into()),
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(from_json).collect()),
        "M" => AttributeValue::M(item_from_json(value)),
        other => panic!("no kind of value: {other}"),
    }
}

fn item_from_json(item: &Value) -> Item {
    item.as_object().unwrap().iter().map(|(name, value)| (name.clone(), from_json(value))).collect()
}

/// The names of an item's attributes, and of the fields within them, behind its kind.
fn names(item: &Item) -> BTreeSet<String> {
    fn collect(prefix: &str, fields: &Item, into: &mut BTreeSet<String>) {
        for (name, value) in fields {
            let path = format!("{prefix} {name}");
            if let AttributeValue::M(inner) = value {
                collect(&path, inner, into);
            }
            into.insert(path);
        }
    }
    let mut found = BTreeSet::new();
    collect(&kind(item), item, &mut found);
    found
}

/// A deploy in the middle of a run: this version reads what the version before stored, and the runs end.
#[tokio::test(start_paused = true)]
async fn runs_of_the_version_before_go_on_to_their_end() {
    let kept: Value = serde_json::from_str(FORMAT_1).unwrap();
    for (moment, runs_there) in [("in_the_midst", 2), ("while_a_page_is_read", 1)] {
        let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 200, ..users(500) }).await;
        pipeline.stop().await;
        for item in kept[moment]["items"].as_array().unwrap() {
            pipeline.put(item_from_json(item)).await;
        }
        for queue in ["pages", "patches"] {
            for body in kept[moment][queue].as_array().unwrap() {
                pipeline.send(queue, body.as_str().unwrap()).await;
            }
        }
        pipeline.work();
        let runs = pipeline.engine.clients.ledger.runs(10).await.unwrap();
        assert_eq!(runs.len(), runs_there, "{runs:?}");
        for run in &runs {
            let report = pipeline.until_ended(run).await;
            assert!(report.run.state.ended(), "{moment}: {} {}", report.state(), report.reason());
        }
        assert_eq!(pipeline.engine.done.failures.load(Ordering::Relaxed), 0, "{moment}");
    }
}

/// The version before reads what this one stores: no attribute has another name.
#[tokio::test(start_paused = true)]
async fn stored_names_are_those_of_the_version_before() {
    let kept: Value = serde_json::from_str(FORMAT_1).unwrap();
    for (moment, pipeline) in
        [("in_the_midst", in_the_midst().await), ("while_a_page_is_read", while_a_page_is_read().await)]
    {
        let items = kept[moment]["items"].as_array().unwrap();
        let before: BTreeSet<String> = items.iter().flat_map(|item| names(&item_from_json(item))).collect();
        let now: BTreeSet<String> = pipeline.items().await.iter().flat_map(names).collect();
        let missing: Vec<&String> = before.difference(&now).collect();
        assert!(missing.is_empty(), "{moment}: {missing:?}");
    }
}
