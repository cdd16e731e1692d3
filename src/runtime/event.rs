//! The events that the functions take, told apart by shape. `events/` holds one of each.

use std::collections::BTreeSet;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::redact::{redact_to, unread};
use crate::domain::run::{LIST_MAX, Limits, MaxChanges, RunId, Source};
use crate::domain::user::UserId;
use crate::queue::Message;

/// An event that is none of those a function takes. Says what it takes; shows none of the event's values.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// Another shape.
    #[error("unknown event: this function takes {takes}; the event's keys are {keys:?}")]
    Unknown {
        /// What would be taken.
        takes: &'static str,
        /// The keys that came.
        keys: Vec<String>,
    },
    /// A start that cannot be read.
    #[error(
        "the start cannot be read: {detail}. It is {{\"plan\": NAME or {{…}}, \"time\": \"2016-11-24T10:05:00Z\"}}"
    )]
    Start {
        /// What is wrong.
        detail: String,
    },
}

/// Keys of an unknown event that its error shows, and how much of each.
const KEYS_SHOWN: usize = 10;
const KEY_CHARS_SHOWN: usize = 60;

const SCROLL_TAKES: &str = r#"{"tick": {}}, {"plan": NAME or {…}}, {"resume": true}, or records of the pages queue"#;
const SUBMIT_TAKES: &str = "records of the patches queue";
const CHECK_TAKES: &str = r#"{"tick": {}}"#;

/// Why a run goes on by a new generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// An operator asks for it; an invocation may be at work.
    Asked,
    /// The only process there is was started again: whoever holds a lease is dead.
    Restarted,
}

/// What scroll takes.
#[derive(Clone, Debug, PartialEq)]
pub enum ScrollEvent {
    /// The schedule's watch over the active run.
    Tick,
    /// A start.
    Start(Box<StartEvent>),
    /// Go on with a paused run, or after a restart, by a new generation.
    Resume(Resume),
    /// Messages of the pages queue.
    Messages(Vec<Message>),
}

/// A start as an event brings it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartEvent {
    /// A stored plan's name, or the plan itself.
    pub plan: Value,
    /// The time it was scheduled at, in RFC 3339; now, if it is not said.
    #[serde(default)]
    pub time: Option<jiff::Timestamp>,
    /// Only these users, read by id.
    #[serde(default)]
    pub users: Option<Vec<UserId>>,
    /// What stops the run.
    #[serde(default, with = "StrictLimits", alias = "rails")]
    pub limits: Limits,
}

/// Limits in an event. An unknown name is refused, because a misspelt limit would limit nothing. Stored limits are
/// read without this check.
#[derive(Deserialize)]
#[serde(remote = "Limits", deny_unknown_fields)]
struct StrictLimits {
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    max_changes: Option<MaxChanges>,
    #[serde(default)]
    max_errors: Option<u64>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    accept_unseen: bool,
}

impl StartEvent {
    /// Reads a start.
    pub fn read(value: &Value) -> Result<Self, EventError> {
        let start: Self =
            serde_json::from_value(value.clone()).map_err(|e| EventError::Start { detail: unread(&e) })?;
        match &start.users {
            Some(users) if users.is_empty() => {
                Err(EventError::Start { detail: "`users` is a list of Intercom's user ids, at least one".to_owned() })
            }
            Some(users) if users.len() > LIST_MAX => Err(EventError::Start {
                detail: format!(
                    "`users` names {} users, and {LIST_MAX} are the most of one start: start several",
                    users.len()
                ),
            }),
            _ if !(start.plan.is_string() || start.plan.is_object()) => {
                Err(EventError::Start { detail: "`plan` is a name or a plan".to_owned() })
            }
            _ => Ok(start),
        }
    }

    /// The run that the start makes, where it says for what time it is; none, where it does not, or names no plan.
    pub fn run(&self) -> Option<RunId> {
        let plan = self.plan.as_str().or_else(|| self.plan.get("name")?.as_str())?;
        Some(RunId::of_start(plan, self.time?.as_second(), &self.source(), &self.limits))
    }

    /// Where the pages come from; a user that is named twice is read once.
    pub fn source(&self) -> Source {
        let mut seen = BTreeSet::new();
        let once = |users: Vec<UserId>| users.into_iter().filter(|user| seen.insert(user.clone())).collect();
        self.users.clone().map(once).map_or(Source::Scroll, Source::Users)
    }
}

impl ScrollEvent {
    /// Tells which event it is.
    pub fn read(event: &Value) -> Result<Self, EventError> {
        if event.get("Records").is_some() {
            return messages(event, SCROLL_TAKES).map(Self::Messages);
        }
        if event.get("plan").is_some() {
            return StartEvent::read(event).map(|start| Self::Start(Box::new(start)));
        }
        match () {
            () if is_tick(event) => Ok(Self::Tick),
            () if event.get("resume") == Some(&Value::Bool(true)) => Ok(Self::Resume(Resume::Asked)),
            () if event.get("resume").and_then(Value::as_str) == Some("restarted") => {
                Ok(Self::Resume(Resume::Restarted))
            }
            () => Err(unknown(event, SCROLL_TAKES)),
        }
    }
}

/// The messages that submit takes.
pub fn submit(event: &Value) -> Result<Vec<Message>, EventError> {
    messages(event, SUBMIT_TAKES)
}

/// The tick that check takes.
pub fn check(event: &Value) -> Result<(), EventError> {
    if is_tick(event) { Ok(()) } else { Err(unknown(event, CHECK_TAKES)) }
}

/// Whether an event is a tick: our own, or EventBridge's event of a rule without an input.
pub fn is_tick(event: &Value) -> bool {
    event.get("tick").is_some() || has_no_input(event)
}

/// Whether an event is that of an EventBridge rule without an input. It may be meant as a start, and names no plan.
pub fn has_no_input(event: &Value) -> bool {
    event.get("detail-type").and_then(Value::as_str) == Some("Scheduled Event")
}

/// Takes the records as they are: a body that cannot be read is that message's fault, not the batch's.
fn messages(event: &Value, takes: &'static str) -> Result<Vec<Message>, EventError> {
    let records: SqsEvent = serde_json::from_value(event.clone()).map_err(|_| unknown(event, takes))?;
    let message = |record: aws_lambda_events::sqs::SqsMessage| {
        let receives = record.attributes.get("ApproximateReceiveCount").and_then(|count| count.parse().ok());
        Some(Message {
            id: record.message_id?,
            receipt: record.receipt_handle.unwrap_or_default(),
            body: record.body.unwrap_or_default(),
            receives: receives.unwrap_or(1),
        })
    };
    let count = records.records.len();
    let messages: Vec<Message> = records.records.into_iter().filter_map(message).collect();
    if messages.len() == count { Ok(messages) } else { Err(unknown(event, takes)) }
}

fn unknown(event: &Value, takes: &'static str) -> EventError {
    let keys = event.as_object().into_iter().flat_map(|object| object.keys().take(KEYS_SHOWN));
    let keys = keys.map(|key| redact_to(key, KEY_CHARS_SHOWN)).collect();
    EventError::Unknown { takes, keys }
}

/// What Lambda is answered for a batch of messages: those that are to be delivered again.
pub fn batch_response(failed: impl IntoIterator<Item = impl Into<String>>) -> Value {
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed);
    json!(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_event_says_what_is_taken_and_shows_no_values() {
        let error = ScrollEvent::read(&json!({"email": "ann@example.com"})).unwrap_err().to_string();
        assert!(error.contains(r#"{"tick": {}}"#) && error.contains("email"), "{error}");
        assert!(!error.contains("ann@"), "{error}");
        assert!(ScrollEvent::read(&json!([1])).is_err() && check(&Value::Null).is_err() && submit(&json!({})).is_err());
    }

    #[test]
    fn a_start_with_a_typo_is_refused() {
        let error = ScrollEvent::read(&json!({"plan": "x", "ruls": {}})).unwrap_err().to_string();
        assert!(error.contains("ruls"), "{error}");
        let error = ScrollEvent::read(&json!({"plan": "x", "rails": {"max_eror": 3}})).unwrap_err().to_string();
        assert!(error.contains("max_eror"), "{error}");
        assert!(ScrollEvent::read(&json!({"plan": 3})).is_err());
        assert!(ScrollEvent::read(&json!({"plan": "x", "users": ["../x"]})).is_err());
    }

    #[test]
    fn a_list_is_bounded_and_the_bound_is_said() {
        let users = |count: usize| (0..count).map(|n| format!("{n:024x}")).collect::<Vec<_>>();
        let start = |count| StartEvent::read(&json!({"plan": "x", "users": users(count)}));
        assert!(start(LIST_MAX).is_ok());
        let error = start(LIST_MAX + 1).unwrap_err().to_string();
        assert!(error.contains("20001 users") && error.contains("20000 are the most"), "{error}");
        let event = json!({"plan": "x", "users": users(LIST_MAX)}).to_string();
        assert!(event.len() < 600 * 1024, "SQS takes 1 MiB: {}", event.len());
    }

    #[test]
    fn eventbridge_s_own_event_is_a_tick() {
        let event = json!({"version": "0", "detail-type": "Scheduled Event", "detail": {}});
        assert_eq!(ScrollEvent::read(&event).unwrap(), ScrollEvent::Tick);
    }
}
