//! An SQS event source mapping, as Lambda documents it: what stands between a queue and a function.
//!
//! ```text
//! receive (long poll) → batch (size, window) → event → invoke (time-out) ─ success → delete
//!                                                                        └ failure → leave to the visibility time-out
//! ```
//!
//! [`event`] and [`failures`] are the parts that need neither queue nor clock. Two things of Lambda's are left out:
//! fewer pollers after errors, and a second invocation when a batch would exceed 6 MB.

mod event;
mod failures;
mod join;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub use event::event;
pub use failures::{Failures, failures};

/// The most messages in one receive, and in one delete. Source: `ReceiveMessage`'s reference.
const MAX_MESSAGES: usize = 10;
/// How long a poller waits for a message. Source: `ReceiveMessage`'s reference, the longest wait.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The pause after a receive that failed, so that a missing queue is not asked for without end.
const AFTER_FAILED_RECEIVE: Duration = Duration::from_secs(1);

/// The settings of a mapping, named as in the template.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The queue that is read.
    pub queue_url: String,
    /// The same queue, as the function sees it in `eventSourceARN`.
    pub queue_arn: String,
    /// `BatchSize`: the most messages of an invocation; above 10 needs a window.
    pub batch_size: i32,
    /// `MaximumBatchingWindowInSeconds`: how long a batch may wait to fill up, from its first message on.
    pub window: Duration,
    /// `MaximumConcurrency`: invocations at a time. Lambda's least is 2.
    pub concurrency: usize,
    /// The function's `Timeout`: an invocation that takes longer is cut off and has failed.
    pub function_timeout: Duration,
    /// Whether `FunctionResponseTypes` has `ReportBatchItemFailures`.
    pub report_item_failures: bool,
}

impl Mapping {
    /// Reads the queue and invokes `handler` until `stop` turns true or its sender is gone.
    ///
    /// On a stop, batches already received are finished; the future ends with the last of them. It runs in one task,
    /// so the handler need not be `Send`; it is `Send` when the handler's futures are.
    pub async fn run<H, F>(&self, sqs: &Client, handler: H, stop: watch::Receiver<bool>)
    where
        H: Fn(Value) -> F,
        F: Future<Output = Result<Value, String>>,
    {
        let pollers = (0..self.concurrency.max(1)).map(|_| self.poll(sqs, &handler, stop.clone()));
        join::all(pollers).await;
    }

    async fn poll<H, F>(&self, sqs: &Client, handler: &H, mut stop: watch::Receiver<bool>)
    where
        H: Fn(Value) -> F,
        F: Future<Output = Result<Value, String>>,
    {
        let size = usize::try_from(self.batch_size).unwrap_or(1).max(1);
        while !*stop.borrow() {
            let first = tokio::select! {
                // A receive that has just got messages comes before a stop: dropping it would hide them for long.
                biased;
                first = self.receive(sqs, size, LONG_POLL) => first,
                _ = stop.wait_for(|stopped| *stopped) => return,
            };
            if !first.is_empty() {
                let batch = self.fill(sqs, first, size, &mut stop).await;
                let outcome = self.invoke(handler, &batch).await;
                // What the invocation sent goes to the other poller first: a chain of messages does not wait for this.
                tokio::task::yield_now().await;
                self.delete(sqs, self.done(&outcome, &batch)).await;
            }
        }
    }

    /// Waits for more messages while there is room, the window lasts and nobody stops.
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

    /// The messages that are done with after an invocation of `batch`.
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

    /// A message whose deletion fails comes again, as on AWS.
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
