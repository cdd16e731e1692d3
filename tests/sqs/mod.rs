//! A model of SQS's standard queues on tokio's clock, behind the real SDK.
//!
//! It follows the API reference: visibility time-outs, delays, long polls, receive counts and
//! dead-letter policies behave as on AWS. [`Accidents`] adds behaviour that AWS permits and rarely
//! shows: duplicate, reordered and late messages.

mod operations;
mod queue;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_sqs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use tokio::sync::Notify;

use queue::Queue;

/// Rare permitted behaviour of a standard queue. The defaults are a queue without accidents.
pub(crate) trait Accidents: fmt::Debug + Send + Sync + 'static {
    /// Returns the copies that a queue makes of a message, counted from 1 per queue. Empty: it is
    /// lost.
    fn copies(&self, _queue: &str, _number: u64, _body: &str) -> Vec<Copy> {
        vec![Copy::default()]
    }

    /// Returns whether an entry of a batch to send is refused while others are accepted. Entries are counted from
    /// 1, refused ones too.
    fn refuses_entry(&self, _number: u64) -> bool {
        false
    }

    /// Returns the index of the visible message that is delivered next.
    fn next_of(&self, _visible: usize) -> usize {
        0
    }

    /// Returns the real visibility time-out of a delivered message.
    fn hidden(&self, asked: Duration) -> Duration {
        asked
    }

    /// Returns whether a deleted message stays in the queue.
    fn keeps_deleted(&self) -> bool {
        false
    }

    /// Returns the real wait of a receive.
    fn long_poll(&self, asked: Duration) -> Duration {
        asked
    }
}

/// A copy of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copy {
    /// The copy has its own id, as if sent twice; otherwise it has the message's.
    pub(crate) own_id: bool,
    /// The delay of its visibility, in addition to its own delay.
    pub(crate) late: Duration,
}

/// The queues of one account. A clone is the same account.
#[derive(Clone, Debug)]
pub(crate) struct Sqs {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    accidents: Box<dyn Accidents>,
    queues: Mutex<BTreeMap<String, Queue>>,
    /// The entries of all batches to send.
    entries: AtomicU64,
    /// Notifies of new and newly visible messages.
    bell: Notify,
}

impl Sqs {
    /// Creates queues with these accidents.
    pub(crate) fn with(accidents: impl Accidents) -> Self {
        let shared = Shared {
            accidents: Box::new(accidents),
            queues: Mutex::default(),
            entries: AtomicU64::new(0),
            bell: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Returns the SDK's client of this account.
    pub(crate) fn client(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::from_conf(self.config().build())
    }

    /// Returns the configuration of that client.
    pub(crate) fn config(&self) -> aws_sdk_sqs::config::Builder {
        aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::from_static("us-east-1"))
            .allow_no_auth()
            .endpoint_url("http://sqs.model")
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .http_client(self.clone())
    }

    /// Returns the bodies of a queue's messages, whether visible, delayed or in flight.
    pub(crate) fn bodies(&self, queue: &str) -> Vec<String> {
        self.queues().get(queue).map(Queue::bodies).unwrap_or_default()
    }

    /// Returns the bodies of all messages that were ever sent to any queue.
    pub(crate) fn ever_sent(&self) -> Vec<String> {
        let names: Vec<String> = self.queues().keys().cloned().collect();
        names.iter().flat_map(|name| self.sent_since(name, 0)).collect()
    }

    /// Returns the bodies of the messages that were sent to a queue after the first `from`.
    pub(crate) fn sent_since(&self, queue: &str, from: usize) -> Vec<String> {
        let queues = self.queues();
        queues.get(queue).and_then(|queue| queue.ever_sent.get(from..)).map(<[_]>::to_vec).unwrap_or_default()
    }

    fn queues(&self) -> MutexGuard<'_, BTreeMap<String, Queue>> {
        self.shared.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
