//! Starts that wait although no run is active. An alarm counts such waits of more than an hour.

use std::time::Duration;

use intercom_bulk::domain::run::{RunId, State, UNSETTLED_MAX};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::intercom::Closed;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::unsettled::{item, number, text};

/// Records ten ended runs that are not settled. The first look at one of them is due after
/// `first_ms`, and at each other a minute later.
async fn ten_unsettled(pipeline: &Pipeline, first_ms: i64) {
    let now_ms = pipeline.engine.now_ms();
    for index in 0..UNSETTLED_MAX as i64 {
        let run = RunId::of("earlier", index);
        pipeline
            .put(item([
                ("pk", text("ACTIVE")),
                ("sk", text(format!("UNSETTLED#{run}"))),
                ("run", text(run.as_str())),
                ("ended_ms", number(now_ms)),
                ("writes_until_ms", number(now_ms + first_ms)),
                ("looks", number(0)),
                ("due_ms", number(now_ms + first_ms + 60_000 * index)),
            ]))
            .await;
    }
}

#[tokio::test(start_paused = true)]
async fn start_waits_while_ten_runs_are_not_settled() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    ten_unsettled(&pipeline, 600_000).await;
    let full = pipeline.ledger().active().await.unwrap().is_full().unwrap();
    let expected = "10 ended runs may still change values: requests of earlier.";
    assert!(full.starts_with(expected) && full.contains("; so may 9 more runs, "), "{full}");
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_mins(9)).await;
    assert_eq!(pipeline.state(&run).await, None, "it waits");
    sleep(Duration::from_mins(3)).await;
    assert_eq!(pipeline.state(&run).await, Some(State::Running), "nine are left");
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert!(report.seconds > 400, "it began and waited for the others: {}", report.seconds);
}

/// Returns the number of long waits that a tick counts.
async fn long_waits(pipeline: &Pipeline) -> Value {
    pipeline.engine.scroll(json!({"tick": {}})).await.unwrap()["long_waits"].clone()
}

#[tokio::test(start_paused = true)]
async fn each_wait_of_a_start_raises_an_alarm_after_an_hour() {
    for (name, why) in [
        ("unsettled", "10 ended runs may still change values"),
        ("workspace", "Intercom did not return the access token's workspace"),
    ] {
        let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await.ticking(Duration::from_mins(1)).await;
        match name {
            "unsettled" => ten_unsettled(&pipeline, 3 * 3_600_000).await,
            _ => pipeline.way.disturb("GET /me", Closed::Answers(503)),
        }
        let run = pipeline.start(Value::Null).await;
        sleep(Duration::from_mins(55)).await;
        let waiting = pipeline.ledger().waiting().await.unwrap().remove(0);
        assert!(waiting.waits.as_ref().is_some_and(|waits| waits.starts_with(why)), "{name}: {:?}", waiting.waits);
        assert_eq!(long_waits(&pipeline).await, 0, "{name}");
        sleep(Duration::from_mins(10)).await;
        assert_eq!(long_waits(&pipeline).await, 1, "{name}");
        assert_eq!(pipeline.state(&run).await, None, "{name}");
        pipeline.way.close(None);
        sleep(Duration::from_hours(3)).await;
        assert!(pipeline.state(&run).await.is_some_and(State::ended), "{name}");
        assert_eq!(pipeline.ledger().waiting().await.unwrap(), [], "{name}");
    }
}
