//! Messages of the queues, and their reading.

use serde::{Deserialize, Serialize};

use crate::domain::api::WRITE_USERS_MAX;
use crate::domain::part::Part;
use crate::domain::redact::unread;
use crate::domain::run::{FORMAT, Turn};

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

impl Message {
    /// Parses a message of the pages queue.
    pub fn pages_message(&self) -> Result<PagesMessage, UnreadableMessage> {
        let malformed = |what: &str, error| UnreadableMessage::Malformed(format!("{what}: {}", unread(&error)));
        let value: serde_json::Value = serde_json::from_str(&self.body).map_err(|e| malformed("not JSON", e))?;
        version(&value)?;
        if value.get("plan").is_some() {
            return Ok(PagesMessage::Start(Box::new(value)));
        }
        let turn = serde_json::from_value(value).map_err(|e| malformed("neither a turn nor a start", e))?;
        Ok(PagesMessage::Turn(turn))
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

    /// Returns whether scroll sent this message of the patches queue so that submit reports its format.
    pub fn is_hello(&self) -> bool {
        serde_json::from_str::<Hello>(&self.body).is_ok_and(|hello| hello.hello && hello.v <= FORMAT)
    }

    /// Returns the delay of a message of a newer format, in milliseconds. The delay grows with each
    /// receive, so that the 200 receives of the pages queue last for two days.
    pub fn rest_for_newer_ms(&self) -> i64 {
        i64::from(self.receives).clamp(1, NEWER_RESTS_MAX) * NEWER_REST_MS
    }
}

/// A message of the patches queue without a part. A version that does not read its format leaves it
/// in the queue.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hello {
    v: u32,
    hello: bool,
}

impl Hello {
    pub(super) fn new() -> Self {
        Self { v: FORMAT, hello: true }
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

#[cfg(test)]
mod tests;
