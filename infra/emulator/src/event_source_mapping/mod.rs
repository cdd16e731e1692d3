//! An SQS event source mapping as Lambda documents it: the poller between a queue and a function.
//!
//! ```text
//! receive (long poll) → batch (size, window) → event → invoke (time-out) ─ success → delete
//!                                                                        └ failure → leave to the visibility time-out
//! ```
//!
//! [`event`] and [`failures`] need neither queue nor clock. Two features of Lambda are missing:
//! fewer pollers after errors, and a second invocation for a batch above 6 MB.

mod event;
mod failures;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub use event::event;
pub use failures::{Failures, failures};

/// The maximum number of messages in one receive or delete. Source: the reference of
/// `ReceiveMessage`.
const MAX_MESSAGES: usize = 10;
/// The longest wait of a receive. Source: the reference of `ReceiveMessage`.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The pause after a failed receive, to limit calls to a missing queue.
const AFTER_FAILED_RECEIVE: Duration = Duration::from_secs(1);

/// The settings of a mapping, named as in the template.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The queue to read.
    pub queue_url: String,
    /// The queue's ARN, for `eventSourceARN`.
    pub queue_arn: String,
    /// `BatchSize`: the maximum number of messages of an invocation; above 10 needs a window.
    pub batch_size: i32,
    /// `MaximumBatchingWindowInSeconds`: the time that a batch may wait to fill, from its first
    /// message.
    pub window: Duration,
    /// `MaximumConcurrency`: concurrent invocations. Lambda requires at least 2.
    pub concurrency: usize,
    /// The function's `Timeout`: a longer invocation is cut off and fails.
    pub function_timeout: Duration,
    /// `FunctionResponseTypes` contains `ReportBatchItemFailures`.
    pub report_item_failures: bool,
}

impl Mapping {
    /// Reads the queue and invokes `handler` until `stop` turns true or its sender is dropped.
    ///
    /// After a stop, it finishes the batches already received. It runs in one task, so the handler
    /// need not be `Send`; the future is `Send` when the handler's futures are.
    pub async fn run<H, F>(&self, sqs: &Client, handler: H, stop: watch::Receiver<bool>)
    where
        H: Fn(Value) -> F,
        F: Future<Output = Result<Value, String>>,
    {
        let pollers = (0..self.concurrency.max(1)).map(|_| self.poll(sqs, &handler, stop.clone()));
        join_all(pollers).await;
    }

    async fn poll<H, F>(&self, sqs: &Client, handler: &H, mut stop: watch::Receiver<bool>)
    where
        H: Fn(Value) -> F,
        F: Future<Output = Result<Value, String>>,
    {
        let size = usize::try_from(self.batch_size).unwrap_or(1).max(1);
        while !*stop.borrow() {
            let first = tokio::select! {
                // A completed receive comes before a stop: dropping it would make its messages
                // invisible for long.
                biased;
                first = self.receive(sqs, size, LONG_POLL) => first,
                _ = stop.wait_for(|stopped| *stopped) => return,
            };
            if !first.is_empty() {
                let batch = self.fill(sqs, first, size, &mut stop).await;
                let outcome = self.invoke(handler, &batch).await;
                // Messages that the invocation sent go to the other poller first, so a chain does
                // not wait.
                tokio::task::yield_now().await;
                self.delete(sqs, self.done(&outcome, &batch)).await;
            }
        }
    }

    /// Waits for more messages while the batch has room, the window lasts and no stop is requested.
    async fn fill(
        &self,
        sqs: &Client,
        mut batch: Vec<Message>,
        size: usize,
        stop: &mut watch::Receiver<bool>,
    ) -> Vec<Message> {
        let end = Instant::now() + self.window;
        while batch.len() < size && Instant::now() < end {
            let more = self.receive(sqs, size - batch.len(), end - Instant::now());
            tokio::select! {
                biased;
                more = more => batch.extend(more),
                () = sleep_until(end) => break,
                _ = stop.wait_for(|stopped| *stopped) => break,
            }
        }
        batch
    }

    async fn receive(&self, sqs: &Client, size: usize, wait: Duration) -> Vec<Message> {
        let wait_s = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let received = sqs
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(size.min(MAX_MESSAGES) as i32)
            .wait_time_seconds(wait_s.min(LONG_POLL.as_secs()) as i32)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await;
        match received {
            Ok(output) => output.messages.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(queue = %self.queue_arn, error = ?error, "receive failed");
                sleep(AFTER_FAILED_RECEIVE).await;
                Vec::new()
            }
        }
    }

    async fn invoke<H, F>(&self, handler: &H, batch: &[Message]) -> Result<Value, String>
    where
        H: Fn(Value) -> F,
        F: Future<Output = Result<Value, String>>,
    {
        let invocation = handler(event(batch, &self.queue_arn));
        let outcome = timeout(self.function_timeout, invocation).await;
        let outcome = outcome.unwrap_or_else(|_| Err("the function timed out".to_owned()));
        if let Err(error) = &outcome {
            tracing::warn!(queue = %self.queue_arn, messages = batch.len(), error, "invocation failed");
        }
        outcome
    }

    /// Returns the messages of `batch` that its invocation finished.
    pub fn done<'a>(&self, outcome: &Result<Value, String>, batch: &'a [Message]) -> Vec<&'a Message> {
        let failed = match outcome {
            Err(_) => Failures::Batch,
            Ok(response) if self.report_item_failures => {
                let ids: Vec<&str> = batch.iter().filter_map(Message::message_id).collect();
                failures(response, &ids)
            }
            Ok(_) => Failures::None,
        };
        let done = |message: &&Message| !failed.includes(message.message_id().unwrap_or_default());
        batch.iter().filter(done).collect()
    }

    /// Deletes messages. If a deletion fails, the message is delivered again, as on AWS.
    async fn delete(&self, sqs: &Client, done: Vec<&Message>) {
        for chunk in done.chunks(MAX_MESSAGES) {
            let entries = chunk.iter().enumerate().map(|(position, message)| {
                DeleteMessageBatchRequestEntry::builder()
                    .id(position.to_string())
                    .receipt_handle(message.receipt_handle().unwrap_or_default())
                    .build()
                    .expect("id and receipt handle, all that is required, are set")
            });
            let deleted =
                sqs.delete_message_batch().queue_url(&self.queue_url).set_entries(Some(entries.collect())).send().await;
            match deleted {
                Ok(output) if output.failed.is_empty() => {}
                Ok(output) => {
                    tracing::warn!(queue = %self.queue_arn, messages = output.failed.len(), "deletion refused");
                }
                Err(error) => {
                    tracing::warn!(queue = %self.queue_arn, error = ?error, "deletion failed");
                }
            }
        }
    }
}
