//! Formats of runs, and the reports of the functions that read them. No run begins in a format that a
//! function cannot read.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use intercom_bulk::domain::run::{FORMAT, FORMAT_2, State};
use serde_json::Value;
use tokio::time::sleep;

use crate::contacts::workspace;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::unsettled::{item, number, text};

/// A function of an older version does not know the name of an API that was added. It leaves items of
/// a newer format.
#[tokio::test(start_paused = true)]
async fn items_of_a_run_are_of_the_format_of_its_api() {
    for (version, format) in [("1.4", FORMAT_2), ("2.17", FORMAT)] {
        let pipeline = Pipeline::of_version(version, HAS_AVATAR, workspace(300)).await;
        let run = pipeline.start(Value::Null).await;
        // On API 2.x no user is read back.
        while !pipeline.state(&run).await.is_some_and(|state| state == State::Verifying || state.ended()) {
            sleep(Duration::from_millis(100)).await;
        }
        let mut formats = 0;
        for item in pipeline.items().await {
            let partition = item["pk"].as_s().unwrap();
            if !partition.starts_with("RUN#") && !partition.starts_with("BUCKET#") {
                continue;
            }
            let Some(v) = item.get("v") else { continue };
            assert_eq!(*v, AttributeValue::N(format.to_string()), "{version}: {:?} {:?}", item["pk"], item["sk"]);
            formats += 1;
        }
        assert!(formats > 5, "{version}: {formats}");
        pipeline.until_ended(&run).await;
    }
}

/// After a rollback, the older function reports nothing, so the last report gets old.
#[tokio::test(start_paused = true)]
async fn start_waits_for_a_report_of_two_hours_ago() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await;
    pipeline.stop().await;
    let at_ms = number(pipeline.engine.now_ms() - 2 * 3_600_000);
    let report =
        item([("pk", text("FORMATS")), ("sk", text("submit")), ("format", number(FORMAT.into())), ("at_ms", at_ms)]);
    pipeline.put(report).await;
    let run = pipeline.start(Value::Null).await;
    assert_eq!(pipeline.state(&run).await, None);
    let waiting = pipeline.ledger().waiting().await.unwrap().remove(0);
    assert!(waiting.waits.is_some_and(|waits| waits.contains("deploy all functions")));
    // Submit is of this version, and the message without a part makes it report.
    pipeline.work();
    pipeline.until_ended(&run).await.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn submit_of_an_idle_stack_reports_its_format() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(300)).await.ticking(Duration::from_mins(1)).await;
    sleep(Duration::from_hours(5)).await;
    for step in ["submit", "check"] {
        let report = pipeline.ledger().format_of(step).await.unwrap();
        assert_eq!(report.reads(pipeline.engine.now_ms()), FORMAT, "{step}");
    }
    let run = pipeline.start(Value::Null).await;
    assert!(pipeline.state(&run).await.is_some(), "it begins at once");
}
