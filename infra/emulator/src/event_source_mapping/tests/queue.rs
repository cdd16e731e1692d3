//! A mapping between an emulated queue and a closure as the function.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName::{
    ApproximateNumberOfMessages as Visible, ApproximateNumberOfMessagesNotVisible as Received,
};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::aws::{Account, create_queue};
use crate::event_source_mapping::Mapping;

/// A time limit far above a test's duration, so that a hang ends.
const HANG: Duration = Duration::from_secs(10);

/// A queue of messages "0", "1", … and a mapping with batches of up to ten.
async fn queue_of(messages: usize) -> (Client, Mapping) {
    let sqs = Account::open(None).unwrap().sqs;
    let queue = create_queue(&sqs, "patches", 300, None, 5).await.unwrap();
    for body in 0..messages {
        let send = sqs.send_message().queue_url(&queue.url).message_body(body.to_string());
        send.send().await.unwrap();
    }
    let mapping = Mapping {
        queue_url: queue.url,
        queue_arn: queue.arn,
        batch_size: 10,
        window: Duration::ZERO,
        concurrency: 2,
        function_timeout: Duration::from_secs(5),
        report_item_failures: true,
    };
    (sqs, mapping)
}

/// Returns the numbers of visible and of in-flight messages.
async fn depth(sqs: &Client, mapping: &Mapping) -> (String, String) {
    let request = sqs.get_queue_attributes().queue_url(&mapping.queue_url);
    let request = request.attribute_names(Visible).attribute_names(Received);
    let attributes = request.send().await.unwrap().attributes.unwrap();
    (attributes[&Visible].clone(), attributes[&Received].clone())
}

/// Runs the mapping until the first call of the handler, and returns that event.
async fn one_invocation<F: Future<Output = Result<Value, String>>>(
    sqs: &Client,
    mapping: &Mapping,
    handler: impl Fn(&Value) -> F,
) -> Value {
    let (stop, stopped) = watch::channel(false);
    let seen = RefCell::new(Value::Null);
    let once = |event: Value| {
        stop.send_replace(true);
        let outcome = handler(&event);
        seen.replace(event);
        outcome
    };
    timeout(HANG, mapping.run(sqs, once, stopped)).await.unwrap();
    seen.into_inner()
}

#[tokio::test]
async fn only_failed_messages_stay() {
    let (sqs, mapping) = queue_of(3).await;
    let event = one_invocation(&sqs, &mapping, |event| {
        let failed = event["Records"][1]["messageId"].clone();
        async move { Ok(json!({"batchItemFailures": [{"itemIdentifier": failed}]})) }
    })
    .await;
    assert_eq!(event["Records"].as_array().unwrap().len(), 3);
    assert_eq!(event["Records"][0]["body"], "0");
    assert_eq!(event["Records"][0]["attributes"]["ApproximateReceiveCount"], "1");
    assert_eq!(depth(&sqs, &mapping).await, ("0".into(), "1".into()));
}

#[tokio::test]
async fn answer_is_ignored_without_reporting() {
    let (sqs, mut mapping) = queue_of(1).await;
    mapping.report_item_failures = false;
    one_invocation(&sqs, &mapping, |_| async { Ok(json!("whatever")) }).await;
    assert_eq!(depth(&sqs, &mapping).await, ("0".into(), "0".into()));
}

#[tokio::test]
async fn error_or_time_out_keeps_the_batch() {
    let (sqs, mut mapping) = queue_of(2).await;
    one_invocation(&sqs, &mapping, |_| async { Err("broken".to_owned()) }).await;
    assert_eq!(depth(&sqs, &mapping).await, ("0".into(), "2".into()));

    let (sqs, _) = queue_of(2).await;
    mapping.function_timeout = Duration::from_millis(1);
    one_invocation(&sqs, &mapping, |_| pending()).await;
    assert_eq!(depth(&sqs, &mapping).await, ("0".into(), "2".into()));
}

#[tokio::test]
async fn window_collects_several_receives() {
    let (sqs, mut mapping) = queue_of(12).await;
    (mapping.batch_size, mapping.window) = (12, Duration::from_mins(5));
    let event = one_invocation(&sqs, &mapping, |_| async { Ok(Value::Null) }).await;
    assert_eq!(event["Records"].as_array().unwrap().len(), 12);
    assert_eq!(depth(&sqs, &mapping).await, ("0".into(), "0".into()));
}

#[tokio::test]
async fn stop_ends_a_wait_and_finishes_an_invocation() {
    let (sqs, mapping) = queue_of(1).await;
    let (stop, stopped) = watch::channel(false);
    let (finish, finished) = oneshot::channel::<()>();
    let finished = RefCell::new(Some(finished));
    let handler = |_| {
        stop.send_replace(true);
        let finished = finished.take();
        async move {
            finished.expect("one message, one invocation").await.unwrap();
            Ok(Value::Null)
        }
    };
    let running = mapping.run(&sqs, handler, stopped);
    let release = async {
        while !*stop.borrow() {
            tokio::task::yield_now().await;
        }
        assert_eq!(depth(&sqs, &mapping).await, ("0".into(), "1".into()));
        finish.send(()).unwrap();
    };
    timeout(HANG, async { tokio::join!(running, release) }).await.unwrap();
    assert_eq!(depth(&sqs, &mapping).await, ("0".into(), "0".into()));
}
