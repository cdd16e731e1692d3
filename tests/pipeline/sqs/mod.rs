//! A model of SQS's standard queues on tokio's clock, behind the real SDK.
//!
//! Written after the API reference: visibility time-outs, delays, long polls, receive counts and dead-letter policies
//! behave as on AWS. What AWS permits and rarely does (messages twice, messages that never come) is an [`Accident`].

mod operations;
mod queue;
mod wire;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use tokio::sync::Notify;

use queue::Queue;

/// What goes wrong with a message. A queue is named as in its URL; messages are counted from 1 over a queue's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accident {
    /// Each message is sent twice, as by a client that retried: two ids.
    SentTwice,
    /// Each message is delivered twice, as a standard queue may: one id.
    DeliveredTwice,
    /// The message is taken and never delivered.
    Lost {
        /// The queue.
        queue: &'static str,
        /// Which of its messages.
        number: u64,
    },
}

/// The queues of one account; a clone is the same account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sqs {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    accidents: Vec<Accident>,
    queues: Mutex<BTreeMap<String, Queue>>,
    /// Rings when a message arrives or may be seen again.
    bell: Notify,
}

impl Sqs {
    /// Queues with these accidents.
    pub(crate) fn with(accidents: Vec<Accident>) -> Self {
        Self { shared: Arc::new(Shared { accidents, ..Shared::default() }) }
    }

    /// The SDK's client of this account.
    pub(crate) fn client(&self) -> aws_sdk_sqs::Client {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("model", "model", None, None, "model"))
            .endpoint_url("http://sqs.model")
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(self.clone());
        aws_sdk_sqs::Client::from_conf(config.build())
    }

    /// Bodies of the messages that a queue holds, whether visible, delayed or in flight.
    pub(crate) fn bodies(&self, queue: &str) -> Vec<String> {
        self.queues().get(queue).map(Queue::bodies).unwrap_or_default()
    }

    /// Bodies of all messages that anybody ever sent to any queue.
    pub(crate) fn ever_sent(&self) -> Vec<String> {
        self.queues().values().flat_map(|queue| queue.ever_sent.iter().cloned()).collect()
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<String, Queue>> {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
