//! Effects of a standard queue on messages, and messages from other programs.

use std::time::Duration;

use intercom_bulk::domain::clock::Clock;
use intercom_bulk::domain::run::State;
use intercom_bulk::runtime::invocation::Invocation;
use intercom_bulk::{steps::check, steps::submit};
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::accident::Accident;
use crate::intercom::Closed;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users, with_attributes};

#[tokio::test(start_paused = true)]
async fn duplicate_messages_with_faults_change_nothing() {
    let faults = vec![Fault::LosePage(3), Fault::LimitBulk(2), Fault::ItemLimited(20.0)];
    for accident in [Accident::SentTwice, Accident::DeliveredTwice] {
        let options = Options { faults: faults.clone(), latency_ms: 300, ..users(900) };
        let report = Pipeline::with(HAS_AVATAR, options, settings(), vec![accident]).await.run(Value::Null).await;
        report.assert_complete();
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_messages_become_dead_letters() {
    const BAD: [&str; 8] = [
        "not json",
        "[]",
        "{}",
        r#"{"v": 1, "run": "../x", "turn": -1}"#,
        r#"{"v": "2", "run": "has-avatar.20161101T110033Z", "turn": 1}"#,
        r#"{"v": 1, "run": "has-avatar.20161101T110033Z", "generation": 1, "origin": {"page": {"page": 1, "part": 0}}, "patches": []}"#,
        r#"{"plan": {"name": "bad"}}"#,
        r#"{"plan": "nowhere"}"#,
    ];
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 300, ..users(900) }).await;
    let run = pipeline.start(Value::Null).await;
    for body in BAD {
        for queue in ["pages", "patches"] {
            pipeline.send(queue, body).await;
        }
    }
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.dead.len(), 2 * BAD.len(), "{:#?}", report.dead);
    assert_eq!(pipeline.engine.clients.ledger.runs(10).await.unwrap().len(), 1);
}

/// A message of an unknown or ended run is dropped.
#[tokio::test(start_paused = true)]
async fn messages_of_other_runs_are_dropped() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    let first = pipeline.run(Value::Null).await;
    first.assert_complete();
    let part = r#"{"v":1,"run":"RUN","generation":1,"origin":{"page":{"page":1,"part":7}},"patches":[{"u":"5714dd359a3fd47136000001","c":[{"t":{"attribute":"has avatar"},"n":true}]}]}"#;
    for run in ["unknown.20161101T110033Z", first.run.id.as_str()] {
        pipeline.send("pages", &format!(r#"{{"v": 1, "run": "{run}", "turn": 3}}"#)).await;
        pipeline.send("patches", &part.replace("RUN", run)).await;
    }
    let second = pipeline.run(Value::Null).await;
    second.assert_complete();
    assert_eq!(second.world.items, first.world.items);
    // An unknown run has no row, and each row of an ended run expires.
    let items = pipeline.items().await;
    let of =
        |run: &str| items.iter().filter(|item| item["pk"].as_s().unwrap() == &format!("RUN#{run}")).collect::<Vec<_>>();
    assert_eq!(of("unknown.20161101T110033Z").len(), 0);
    let late = of(first.run.id.as_str()).into_iter().find(|item| item["sk"].as_s().unwrap().ends_with("#07"));
    assert!(late.unwrap().contains_key("expires_at"), "{late:#?}");
}

fn batch(bodies: &[&str]) -> Value {
    let record = |(index, body): (usize, &&str)| {
        let id = format!("m{index}");
        json!({"messageId": id, "receiptHandle": id, "body": body, "attributes": {}})
    };
    json!({"Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>()})
}

/// An error would return both messages, and create a second dead letter of the first.
#[tokio::test(start_paused = true)]
async fn unreadable_message_is_dead_lettered_once() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(100)).await;
    let run = pipeline.run(Value::Null).await.run.id;
    let items = pipeline.items().await;
    let row = items.into_iter().find(|item| item["sk"].as_s().unwrap() == "RUN").unwrap();
    let broken = row.into_iter().filter(|(name, _)| name != "state").collect();
    pipeline.put(broken).await;
    let part = r#"{"v":1,"run":"RUN","generation":1,"origin":{"page":{"page":1,"part":7}},"patches":[{"u":"5714dd359a3fd47136000001","c":[{"t":{"attribute":"has avatar"},"n":true}]}]}"#;
    let part = part.replace("RUN", run.as_str());
    let answer = pipeline.engine.submit(batch(&["not json", &part])).await.unwrap();
    assert_eq!(answer, json!({"batchItemFailures": [{"itemIdentifier": "m1"}]}));
    assert_eq!(pipeline.sqs.bodies("patches-dead-letters"), ["not json"]);
    // Alone it is an error, so that the function's alarm sees it.
    assert!(pipeline.engine.submit(batch(&[&part])).await.is_err());
    assert!(pipeline.engine.submit(batch(&[&part, &part])).await.is_err(), "two copies of one part");
}

#[tokio::test(start_paused = true)]
async fn rule_without_an_input_gets_a_start_example() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(100)).await;
    let rule = json!({"version": "0", "detail-type": "Scheduled Event", "detail": {}});
    let did = pipeline.engine.scroll(rule).await.unwrap();
    assert!(did["hint"].as_str().unwrap().contains(r#"{"plan": NAME}"#), "{did}");
    let did = pipeline.engine.scroll(json!({"tick": {}})).await.unwrap();
    assert_eq!(did.get("hint"), None, "a tick needs no hint");
}

#[tokio::test(start_paused = true)]
async fn time_out_without_time_for_work_is_an_error() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(100)).await;
    let at = |left_ms: i64| {
        let now_ms = pipeline.engine.now_ms();
        Invocation {
            clock: Clock::starting_at(now_ms),
            request_id: "r".to_owned(),
            deadline_ms: now_ms + left_ms,
            stop: None,
        }
    };
    let clients = &pipeline.engine.clients;
    let submitted = submit::handle(clients, &batch(&["not json"]), &at(25_000)).await.unwrap_err();
    let checked = check::handle(clients, &json!({"tick": {}}), &at(25_000)).await.unwrap_err();
    for error in [submitted, checked] {
        assert_eq!(error.error_type(), "TimeOut");
        assert!(error.to_string().contains("raise the function's time-out"), "{error}");
    }
    assert!(submit::handle(clients, &batch(&["not json"]), &at(300_000)).await.is_ok());
    assert!(check::handle(clients, &json!({"tick": {}}), &at(120_000)).await.is_ok());
}

/// The queue delivers a message 1,000 times. If a part waited for each rate window alone, hours of 429s would
/// make it a dead letter.
#[tokio::test(start_paused = true)]
async fn part_that_was_received_often_waits_for_minutes() {
    let options = with_attributes(&["has avatar:boolean"], users(10));
    let pipeline = Pipeline::of_version("2.17", HAS_AVATAR, options).await;
    pipeline.way.disturb("PUT /contacts", Closed::Answers(429));
    pipeline.start(Value::Null).await;
    pipeline.until(|state| state.requests.get("GET /contacts").is_some_and(|count| *count >= 1)).await;
    sleep(Duration::from_secs(30)).await;
    pipeline.stop().await;
    sleep(Duration::from_mins(20)).await;
    let sqs = pipeline.sqs.client();
    let receive = async || {
        let url = sqs.get_queue_url().queue_name("patches").send().await.unwrap().queue_url.unwrap();
        sqs.receive_message().queue_url(url).visibility_timeout(900).send().await.unwrap().messages.unwrap_or_default()
    };
    let part = receive().await.remove(0);
    let event = json!({"Records": [{
        "messageId": part.message_id.unwrap(), "receiptHandle": part.receipt_handle.unwrap(), "body": part.body.unwrap(),
        "attributes": {"ApproximateReceiveCount": "300"},
    }]});
    let now_ms = pipeline.engine.now_ms();
    let request_id = "often".to_owned();
    let at = Invocation { clock: Clock::starting_at(now_ms), request_id, deadline_ms: now_ms + 60_000, stop: None };
    submit::handle(&pipeline.engine.clients, &event, &at).await.unwrap();
    sleep(Duration::from_mins(5)).await;
    assert!(receive().await.is_empty(), "300 receives: 6 minutes");
    sleep(Duration::from_mins(2)).await;
    assert_eq!(receive().await.len(), 1);
}
