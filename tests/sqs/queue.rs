//! One queue: its messages, and the times at which they become visible.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::Accidents;

/// A queue and its messages, oldest first.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) visibility: Duration,
    /// The dead-letter queue, and the number of receives after which a message goes there.
    pub(super) redrive: Option<(String, u64)>,
    messages: Vec<Message>,
    pub(super) sent: u64,
    /// Bodies of all messages that were ever sent to it.
    pub(super) ever_sent: Vec<String>,
    deliveries: u64,
}

/// A message, or a second copy of one.
#[derive(Clone, Debug)]
pub(super) struct Message {
    id: String,
    body: String,
    attributes: Value,
    visible_at: Instant,
    receives: u64,
    /// The handle of the last delivery. Older handles are invalid.
    receipt: Option<String>,
}

/// A receipt handle that names no message in flight.
pub(super) struct NotInFlight;

impl Message {
    pub(super) fn new(id: String, body: String, attributes: Value, visible_at: Instant) -> Self {
        Self { id, body, attributes, visible_at, receives: 0, receipt: None }
    }

    fn in_flight(&self, receipt: &str) -> bool {
        self.receipt.as_deref() == Some(receipt) && self.visible_at > Instant::now()
    }

    fn delivery(&self) -> Value {
        json!({
            "MessageId": self.id,
            "ReceiptHandle": self.receipt,
            "Body": self.body,
            "Attributes": {"ApproximateReceiveCount": self.receives.to_string()},
            "MessageAttributes": self.attributes,
        })
    }
}

impl Queue {
    pub(super) fn new(visibility: Duration, redrive: Option<(String, u64)>) -> Self {
        Self { visibility, redrive, messages: Vec::new(), sent: 0, ever_sent: Vec::new(), deliveries: 0 }
    }

    pub(super) fn put(&mut self, message: Message) {
        self.messages.push(message);
    }

    pub(super) fn bodies(&self) -> Vec<String> {
        self.messages.iter().map(|message| message.body.clone()).collect()
    }

    /// Returns the numbers of messages that are visible, in flight, and delayed.
    pub(super) fn counts(&self) -> [usize; 3] {
        let now = Instant::now();
        let count = |is: fn(&Message, Instant) -> bool| self.messages.iter().filter(|message| is(message, now)).count();
        [
            count(|message, now| message.visible_at <= now),
            count(|message, now| message.visible_at > now && message.receipt.is_some()),
            count(|message, now| message.visible_at > now && message.receipt.is_none()),
        ]
    }

    /// Removes the messages for the dead-letter queue: visible, and received the maximum number of
    /// times.
    pub(super) fn dead(&mut self) -> Vec<Message> {
        let Some((_, most)) = self.redrive else { return Vec::new() };
        let now = Instant::now();
        let is_dead = |message: &mut Message| message.visible_at <= now && message.receives >= most;
        self.messages.extract_if(.., is_dead).collect()
    }

    /// Delivers up to `most` visible messages, invisible for `hidden` from now on.
    pub(super) fn receive(
        &mut self,
        name: &str,
        most: usize,
        hidden: Duration,
        accidents: &dyn Accidents,
    ) -> Vec<Value> {
        let now = Instant::now();
        let visible = |(place, message): (usize, &Message)| (message.visible_at <= now).then_some(place);
        let mut places: Vec<usize> = self.messages.iter().enumerate().filter_map(visible).collect();
        let mut delivered = Vec::new();
        while delivered.len() < most && !places.is_empty() {
            let message = &mut self.messages[places.remove(accidents.next_of(places.len()) % places.len())];
            self.deliveries += 1;
            message.receives += 1;
            message.receipt = Some(format!("{name}-{}", self.deliveries));
            message.visible_at = now + accidents.hidden(hidden);
            delivered.push(message.delivery());
        }
        delivered
    }

    /// Deletes the message of this handle. An older handle deletes nothing, without an error.
    pub(super) fn delete(&mut self, receipt: &str) {
        self.messages.retain(|message| message.receipt.as_deref() != Some(receipt));
    }

    /// Changes the visibility of a message in flight.
    pub(super) fn hide(&mut self, receipt: &str, hidden: Duration) -> Result<(), NotInFlight> {
        let found = self.messages.iter_mut().find(|message| message.in_flight(receipt));
        found.ok_or(NotInFlight)?.visible_at = Instant::now() + hidden;
        Ok(())
    }

    /// Returns the time at which the next message becomes visible.
    pub(super) fn next_visible(&self) -> Option<Instant> {
        self.messages.iter().map(|message| message.visible_at).min()
    }
}
