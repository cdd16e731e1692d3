//! The events of control: one verb of an operator each.

use serde_json::{Map, Value, json};

use super::{EventError, RetryRequest, UndoRequest, unknown};
use crate::domain::redact::redact_to;
use crate::domain::run::RunId;

const CONTROL_TAKES: &str = r#"one of {"pause": RUN}, {"resume": RUN}, {"cancel": RUN, "reason": TEXT}, {"release": ID}, {"retry": ID, "code": CODE} (or "unknown": true instead of a code; also "time", "max_per_minute") and {"undo": ID} (also "dry_run", "time", "max_per_minute"), where RUN is the id of a run, or true for the active run"#;

/// Characters of an operator's reason that are stored.
const REASON_CHARS_MAX: usize = 200;

/// The run that an event names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The active run.
    Active,
    /// The run of this id.
    Run(RunId),
}

/// An event of control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlEvent {
    /// Pause a run that reads or submits.
    Pause(Target),
    /// Continue a paused run.
    Resume(Target),
    /// End a run.
    Cancel {
        /// The run.
        target: Target,
        /// The operator's reason, without personal data.
        reason: Option<String>,
    },
    /// Let later runs begin before the jobs of this ended run are closed.
    Release(RunId),
    /// Retry users of an ended run.
    Retry(RetryRequest),
    /// Restore the values from before an ended run.
    Undo(UndoRequest),
}

impl ControlEvent {
    /// Reads an event.
    pub fn read(event: &Value) -> Result<Self, EventError> {
        let read = event.as_object().and_then(Self::of);
        read.ok_or_else(|| unknown(event, CONTROL_TAKES))
    }

    /// Returns the event that is read as this one.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Pause(target) => json!({"pause": target.to_json()}),
            Self::Resume(target) => json!({"resume": target.to_json()}),
            Self::Cancel { target, reason: None } => json!({"cancel": target.to_json()}),
            Self::Cancel { target, reason } => json!({"cancel": target.to_json(), "reason": reason}),
            Self::Release(run) => json!({"release": run}),
            Self::Retry(request) => json!(request),
            Self::Undo(request) => json!(request),
        }
    }

    fn of(event: &Map<String, Value>) -> Option<Self> {
        if event.contains_key("retry") {
            let request: RetryRequest = serde_json::from_value(Value::Object(event.clone())).ok()?;
            return request.users().check().is_ok().then_some(Self::Retry(request));
        }
        if event.contains_key("undo") {
            return serde_json::from_value(Value::Object(event.clone())).ok().map(Self::Undo);
        }
        let reason = event.get("reason");
        let verbs: Vec<(&str, &Value)> =
            event.iter().map(|(key, value)| (key.as_str(), value)).filter(|(key, _)| *key != "reason").collect();
        let [(verb, named)] = verbs[..] else { return None };
        let target = Target::of(named)?;
        match (verb, reason) {
            // An ended run is never the active one.
            ("release", None) => match target {
                Target::Run(run) => Some(Self::Release(run)),
                Target::Active => None,
            },
            ("pause", None) => Some(Self::Pause(target)),
            ("resume", None) => Some(Self::Resume(target)),
            ("cancel", None) => Some(Self::Cancel { target, reason: None }),
            ("cancel", Some(reason)) => {
                let reason = Some(redact_to(reason.as_str()?, REASON_CHARS_MAX));
                Some(Self::Cancel { target, reason })
            }
            _ => None,
        }
    }
}

impl Target {
    fn of(named: &Value) -> Option<Self> {
        match named {
            Value::Bool(true) => Some(Self::Active),
            Value::String(run) => RunId::parse(run).map(Self::Run),
            _ => None,
        }
    }

    /// Returns the value that names it in an event.
    fn to_json(&self) -> Value {
        match self {
            Self::Active => Value::Bool(true),
            Self::Run(run) => Value::String(run.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_names_a_run() {
        let id = || Target::Run(RunId::parse("p.20161101T110033Z").unwrap());
        let reason = |reason: &str| Some(reason.to_owned());
        for (event, expected) in [
            (json!({"pause": true}), ControlEvent::Pause(Target::Active)),
            (json!({"pause": "p.20161101T110033Z"}), ControlEvent::Pause(id())),
            (json!({"resume": "p.20161101T110033Z"}), ControlEvent::Resume(id())),
            (json!({"cancel": true}), ControlEvent::Cancel { target: Target::Active, reason: None }),
            (
                json!({"release": "p.20161101T110033Z"}),
                ControlEvent::Release(RunId::parse("p.20161101T110033Z").unwrap()),
            ),
            (
                json!({"retry": "p.20161101T110033Z", "code": "not_found", "time": "2016-11-24T10:05:00Z"}),
                ControlEvent::Retry(RetryRequest {
                    retry: RunId::parse("p.20161101T110033Z").unwrap(),
                    code: Some("not_found".to_owned()),
                    unknown: false,
                    time: "2016-11-24T10:05:00Z".parse().ok(),
                    max_per_minute: None,
                }),
            ),
            (
                json!({"undo": "p.20161101T110033Z", "dry_run": true}),
                ControlEvent::Undo(UndoRequest {
                    undo: RunId::parse("p.20161101T110033Z").unwrap(),
                    dry_run: true,
                    time: None,
                    max_per_minute: None,
                }),
            ),
            (
                json!({"cancel": true, "reason": "asked by ann@example.com"}),
                ControlEvent::Cancel { target: Target::Active, reason: reason("asked by [e-mail]") },
            ),
        ] {
            assert_eq!(ControlEvent::read(&event).unwrap(), expected, "{event}");
            assert_eq!(ControlEvent::read(&expected.to_json()).unwrap(), expected, "{event}");
        }
    }

    #[test]
    fn other_events_are_refused_without_their_values() {
        for event in [
            json!({}),
            json!([]),
            json!(null),
            json!({"tick": {}}),
            json!({"pause": false}),
            json!({"pause": "../x"}),
            json!({"pause": 7}),
            json!({"pause": true, "resume": true}),
            json!({"pause": true, "reason": "secret"}),
            json!({"cancel": true, "reason": 7}),
            json!({"cancel": true, "why": "secret"}),
            json!({"cancel": "not a run: secret"}),
            json!({"release": true}),
            json!({"release": "p.20161101T110033Z", "reason": "secret"}),
            json!({"retry": true}),
            json!({"retry": "p.20161101T110033Z", "code": "secret", "unknown": true}),
            json!({"retry": "p.20161101T110033Z", "reason": "secret"}),
            json!({"undo": true}),
            json!({"undo": "p.20161101T110033Z", "code": "secret"}),
            json!({"Records": []}),
        ] {
            let error = ControlEvent::read(&event).unwrap_err().to_string();
            assert!(error.contains(r#"{"pause": RUN}"#) && !error.contains("secret"), "{event}: {error}");
        }
    }
}
