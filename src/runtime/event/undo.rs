//! The events of an undo: the operator's request, and the start that control or the command makes of it.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::StartEvent;
use crate::domain::run::{Limits, Retry, Run, RunId, Undo};

/// A request to undo an ended run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoRequest {
    /// The ended run.
    pub undo: RunId,
    /// Only read the users and count what would be restored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// The time of the request, which names the new run: a repeated request makes no second one. Defaults to
    /// the present time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<jiff::Timestamp>,
    /// The most users that are written per minute. Defaults to the pace of the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_minute: Option<NonZeroU32>,
}

impl UndoRequest {
    /// Returns the undo of the request.
    pub fn of(&self) -> Undo {
        Undo { run: self.undo.clone() }
    }

    /// Returns the event that starts the undo of `first` now.
    pub fn start(&self, first: &Run, now: jiff::Timestamp) -> Value {
        let Self { dry_run, max_per_minute, .. } = *self;
        let limits = Retry::limits(first, Limits { dry_run, max_per_minute, ..Limits::default() });
        let time = self.time.unwrap_or(now);
        json!({"plan": first.plan, "undo": self.of(), "time": time.to_string(), "limits": limits})
    }
}

impl StartEvent {
    pub(super) fn check_undo(&self) -> Result<(), &'static str> {
        let Some(undo) = &self.undo else {
            let is_of_stored = self.plan.is_string() && self.retry.is_none();
            return if self.unhold && !is_of_stored { Err("`unhold` is about a stored plan") } else { Ok(()) };
        };
        if self.users.is_some() || self.retry.is_some() || self.unhold {
            return Err("an undo takes neither `users` nor `retry` nor `unhold`");
        }
        if self.plan.as_str() != Some(undo.run.plan()) {
            return Err("the `plan` of an undo is the name of its run's plan");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::Source;

    #[test]
    fn undo_names_its_run_and_plan() {
        let start = |plan: Value, further: Value| {
            let mut event = json!({"plan": plan, "undo": {"run": "price.1"}});
            event.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
            StartEvent::read(&event)
        };
        assert!(matches!(start(json!("price"), json!({})).unwrap().source(), Source::Undo(_)));
        assert!(start(json!("price"), json!({"limits": {"dry_run": true}})).is_ok());
        for (plan, further) in [
            (json!("tier"), json!({})),
            (json!({"name": "price"}), json!({})),
            (json!("price"), json!({"users": ["a"]})),
            (json!("price"), json!({"unhold": true})),
            (json!("price"), json!({"retry": {"run": "price.1"}})),
            (json!("price"), json!({"undo": {"run": "price.1", "code": "x"}})),
            (json!("price"), json!({"undo": {"run": "../x"}})),
        ] {
            assert!(start(plan.clone(), further.clone()).is_err(), "{plan} {further}");
        }
        let unhold = |plan: Value| StartEvent::read(&json!({"plan": plan, "unhold": true}));
        assert!(unhold(json!("price")).is_ok() && unhold(json!({"name": "price"})).is_err());
    }

    #[test]
    fn a_repeated_request_names_the_same_run() {
        let first = json!({"v": 3, "run": "price.1", "plan": "price", "state": "complete", "generation": 1,
            "started_ms": 0, "deadline_ms": 0, "rails": {"max_per_minute": 60}});
        let first: Run = serde_json::from_value(first).unwrap();
        let request = |dry_run: bool| UndoRequest {
            undo: first.id.clone(),
            dry_run,
            time: "2016-11-24T10:00:00Z".parse().ok(),
            max_per_minute: None,
        };
        let now: jiff::Timestamp = "2016-11-24T10:05:00Z".parse().unwrap();
        let start = |request: &UndoRequest, now| StartEvent::read(&request.start(&first, now)).unwrap();
        let later = now + jiff::SignedDuration::from_secs(9);
        assert_eq!(start(&request(false), now).run(), start(&request(false), later).run());
        assert_ne!(start(&request(false), now).run(), start(&request(true), now).run());
        assert_eq!(start(&request(false), now).limits.max_per_minute.map(NonZeroU32::get), Some(60));
    }
}
