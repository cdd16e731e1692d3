//! SQS by awsim, corrected where it differs from AWS for a consumer.
//!
//! * Awsim polls for a waiting receive every 50 ms. Here, the receive wakes when a message becomes
//!   visible.
//! * Awsim counts a receive twice when a message's visibility ends. Here, each receive counts once.
//! * Awsim has the limits of before August 2025 (256 KiB per batch), and none for a single message.
//!   Here, today's limits apply.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use awsim_core::{AccountRegionStore, AwsError, RequestContext, ServiceHandler};
use awsim_sqs::SqsService;
use awsim_sqs::state::SqsState;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::REGION;
use super::connector::{Reply, Service};
use visibility::{expire, next_visible_in};

mod limits;
mod visibility;

/// The account id of every caller in awsim.
const ACCOUNT_ID: &str = "000000000000";
/// The longest wait of a receive. Source: the reference of `ReceiveMessage`.
const MAX_WAIT_S: u64 = 20;
/// The poll interval of a waiting receive, for the dead-letter redrive: it sends no notification.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The queues of one account.
#[derive(Clone)]
pub(super) struct Queues {
    service: Arc<SqsService>,
    store: AccountRegionStore<SqsState>,
    arrivals: Arc<Mutex<BTreeMap<String, Arc<Notify>>>>,
}

impl fmt::Debug for Queues {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Queues").finish_non_exhaustive()
    }
}

impl Queues {
    /// Creates queues with message bodies in memory, or in files below `bodies`.
    pub(super) fn new(bodies: Option<&Path>) -> Self {
        let service = bodies.map_or_else(SqsService::new, SqsService::with_data_dir);
        Self { store: service.store(), service: Arc::new(service), arrivals: Arc::default() }
    }

    async fn run(&self, operation: &str, input: Value) -> Result<Value, AwsError> {
        let context = RequestContext::new("sqs", REGION);
        self.service.handle(operation, input, &context).await
    }

    fn state(&self) -> Arc<SqsState> {
        self.store.get(ACCOUNT_ID, REGION)
    }

    /// Returns the notification of events that may make a message visible.
    fn arrival(&self, queue: &str) -> Arc<Notify> {
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(arrivals.entry(queue.to_owned()).or_default())
    }

    async fn receive(&self, mut input: Value) -> Result<Value, AwsError> {
        let queue = queue_name(&input).to_owned();
        let wait_s = input["WaitTimeSeconds"].as_u64().unwrap_or_default();
        if wait_s > MAX_WAIT_S {
            return Err(limits::invalid("WaitTimeSeconds"));
        }
        input["WaitTimeSeconds"] = json!(0);
        let deadline = Instant::now() + Duration::from_secs(wait_s);
        let bell = self.arrival(&queue);
        loop {
            // Register before the check: otherwise a message that arrives between check and wait is
            // missed.
            let mut arrived = std::pin::pin!(bell.notified());
            arrived.as_mut().enable();
            expire(&self.state(), &queue);
            let output = self.run("ReceiveMessage", input.clone()).await?;
            let empty = output["Messages"].as_array().is_none_or(Vec::is_empty);
            if !empty || Instant::now() >= deadline {
                return Ok(output);
            }
            let visible_in = next_visible_in(&self.state(), &queue).unwrap_or(LOOK_AGAIN);
            let until = deadline.min(Instant::now() + visible_in.min(LOOK_AGAIN));
            // The next time-out also ends the wait.
            let _ = timeout_at(until, arrived).await;
        }
    }

    async fn send(&self, input: Value) -> Result<Value, AwsError> {
        limits::message(&input)?;
        let queue = queue_name(&input).to_owned();
        let output = self.run("SendMessage", input).await?;
        self.arrival(&queue).notify_waiters();
        Ok(output)
    }

    /// Sends the entries of a batch. Each entry succeeds or fails on its own.
    async fn send_batch(&self, input: Value) -> Result<Value, AwsError> {
        let entries = limits::batch(&input)?;
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        let mut ids = BTreeSet::new();
        if !entries.iter().all(|entry| ids.insert(entry["Id"].as_str())) {
            return Err(limits::repeated_id());
        }
        for entry in entries {
            let mut message = entry.clone();
            message["QueueUrl"] = input["QueueUrl"].clone();
            match self.send(message).await {
                Ok(mut sent) => {
                    sent["Id"] = entry["Id"].clone();
                    successful.push(sent);
                }
                Err(error) if error.code.contains("NonExistentQueue") => return Err(error),
                Err(error) => failed.push(json!({
                    "Id": entry["Id"], "SenderFault": true, "Code": error.code, "Message": error.message,
                })),
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }
}

impl Service for Queues {
    async fn call(&self, operation: &str, input: Value) -> Reply {
        let result = match operation {
            "SendMessage" => self.send(input).await,
            "SendMessageBatch" => self.send_batch(input).await,
            "ReceiveMessage" => self.receive(input).await,
            "ChangeMessageVisibility" | "ChangeMessageVisibilityBatch" => {
                let queue = queue_name(&input).to_owned();
                let output = self.run(operation, input).await;
                self.arrival(&queue).notify_waiters();
                output
            }
            _ => self.run(operation, input).await,
        };
        match result {
            Ok(output) => Reply::ok(&output),
            Err(error) => Reply::error(error.status.as_u16(), &error.code, &error.message),
        }
    }
}

/// Returns the last part of the URL, as awsim expects. Awsim refuses a call without a URL.
fn queue_name(input: &Value) -> &str {
    let url = input["QueueUrl"].as_str().unwrap_or_default();
    url.rsplit('/').next().unwrap_or_default()
}
