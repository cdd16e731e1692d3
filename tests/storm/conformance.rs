//! Compares the model of SQS with awsim: one script through the real SDK gives equal results on
//! both.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{
    DeleteMessageBatchRequestEntry, Message, MessageAttributeValue, MessageSystemAttributeName,
    SendMessageBatchRequestEntry,
};
use intercom_bulk_emulator::aws::{Account, create_queue};

use crate::sqs::{Accidents, Sqs};

/// No accidents.
#[derive(Debug)]
struct Calm;

impl Accidents for Calm {}

/// A client's view of SQS.
struct Seen<'a> {
    sqs: &'a Client,
    lines: Vec<String>,
}

impl Seen<'_> {
    async fn send(&mut self, queue: &str, body: &str, delay_s: i32) {
        let value =
            MessageAttributeValue::builder().data_type("String").string_value("why").build().expect("all is set");
        let request = self.sqs.send_message().queue_url(queue).message_body(body).delay_seconds(delay_s);
        let sent = request.message_attributes("reason", value).send().await;
        let line = sent.map_or_else(|error| code(&error), |_| "taken".to_owned());
        self.lines.push(format!("send {body:?} after {delay_s} s: {line}"));
    }

    async fn send_batch(&mut self, queue: &str, bodies: &[&str]) {
        let entry = |(id, body): (usize, &&str)| {
            SendMessageBatchRequestEntry::builder().id(id.to_string()).message_body(*body).build().expect("all is set")
        };
        let entries = bodies.iter().enumerate().map(entry).collect();
        let sent = self.sqs.send_message_batch().queue_url(queue).set_entries(Some(entries)).send().await;
        let line = match sent {
            Ok(sent) => format!("{} taken, {} not", sent.successful.len(), sent.failed.len()),
            Err(error) => code(&error),
        };
        self.lines.push(format!("batch of {}: {line}", bodies.len()));
    }

    async fn receive(&mut self, queue: &str, most: i32) -> Vec<Message> {
        let request =
            self.sqs.receive_message().queue_url(queue).max_number_of_messages(most).message_attribute_names("All");
        let received = request.message_system_attribute_names(MessageSystemAttributeName::All).send().await;
        let messages = received.map(|received| received.messages.unwrap_or_default()).unwrap_or_default();
        let count = MessageSystemAttributeName::ApproximateReceiveCount;
        let one = |message: &Message| {
            let attributes = message.attributes().and_then(|all| all.get(&count)).cloned().unwrap_or_default();
            let reason = message.message_attributes().and_then(|all| all.get("reason")?.string_value());
            format!("{} ({attributes}) {reason:?}", message.body().unwrap_or_default())
        };
        let mut seen: Vec<String> = messages.iter().map(one).collect();
        // A standard queue guarantees no order.
        seen.sort();
        self.lines.push(format!("receive {most}: {}", seen.join(", ")));
        messages
    }

    async fn hide(&mut self, queue: &str, message: &Message, seconds: i32) {
        let request = self.sqs.change_message_visibility().queue_url(queue).visibility_timeout(seconds);
        let done = request.receipt_handle(message.receipt_handle().unwrap_or_default()).send().await;
        let line = done.map_or_else(|error| code(&error), |_| "done".to_owned());
        self.lines.push(format!("hide for {seconds} s: {line}"));
    }

    async fn delete(&mut self, queue: &str, messages: &[Message]) {
        let entry = |(id, message): (usize, &Message)| {
            let receipt = message.receipt_handle().unwrap_or_default();
            DeleteMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .receipt_handle(receipt)
                .build()
                .expect("all is set")
        };
        let entries = messages.iter().enumerate().map(entry).collect();
        let done = self.sqs.delete_message_batch().queue_url(queue).set_entries(Some(entries)).send().await;
        let line = done.map_or_else(|error| code(&error), |done| format!("{} gone", done.successful.len()));
        self.lines.push(format!("delete: {line}"));
    }
}

fn code<E: ProvideErrorMetadata, R>(error: &aws_sdk_sqs::error::SdkError<E, R>) -> String {
    // Codes of the query protocol have this prefix, those of the JSON protocol do not.
    error.code().unwrap_or("no code").trim_start_matches("AWS.SimpleQueueService.").to_owned()
}

/// Runs the queue calls of the steps and the mapping, without advancing time.
async fn script(sqs: &Client) -> Vec<String> {
    let dead = create_queue(sqs, "dead", 30, None, 0).await.expect("a new queue");
    let queue = create_queue(sqs, "queue", 30, Some(&dead.arn), 3).await.expect("a new queue");
    let mut seen = Seen { sqs, lines: vec![format!("{} {}", queue.arn, dead.arn)] };
    let url = queue.url.as_str();
    seen.receive(url, 10).await;
    seen.send(url, "first", 0).await;
    for _ in 0..3 {
        let messages = seen.receive(url, 10).await;
        seen.receive(url, 10).await;
        seen.hide(url, &messages[0], 0).await;
    }
    seen.receive(url, 10).await;
    let dead_letters = seen.receive(&dead.url, 10).await;
    seen.delete(&dead.url, &dead_letters).await;
    seen.receive(&dead.url, 10).await;
    seen.send(url, "later", 900).await;
    seen.receive(url, 10).await;
    seen.send(url, "too late", 901).await;
    seen.send("http://nowhere/000000000000/nowhere", "lost", 0).await;
    seen.send_batch(url, &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"]).await;
    seen.send_batch(url, &["x"; 11]).await;
    let some = seen.receive(url, 4).await;
    let more = seen.receive(url, 10).await;
    seen.delete(url, &some).await;
    for message in &more {
        seen.hide(url, message, 0).await;
    }
    let again = seen.receive(url, 10).await;
    seen.delete(url, &again).await;
    seen.receive(url, 10).await;
    seen.lines
}

#[tokio::test]
async fn model_behaves_like_awsim() {
    let awsim = Account::open(None).expect("an account in memory");
    let model = Sqs::with(Calm);
    let (theirs, ours) = (script(&awsim.sqs).await, script(&model.client()).await);
    assert!(theirs.len() > 30, "{theirs:#?}");
    for (line, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        assert_eq!(ours, theirs, "line {line}");
    }
    assert_eq!(ours.len(), theirs.len());
    assert!(model.ever_sent().iter().any(|body| body == "later"), "the model keeps what was sent");
}
