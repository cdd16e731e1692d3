//! The two SQS queues in domain types: turns and starts on the pages queue, parts on the patches
//! queue.

mod message;

use std::collections::VecDeque;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{MessageAttributeValue, QueueAttributeName, SendMessageBatchRequestEntry};
use serde::Serialize;

pub use self::message::{Message, PagesMessage, UnreadableMessage};
use crate::domain::part::Part;
use crate::domain::redact::unread;
use crate::domain::run::Turn;

/// The longest delay of a message, in seconds (SQS).
pub const DELAY_MAX_S: i64 = 900;
/// The longest visibility time-out, in seconds: 12 hours (SQS).
const HIDDEN_MAX_S: i64 = 43_200;
/// The most entries of one `SendMessageBatch` (SQS).
const BATCH_MAX: usize = 10;
/// The most bytes of a batch. SQS allows 1 MiB; half of it leaves room for the envelope.
const BATCH_BYTES_MAX: usize = 512 * 1024;
/// Tries at the entries that SQS did not accept.
const TRIES: u32 = 3;

/// A failed call to SQS, after the SDK's own retries. It contains no message body.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum QueueError {
    #[error("SQS {operation} failed ({code}): {detail}")]
    Call { operation: &'static str, code: String, detail: String },
    #[error("cannot serialize a message: {0}")]
    Unwritable(String),
    /// SQS rejected some entries of a batch in each of `TRIES` tries.
    #[error("SQS rejected {entries} parts in each of {TRIES} tries ({code})")]
    NotTaken { entries: usize, code: String },
}

/// The URLs of a queue and of its dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueUrls {
    /// The queue.
    pub url: String,
    /// Its dead-letter queue.
    pub dead_letters: String,
}

/// A client of both queues.
#[derive(Clone, Debug)]
pub struct Queues {
    client: Client,
    pages: QueueUrls,
    patches: QueueUrls,
}

/// One of the two queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueName {
    /// Turns and starts.
    Pages,
    /// Parts.
    Patches,
}

impl Queues {
    /// Creates a client of the queues at these URLs.
    pub fn new(client: Client, pages: QueueUrls, patches: QueueUrls) -> Self {
        Self { client, pages, patches }
    }

    fn urls(&self, which: QueueName) -> &QueueUrls {
        match which {
            QueueName::Pages => &self.pages,
            QueueName::Patches => &self.patches,
        }
    }

    /// Sends a turn with a delay in milliseconds (rounded up to seconds, at most 15 minutes).
    pub async fn send_turn(&self, turn: &Turn, delay_ms: i64) -> Result<(), QueueError> {
        self.send(&self.pages.url, json(turn)?, delay_ms).await
    }

    /// Sends a start event.
    pub async fn send_start(&self, event: &serde_json::Value) -> Result<(), QueueError> {
        self.send(&self.pages.url, event.to_string(), 0).await
    }

    /// Sends a message that makes submit report its format.
    pub async fn send_hello(&self) -> Result<(), QueueError> {
        self.send(&self.patches.url, json(&message::Hello::new())?, 0).await
    }

    /// Sends one part with a delay in milliseconds.
    pub async fn send_part(&self, part: &Part, delay_ms: i64) -> Result<(), QueueError> {
        self.send(&self.patches.url, json(part)?, delay_ms).await
    }

    async fn send(&self, url: &str, body: String, delay_ms: i64) -> Result<(), QueueError> {
        let delay = seconds(delay_ms).min(DELAY_MAX_S) as i32;
        let request = self.client.send_message().queue_url(url).message_body(body).delay_seconds(delay);
        request.send().await.map(|_| ()).map_err(|e| failed("SendMessage", e))
    }

    /// Sends all the parts of a page, and retries the entries that SQS rejects.
    pub async fn send_parts(&self, parts: &[Part]) -> Result<(), QueueError> {
        let mut left = parts.iter().map(json).collect::<Result<VecDeque<String>, QueueError>>()?;
        let mut tries = 0;
        while !left.is_empty() {
            let mut batch: Vec<String> = left.drain(..batch_len(&left)).collect();
            let refused = self.send_batch(&batch).await?;
            if let Some((_, code)) = refused.first() {
                tries += 1;
                if tries >= TRIES {
                    return Err(QueueError::NotTaken { entries: refused.len(), code: code.clone() });
                }
            }
            for (index, _) in refused.into_iter().rev() {
                left.push_front(std::mem::take(&mut batch[index]));
            }
        }
        Ok(())
    }

    /// Sends a batch; returns the rejected entries with their codes.
    async fn send_batch(&self, bodies: &[String]) -> Result<Vec<(usize, String)>, QueueError> {
        let entry = |(index, body): (usize, &String)| {
            SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body).build().ok()
        };
        let entries = bodies.iter().enumerate().filter_map(entry).collect();
        let request = self.client.send_message_batch().queue_url(&self.patches.url).set_entries(Some(entries));
        let answer = request.send().await.map_err(|e| failed("SendMessageBatch", e))?;
        // An entry counts as accepted only if SQS lists it as successful.
        let taken: Vec<&str> =
            answer.successful().iter().map(aws_sdk_sqs::types::SendMessageBatchResultEntry::id).collect();
        let code = |index: usize| {
            let found = answer.failed().iter().find(|entry| entry.id() == index.to_string());
            found.map_or_else(|| "not mentioned".to_owned(), |entry| entry.code().to_owned())
        };
        let missing = (0..bodies.len()).filter(|index| !taken.contains(&index.to_string().as_str()));
        Ok(missing.map(|index| (index, code(index))).collect())
    }

    /// Returns the number of messages of the patches queue: visible, in flight and delayed. `None` if SQS
    /// leaves out a count. SQS counts approximately, so one answer proves nothing.
    pub async fn patches_queued(&self) -> Result<Option<u64>, QueueError> {
        use QueueAttributeName::{
            ApproximateNumberOfMessages, ApproximateNumberOfMessagesDelayed, ApproximateNumberOfMessagesNotVisible,
        };
        let names =
            [ApproximateNumberOfMessages, ApproximateNumberOfMessagesNotVisible, ApproximateNumberOfMessagesDelayed];
        let request = self.client.get_queue_attributes().queue_url(&self.patches.url);
        let answer = request.set_attribute_names(Some(names.to_vec())).send().await;
        let found = answer.map_err(|e| failed("GetQueueAttributes", e))?.attributes.unwrap_or_default();
        Ok(names.iter().map(|name| found.get(name)?.parse::<u64>().ok()).sum())
    }

    /// Sends an unreadable message to the dead-letter queue, with the reason as an attribute.
    pub async fn dead_letter(&self, which: QueueName, message: &Message, reason: &str) -> Result<(), QueueError> {
        let reason: String = reason.chars().filter(|c| !c.is_control()).take(250).collect();
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(reason).build();
        let request = self.client.send_message().queue_url(&self.urls(which).dead_letters);
        let request = request.message_body(if message.body.is_empty() { "(empty)" } else { &message.body });
        let request = match attribute {
            Ok(attribute) => request.message_attributes("reason", attribute),
            Err(_) => request,
        };
        request.send().await.map(|_| ()).map_err(|e| failed("SendMessage", e))
    }

    /// Changes a message's visibility, so that it is delivered again after `for_ms` milliseconds.
    /// Best effort: if the handle has expired, the message is already being delivered again.
    pub async fn change_visibility(&self, which: QueueName, message: &Message, for_ms: i64) -> Result<(), QueueError> {
        let request = self.client.change_message_visibility().queue_url(&self.urls(which).url);
        let seconds = seconds(for_ms).min(HIDDEN_MAX_S) as i32;
        let sent = request.receipt_handle(&message.receipt).visibility_timeout(seconds).send().await;
        sent.map(|_| ()).map_err(|e| failed("ChangeMessageVisibility", e))
    }
}

/// Milliseconds as seconds, rounded up.
fn seconds(ms: i64) -> i64 {
    ms.max(0).saturating_add(999) / 1000
}

/// Returns the number of bodies that fit in the next batch.
fn batch_len(bodies: &VecDeque<String>) -> usize {
    let mut bytes = 0;
    let fits = bodies.iter().take(BATCH_MAX).take_while(|body| {
        bytes += body.len();
        bytes <= BATCH_BYTES_MAX
    });
    fits.count().max(1)
}

fn json<T: Serialize>(value: &T) -> Result<String, QueueError> {
    serde_json::to_string(value).map_err(|error| QueueError::Unwritable(unread(&error)))
}

#[expect(clippy::needless_pass_by_value, reason = "argument of `map_err`, which passes the error by value")]
fn failed<E, R>(operation: &'static str, error: aws_sdk_sqs::error::SdkError<E, R>) -> QueueError
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    let code = error.code().unwrap_or("no answer").to_owned();
    let detail = error.message().map_or_else(|| error.to_string(), ToOwned::to_owned);
    QueueError::Call { operation, code, detail }
}
