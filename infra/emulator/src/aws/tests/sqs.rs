//! Batches, visibility, dead letters, delays and sizes.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName, SendMessageBatchRequestEntry};
use tokio::time::timeout;

use crate::aws::{Account, Queue, create_queue};

/// The AWS limit of a message and of a batch.
const MIB: usize = 1 << 20;

fn sqs() -> Client {
    Account::open(None).unwrap().sqs
}

async fn receive(sqs: &Client, queue: &Queue, wait_s: i32) -> Vec<Message> {
    let request = sqs.receive_message().queue_url(&queue.url).max_number_of_messages(10);
    let request = request.message_system_attribute_names(MessageSystemAttributeName::All);
    let output = request.wait_time_seconds(wait_s).send().await.unwrap();
    output.messages.unwrap_or_default()
}

fn receives(message: &Message) -> &str {
    &message.attributes().unwrap()[&MessageSystemAttributeName::ApproximateReceiveCount]
}

async fn send(sqs: &Client, queue: &Queue, body: impl Into<String>) -> bool {
    let sent = sqs.send_message().queue_url(&queue.url).message_body(body).send().await;
    sent.is_ok()
}

async fn send_batch(sqs: &Client, queue: &Queue, bodies: Vec<String>) -> Result<(usize, usize), String> {
    let entries = bodies.into_iter().enumerate().map(|(id, body)| {
        let entry = SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(body);
        entry.build().unwrap()
    });
    let request = sqs.send_message_batch().queue_url(&queue.url).set_entries(Some(entries.collect()));
    let sent = request.send().await.map_err(|e| e.into_service_error().meta().code().unwrap().to_owned())?;
    Ok((sent.successful.len(), sent.failed.len()))
}

#[tokio::test]
async fn recreating_a_queue_requires_the_same_attributes() {
    let sqs = sqs();
    let first = create_queue(&sqs, "pages", 90, None, 5).await.unwrap();
    assert_eq!(first.arn, "arn:aws:sqs:us-east-1:000000000000:pages");
    assert_eq!(create_queue(&sqs, "pages", 90, None, 5).await.unwrap(), first);
    create_queue(&sqs, "pages", 91, None, 5).await.unwrap_err();
}

#[tokio::test]
async fn batch_is_limited_in_entries_and_bytes() {
    let sqs = sqs();
    let queue = create_queue(&sqs, "patches", 30, None, 5).await.unwrap();
    let ten = vec!["x".repeat(MIB / 10); 10];
    assert_eq!(send_batch(&sqs, &queue, ten).await, Ok((10, 0)));
    assert_eq!(receive(&sqs, &queue, 0).await.len(), 10);
    assert!(receive(&sqs, &queue, 0).await.is_empty(), "received messages are invisible");

    let code = send_batch(&sqs, &queue, vec!["x".into(); 11]).await.unwrap_err();
    assert_eq!(code, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest");
    let code = send_batch(&sqs, &queue, vec!["x".repeat(MIB / 2), "x".repeat(MIB / 2 + 1)]).await;
    assert_eq!(code.unwrap_err(), "AWS.SimpleQueueService.BatchRequestTooLong");
    assert_eq!(send_batch(&sqs, &queue, vec!["good".into(), "bad\u{1}".into()]).await, Ok((1, 1)));
}

#[tokio::test]
async fn one_mebibyte_is_the_largest_body() {
    let sqs = sqs();
    let queue = create_queue(&sqs, "patches", 30, None, 5).await.unwrap();
    assert!(!send(&sqs, &queue, "x".repeat(MIB + 1)).await);
    assert!(send(&sqs, &queue, "x".repeat(MIB)).await);
    assert_eq!(receive(&sqs, &queue, 0).await[0].body().unwrap().len(), MIB);
}

#[tokio::test]
async fn message_is_dead_lettered_after_its_last_receive() {
    let sqs = sqs();
    let dead = create_queue(&sqs, "dead", 30, None, 5).await.unwrap();
    let queue = create_queue(&sqs, "pages", 30, Some(&dead.arn), 3).await.unwrap();
    assert!(send(&sqs, &queue, "page").await);
    for count in ["1", "2", "3"] {
        let messages = receive(&sqs, &queue, 0).await;
        assert_eq!(receives(&messages[0]), count);
        let back = sqs.change_message_visibility().queue_url(&queue.url).visibility_timeout(0);
        back.receipt_handle(messages[0].receipt_handle().unwrap()).send().await.unwrap();
    }
    assert!(receive(&sqs, &queue, 0).await.is_empty());
    assert_eq!(receive(&sqs, &dead, 0).await[0].body(), Some("page"));
}

#[tokio::test]
async fn delay_and_visibility_end_wake_a_waiting_receive() {
    let sqs = sqs();
    let delayed = create_queue(&sqs, "delayed", 30, None, 5).await.unwrap();
    let visible = create_queue(&sqs, "visible", 1, None, 5).await.unwrap();
    let send_delayed = |delay_s| {
        let request = sqs.send_message().queue_url(&delayed.url).message_body("later");
        request.delay_seconds(delay_s).send()
    };
    send_delayed(901).await.unwrap_err();
    send_delayed(1).await.unwrap();
    assert!(send(&sqs, &visible, "again").await);
    assert_eq!(receive(&sqs, &visible, 0).await.len(), 1);
    assert!(receive(&sqs, &delayed, 0).await.is_empty());
    assert!(receive(&sqs, &visible, 0).await.is_empty());

    let both = async { tokio::join!(receive(&sqs, &delayed, 20), receive(&sqs, &visible, 20)) };
    let (later, again) = timeout(Duration::from_secs(10), both).await.unwrap();
    assert_eq!(later[0].body(), Some("later"));
    assert_eq!(receives(&again[0]), "2", "the end of a visibility time-out is no receive");
}

#[tokio::test]
async fn new_message_wakes_a_waiting_receive() {
    let sqs = sqs();
    let queue = create_queue(&sqs, "pages", 30, None, 5).await.unwrap();
    let waiting = receive(&sqs, &queue, 20);
    let both = async { tokio::join!(biased; waiting, send(&sqs, &queue, "page")) };
    let (messages, _) = timeout(Duration::from_secs(10), both).await.unwrap();
    assert_eq!(messages[0].body(), Some("page"));
    let depth = sqs.get_queue_attributes().queue_url(&queue.url);
    let depth = depth.attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible);
    let depth = depth.send().await.unwrap().attributes.unwrap();
    assert_eq!(depth[&QueueAttributeName::ApproximateNumberOfMessagesNotVisible], "1");
}

/// While submissions wait for the rate limit, most patches are in the queue, so bodies are in
/// files.
#[tokio::test]
async fn body_files_are_deleted_with_their_messages() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("queued")).unwrap();
    std::fs::write(dir.path().join("queued/stale"), "of a process that was killed").unwrap();
    let account = Account::open_alone(dir.path()).unwrap();
    let queue = crate::aws::create_queue(&account.sqs, "q", 30, None, 0).await.unwrap();
    let files = || -> Vec<std::path::PathBuf> {
        let folder = std::fs::read_dir(dir.path().join("queued/sqs/q"));
        folder.map(|found| found.map(|file| file.unwrap().path()).collect()).unwrap_or_default()
    };
    let body = "zwölf €".repeat(1_000);
    account.sqs.send_message().queue_url(&queue.url).message_body(&body).send().await.unwrap();
    assert_eq!(files().len(), 1);
    assert_eq!(std::fs::read_to_string(&files()[0]).unwrap(), body);
    assert!(!dir.path().join("queued/stale").exists());
    let received = account.sqs.receive_message().queue_url(&queue.url).send().await.unwrap();
    let message = &received.messages()[0];
    assert_eq!(message.body(), Some(body.as_str()));
    let handle = message.receipt_handle().unwrap();
    account.sqs.delete_message().queue_url(&queue.url).receipt_handle(handle).send().await.unwrap();
    assert!(files().is_empty());
}
