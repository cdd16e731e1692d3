//! The events that the functions accept, distinguished by shape. `events/` has an example of each.

mod check;
mod control;
mod retry;
mod undo;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::redact::{redact_to, unread};
use crate::domain::run::{AtMost, Limits, Retry, RunId, SavedPreview, Source, Undo, number_or_share};
use crate::domain::user::UserId;
use crate::queue::Message;

pub use control::{ControlEvent, Target};
pub use retry::RetryRequest;
pub use undo::UndoRequest;

/// An event that the function does not accept. The text lists the accepted events and shows none of
/// the event's values.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum EventError {
    #[error("unknown event: this function takes {takes}; the event's keys are {keys:?}")]
    Unknown { takes: &'static str, keys: Vec<String> },
    #[error(
        "cannot read the start: {detail}. A start is {{\"plan\": NAME or {{…}}, \"time\": \"2016-11-24T10:05:00Z\"}}"
    )]
    Start { detail: String },
}

/// Number of keys of an unknown event that its error shows.
const KEYS_SHOWN: usize = 10;
/// Characters of each key that the error shows.
const KEY_CHARS_SHOWN: usize = 60;

const SCROLL_TAKES: &str = r#"{"tick": {}}, {"plan": NAME or {…}}, {"resume": true}, or records of the pages queue"#;
const SUBMIT_TAKES: &str = "records of the patches queue";
const CHECK_TAKES: &str = r#"{"tick": {}}"#;

/// The reason for continuing a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// An operator requested it. Another invocation may still be running.
    Requested,
    /// The only process was restarted, so no holder of a lease is still running.
    Restarted,
}

/// An event of scroll.
#[derive(Clone, Debug, PartialEq)]
pub enum ScrollEvent {
    /// The schedule's periodic check of the active run.
    Tick,
    /// A start.
    Start(Box<StartEvent>),
    /// Continue a run after a pause or a restart.
    Resume(Resume),
    /// Messages of the pages queue.
    Messages(Vec<Message>),
}

/// The event that starts a run.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartEvent {
    /// A stored plan's name, or the plan itself.
    pub plan: Value,
    /// The scheduled time in RFC 3339. Defaults to the present time.
    #[serde(default)]
    pub time: Option<jiff::Timestamp>,
    /// If set, the run reads only these users, by id.
    #[serde(default)]
    pub users: Option<Vec<UserId>>,
    /// If set, the run retries users of an ended run, whose plan `plan` names.
    #[serde(default)]
    pub retry: Option<Retry>,
    /// If set, the run writes the changes of a saved preview, which the ledger has under the run's name.
    #[serde(default)]
    pub saved: Option<SavedPreview>,
    /// If set, the run undoes an ended run, whose plan `plan` names.
    #[serde(default)]
    pub undo: Option<Undo>,
    /// The start ends the hold of the stored plan by an undo.
    #[serde(default)]
    pub unhold: bool,
    /// The start ends the active run if that is paused, also if an operator paused it. Otherwise it
    /// waits behind a run that an operator paused.
    #[serde(default)]
    pub supersede: bool,
    /// The limits that stop the run.
    #[serde(default, with = "StrictLimits", alias = "rails")]
    pub limits: Limits,
}

/// Limits in an event. An unknown name is refused, because a misspelt limit would limit nothing.
/// Stored limits are read without this check.
#[derive(Deserialize)]
#[serde(remote = "Limits", deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of its own")]
struct StrictLimits {
    #[serde(default)]
    limit: Option<u64>,
    #[serde(default)]
    max_changes: Option<AtMost>,
    #[serde(default, with = "number_or_share")]
    max_errors: Option<AtMost>,
    #[serde(default)]
    dry_run: bool,
    #[serde(default)]
    keep_changes: bool,
    #[serde(default)]
    accept_unseen: bool,
    #[serde(default)]
    then_pause: bool,
    #[serde(default)]
    max_per_minute: Option<NonZeroU32>,
    #[serde(default)]
    no_wait: bool,
    #[serde(default)]
    create_attributes: bool,
}

impl StartEvent {
    /// Reads a start and checks its plan and users.
    pub fn read(value: &Value) -> Result<Self, EventError> {
        let start: Self =
            serde_json::from_value(value.clone()).map_err(|e| EventError::Start { detail: unread(&e) })?;
        match start.check() {
            Ok(()) => Ok(start),
            Err(detail) => Err(EventError::Start { detail }),
        }
    }

    /// Returns the id of the run that this start creates, or `None` if the start has no time or its
    /// plan has no name.
    pub fn run(&self) -> Option<RunId> {
        let plan = self.plan.as_str().or_else(|| self.plan.get("name")?.as_str())?;
        Some(RunId::of_start(plan, self.time?.as_second(), &self.source(), &self.limits))
    }

    /// Returns the source of the pages. Duplicate user ids are removed.
    pub fn source(&self) -> Source {
        if let Some(retry) = &self.retry {
            return Source::Retry(retry.clone());
        }
        if let Some(saved) = &self.saved {
            return Source::Saved(saved.clone());
        }
        if let Some(undo) = &self.undo {
            return Source::Undo(undo.clone());
        }
        let mut seen = BTreeSet::new();
        let once = |users: Vec<UserId>| users.into_iter().filter(|user| seen.insert(user.clone())).collect();
        self.users.clone().map(once).map_or(Source::All, Source::Users)
    }
}

impl ScrollEvent {
    /// Reads an event.
    pub fn read(event: &Value) -> Result<Self, EventError> {
        if event.get("Records").is_some() {
            return messages(event, SCROLL_TAKES).map(Self::Messages);
        }
        if event.get("plan").is_some() {
            return StartEvent::read(event).map(|start| Self::Start(Box::new(start)));
        }
        match () {
            () if is_tick(event) => Ok(Self::Tick),
            () if event.get("resume") == Some(&Value::Bool(true)) => Ok(Self::Resume(Resume::Requested)),
            () if event.get("resume").and_then(Value::as_str) == Some("restarted") => {
                Ok(Self::Resume(Resume::Restarted))
            }
            () => Err(unknown(event, SCROLL_TAKES)),
        }
    }
}

/// Reads an event of submit: messages of the patches queue.
pub fn submit(event: &Value) -> Result<Vec<Message>, EventError> {
    messages(event, SUBMIT_TAKES)
}

/// Checks an event of check, which accepts only a tick.
pub fn check(event: &Value) -> Result<(), EventError> {
    if is_tick(event) { Ok(()) } else { Err(unknown(event, CHECK_TAKES)) }
}

/// Returns whether an event is a tick: `{"tick": …}`, or the default event of an EventBridge rule.
pub fn is_tick(event: &Value) -> bool {
    event.get("tick").is_some() || has_no_input(event)
}

/// Returns whether an event is the default event of an EventBridge rule, which is sent if the rule
/// has no input. The rule may be meant to start a run, but the event names no plan.
pub fn has_no_input(event: &Value) -> bool {
    event.get("detail-type").and_then(Value::as_str) == Some("Scheduled Event")
}

/// Returns the records with unparsed bodies: a malformed body must fail only its own message.
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

/// Returns the function's response to a batch of messages: the ids of those to deliver again.
pub fn batch_response(failed: impl IntoIterator<Item = impl Into<String>>) -> Value {
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed);
    json!(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::LIST_MAX;

    #[test]
    fn unknown_event_error_shows_no_values() {
        let error = ScrollEvent::read(&json!({"email": "ann@example.com"})).unwrap_err().to_string();
        assert!(error.contains(r#"{"tick": {}}"#) && error.contains("email"), "{error}");
        assert!(!error.contains("ann@"), "{error}");
        assert!(ScrollEvent::read(&json!([1])).is_err() && check(&Value::Null).is_err() && submit(&json!({})).is_err());
    }

    #[test]
    fn start_with_a_misspelt_key_is_refused() {
        let error = ScrollEvent::read(&json!({"plan": "x", "ruls": {}})).unwrap_err().to_string();
        assert!(error.contains("ruls"), "{error}");
        let error = ScrollEvent::read(&json!({"plan": "x", "rails": {"max_eror": 3}})).unwrap_err().to_string();
        assert!(error.contains("max_eror"), "{error}");
        assert!(ScrollEvent::read(&json!({"plan": "x", "limits": {"max_per_minute": 0}})).is_err());
        assert!(ScrollEvent::read(&json!({"plan": 3})).is_err());
        assert!(ScrollEvent::read(&json!({"plan": "x", "users": ["../x"]})).is_err());
        let saved = json!({"digest": "d", "users": 1, "at_s": 0});
        let start = StartEvent::read(&json!({"plan": "x", "saved": saved})).unwrap();
        assert_eq!(start.source().listed(), Some(1));
        for limits in [json!({"limit": 1}), json!({"dry_run": true}), json!({"keep_changes": true})] {
            assert!(ScrollEvent::read(&json!({"plan": "x", "saved": saved, "limits": limits})).is_err(), "{limits}");
        }
        let error = ScrollEvent::read(&json!({"plan": "x", "limits": {"then_pause": true}})).unwrap_err().to_string();
        assert!(error.contains("`limit`"), "{error}");
        let share = json!({"plan": "x", "limits": {"max_errors": {"percent": 5}}});
        let ScrollEvent::Start(start) = ScrollEvent::read(&share).unwrap() else { panic!("{share} is a start") };
        assert_eq!(start.limits.max_errors, Some(AtMost::Percent(5)));
    }

    #[test]
    fn list_of_users_is_bounded() {
        let users = |count: usize| (0..count).map(|n| format!("{n:024x}")).collect::<Vec<_>>();
        let start = |count| StartEvent::read(&json!({"plan": "x", "users": users(count)}));
        assert!(start(LIST_MAX).is_ok());
        let error = start(LIST_MAX + 1).unwrap_err().to_string();
        assert!(error.contains("20001 users") && error.contains("at most 20000"), "{error}");
        let event = json!({"plan": "x", "users": users(LIST_MAX)}).to_string();
        assert!(event.len() < 600 * 1024, "SQS takes 1 MiB: {}", event.len());
    }

    #[test]
    fn default_event_of_eventbridge_is_a_tick() {
        let event = json!({"version": "0", "detail-type": "Scheduled Event", "detail": {}});
        assert_eq!(ScrollEvent::read(&event).unwrap(), ScrollEvent::Tick);
    }
}
