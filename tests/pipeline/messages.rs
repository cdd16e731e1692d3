//! What a standard queue may do to messages, and what others may put into one.

use intercom_bulk::run::State;
use intercom_simulator::{Fault, Options};
use serde_json::Value;

use crate::accident::Accident;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users};

#[tokio::test(start_paused = true)]
async fn messages_that_come_twice_change_nothing() {
    for accident in [Accident::SentTwice, Accident::DeliveredTwice] {
        for latency_ms in [0, 400] {
            let options = Options { latency_ms, ..users(900) };
            let pipeline = Pipeline::with(HAS_AVATAR, options, settings(), vec![accident]).await;
            let report = pipeline.run(Value::Null).await;
            report.assert_complete();
            assert_eq!(report.world.items, report.cursor.tally.patches, "{accident:?}: nobody was submitted twice");
            assert_eq!(report.world.requests["GET /users/scroll"], 10, "each page was asked for once");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_twice_change_nothing_when_things_go_wrong() {
    let faults = vec![Fault::LosePage(3), Fault::LimitBulk(2), Fault::ItemLimited(20.0)];
    for accident in [Accident::SentTwice, Accident::DeliveredTwice] {
        let options = Options { faults: faults.clone(), latency_ms: 300, ..users(900) };
        let report = Pipeline::with(HAS_AVATAR, options, settings(), vec![accident]).await.run(Value::Null).await;
        report.assert_complete();
    }
}

#[tokio::test(start_paused = true)]
async fn malformed_messages_end_as_dead_letters_and_harm_nothing() {
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

/// A message of a run that never was, or that is over, is dropped.
#[tokio::test(start_paused = true)]
async fn messages_of_other_runs_are_dropped() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    let first = pipeline.run(Value::Null).await;
    first.assert_complete();
    let part = r#"{"v":1,"run":"RUN","generation":1,"origin":{"page":{"page":1,"part":7}},"patches":[{"u":"5714dd359a3fd47136000001","c":[{"t":{"attribute":"has avatar"},"n":true}]}]}"#;
    for run in ["nobody.20161101T110033Z", first.run.run.as_str()] {
        pipeline.send("pages", &format!(r#"{{"v": 1, "run": "{run}", "turn": 3}}"#)).await;
        pipeline.send("patches", &part.replace("RUN", run)).await;
    }
    let second = pipeline.run(Value::Null).await;
    second.assert_complete();
    assert_eq!(second.world.items, first.world.items);
}
