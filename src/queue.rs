//! The two SQS queues in domain types: turns and starts on the pages queue, parts on the patches
//! queue.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_sdk_sqs::types::{MessageAttributeValue, SendMessageBatchRequestEntry};
use serde::{Deserialize, Serialize};

use crate::domain::api::WRITE_USERS_MAX;
use crate::domain::part::Part;
use crate::domain::redact::unread;
use crate::domain::run::{FORMAT, Turn};

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

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The message id, the same in each delivery.
    pub id: String,
    /// The receipt handle of this delivery.
    pub receipt: String,
    /// The body.
    pub body: String,
    /// Deliveries so far, including this one.
    pub receives: u32,
}

/// A message of the pages queue.
#[derive(Clone, Debug, PartialEq)]
pub enum PagesMessage {
    /// Takes one turn of a run.
    Turn(Turn),
    /// Begins a run.
    Start(Box<serde_json::Value>),
}

/// An error that makes a message unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableMessage {
    /// The message has a newer format. It stays in the queue for a newer version of the function.
    #[error("format {0} is newer than this function's format {FORMAT}: deploy the newer version")]
    Newer(u64),
    /// The message is invalid in every version; the text gives the reason.
    #[error("{0}")]
    Malformed(String),
}

#[derive(Serialize, Deserialize)]
struct WireTurn {
    v: u32,
    #[serde(flatten)]
    turn: Turn,
}

impl Message {
    /// Parses a message of the pages queue.
    pub fn pages_message(&self) -> Result<PagesMessage, UnreadableMessage> {
        let malformed = |what: &str, error| UnreadableMessage::Malformed(format!("{what}: {}", unread(&error)));
        let value: serde_json::Value = serde_json::from_str(&self.body).map_err(|e| malformed("not JSON", e))?;
        version(&value)?;
        if value.get("plan").is_some() {
            return Ok(PagesMessage::Start(Box::new(value)));
        }
        let wire: WireTurn = serde_json::from_value(value).map_err(|e| malformed("neither a turn nor a start", e))?;
        Ok(PagesMessage::Turn(wire.turn))
    }

    /// Parses a message of the patches queue.
    pub fn part(&self) -> Result<Part, UnreadableMessage> {
        let part: Part = serde_json::from_str(&self.body).map_err(|error| {
            // A newer part may have another shape, so check the version before the shape is called
            // wrong.
            let newer = serde_json::from_str(&self.body).ok().and_then(|value| version(&value).err());
            newer.unwrap_or_else(|| UnreadableMessage::Malformed(format!("not a part: {}", unread(&error))))
        })?;
        if part.v > FORMAT {
            return Err(UnreadableMessage::Newer(part.v.into()));
        }
        let users = part.patches.len();
        if !(1..=WRITE_USERS_MAX).contains(&users) || part.patches.iter().any(|patch| patch.changes.is_empty()) {
            let text = format!("a part has 1 to {WRITE_USERS_MAX} patches with changes, this one {users}");
            return Err(UnreadableMessage::Malformed(text));
        }
        Ok(part)
    }

    /// Returns the delay of a message of a newer format, in milliseconds. The delay grows with each
    /// receive, so that the 200 receives of the pages queue last for two days.
    pub fn rest_for_newer_ms(&self) -> i64 {
        i64::from(self.receives).clamp(1, NEWER_RESTS_MAX) * NEWER_REST_MS
    }
}

/// Delay of a newer version's message after its first receive, and the multiple that it grows to.
const NEWER_REST_MS: i64 = 60_000;
const NEWER_RESTS_MAX: i64 = 15;

/// Returns an error if the message has a newer format, whatever its shape.
fn version(value: &serde_json::Value) -> Result<(), UnreadableMessage> {
    let v = value.get("v").and_then(serde_json::Value::as_u64);
    v.filter(|v| *v > u64::from(FORMAT)).map_or(Ok(()), |v| Err(UnreadableMessage::Newer(v)))
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
        let body = json(&WireTurn { v: FORMAT, turn: turn.clone() })?;
        self.send(&self.pages.url, body, delay_ms).await
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
        let mut left = parts.iter().map(json).collect::<Result<Vec<String>, QueueError>>()?;
        let mut tries = 0;
        while !left.is_empty() {
            let count = batch_len(&left);
            let (batch, rest) = left.split_at(count);
            let refused = self.send_batch(batch).await?;
            let again: Vec<String> = refused.iter().filter_map(|(index, _)| batch.get(*index).cloned()).collect();
            if let Some((_, code)) = refused.first() {
                tries += 1;
                if tries >= TRIES {
                    return Err(QueueError::NotTaken { entries: again.len(), code: code.clone() });
                }
            }
            left = again.into_iter().chain(rest.iter().cloned()).collect();
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
fn batch_len(bodies: &[String]) -> usize {
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

#[cfg(test)]
mod tests;
