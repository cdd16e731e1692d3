//! A model of SQS's standard queues on tokio's clock, behind the real SDK.
//!
//! Written after the API reference: visibility time-outs, delays, long polls, receive counts and dead-letter policies
//! behave as on AWS. What AWS permits and rarely does (messages twice, out of order, late) is up to [`Accidents`].

mod operations;
mod queue;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use tokio::sync::Notify;

use queue::Queue;

/// What a standard queue may do to messages and rarely does. Without a word from these all goes well.
pub(crate) trait Accidents: fmt::Debug + Send + Sync + 'static {
    /// The copies that a queue makes of a message that it takes, counted from 1 over the queue's life. None: it is lost.
    fn copies(&self, _queue: &str, _number: u64) -> Vec<Copy> {
        vec![Copy::default()]
    }

    /// Whether this entry of a batch is refused while others are taken.
    fn refuses_entry(&self) -> bool {
        false
    }

    /// Which of the messages that can be seen is delivered next.
    fn next_of(&self, _visible: usize) -> usize {
        0
    }

    /// How long a delivered message really stays hidden.
    fn hidden(&self, asked: Duration) -> Duration {
        asked
    }

    /// Whether a deleted message is kept all the same.
    fn keeps_deleted(&self) -> bool {
        false
    }

    /// How long a receive waits that asked for so long.
    fn long_poll(&self, asked: Duration) -> Duration {
        asked
    }
}

/// A copy of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copy {
    /// It bears an id of its own, as if it had been sent twice; otherwise the message's.
    pub(crate) own_id: bool,
    /// So much later than its delay it can be seen.
    pub(crate) late: Duration,
}

/// The queues of one account; a clone is the same account.
#[derive(Clone, Debug)]
pub(crate) struct Sqs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    accidents: Box<dyn Accidents>,
    queues: Mutex<BTreeMap<String, Queue>>,
    /// Rings when a message arrives or may be seen again.
    bell: Notify,
}

impl Sqs {
    /// Queues with these accidents.
    pub(crate) fn with(accidents: impl Accidents) -> Self {
        let shared = Shared { accidents: Box::new(accidents), queues: Mutex::default(), bell: Notify::new() };
        Self { shared: Arc::new(shared) }
    }

    /// The SDK's client of this account.
    pub(crate) fn client(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::from_conf(self.config().build())
    }

    /// The configuration of that client.
    pub(crate) fn config(&self) -> aws_sdk_sqs::config::Builder {
        aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .allow_no_auth()
            .endpoint_url("http://sqs.model")
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(self.clone())
    }

    /// Bodies of the messages that a queue holds, whether visible, delayed or in flight.
    pub(crate) fn bodies(&self, queue: &str) -> Vec<String> {
        self.queues().get(queue).map(Queue::bodies).unwrap_or_default()
    }

    /// Bodies of all messages that anybody ever sent to any queue.
    pub(crate) fn ever_sent(&self) -> Vec<String> {
        let names: Vec<String> = self.queues().keys().cloned().collect();
        names.iter().flat_map(|name| self.sent_since(name, 0)).collect()
    }

    /// Bodies of the messages that anybody sent to a queue after so many others.
    pub(crate) fn sent_since(&self, queue: &str, from: usize) -> Vec<String> {
        let queues = self.queues();
        queues.get(queue).and_then(|queue| queue.ever_sent.get(from..)).map(<[_]>::to_vec).unwrap_or_default()
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<String, Queue>> {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
