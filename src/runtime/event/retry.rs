//! The events of a retry: the operator's request, and the start that control or the command makes of it.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::StartEvent;
use crate::domain::run::{Limits, Retry, Run, RunId};

/// A request to retry users of an ended run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// The ended run.
    pub retry: RunId,
    /// Only failed users with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The users without a known end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
    /// The time of the request, which names the new run: a repeated request makes no second one. Defaults to
    /// the present time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<jiff::Timestamp>,
    /// The most users that are written per minute. Defaults to the pace of the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_minute: Option<NonZeroU32>,
}

impl RetryRequest {
    /// Returns the users of the request.
    pub fn users(&self) -> Retry {
        Retry { run: self.retry.clone(), code: self.code.clone(), unknown: self.unknown }
    }

    /// Returns the event that starts the retry of `first` now.
    pub fn start(&self, first: &Run, now: jiff::Timestamp) -> Value {
        let given = Limits { max_per_minute: self.max_per_minute, ..Limits::default() };
        let (limits, time) = (Retry::limits(first, given), self.time.unwrap_or(now));
        json!({"plan": first.plan, "retry": self.users(), "time": time.to_string(), "limits": limits})
    }
}

impl StartEvent {
    pub(super) fn check_retry(&self) -> Result<(), &'static str> {
        let Some(retry) = &self.retry else { return Ok(()) };
        if self.users.is_some() || self.limits.dry_run {
            return Err("a retry takes neither `users` nor `dry_run`");
        }
        if self.plan.as_str() != Some(retry.run.plan()) {
            return Err("the `plan` of a retry is the name of its run's plan");
        }
        retry.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::Source;

    #[test]
    fn retry_names_its_run_and_plan() {
        let start = |plan: &str, further: Value| {
            let mut event = json!({"plan": plan, "retry": {"run": "price.1"}});
            event.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
            StartEvent::read(&event)
        };
        assert!(matches!(start("price", json!({})).unwrap().source(), Source::Retry(_)));
        for (plan, further) in [
            ("tier", json!({})),
            ("price", json!({"users": ["a"]})),
            ("price", json!({"limits": {"dry_run": true}})),
            ("price", json!({"retry": {"run": "price.1", "code": "x", "unknown": true}})),
            ("price", json!({"retry": {"run": "price.1", "kode": "x"}})),
            ("price", json!({"retry": {"run": "../x"}})),
        ] {
            assert!(start(plan, further.clone()).is_err(), "{plan} {further}");
        }
    }

    #[test]
    fn a_repeated_request_names_the_same_run() {
        let first = json!({"v": 3, "run": "price.1", "plan": "price", "state": "complete_with_errors", "generation": 1,
            "started_ms": 0, "deadline_ms": 0, "rails": {"max_per_minute": 60}});
        let first: Run = serde_json::from_value(first).unwrap();
        let request = |more: Value| {
            let mut event = json!({"retry": "price.1"});
            event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<RetryRequest>(event).unwrap()
        };
        let now: jiff::Timestamp = "2016-11-24T10:05:00Z".parse().unwrap();
        let named = |request: &RetryRequest, now| StartEvent::read(&request.start(&first, now)).unwrap().run().unwrap();
        let timed = request(json!({"time": "2016-11-24T10:00:00Z"}));
        let later = now + jiff::SignedDuration::from_secs(9);
        assert_eq!(named(&timed, now), named(&timed, later));
        let others = [request(json!({})), request(json!({"unknown": true})), request(json!({"code": "x"})), timed];
        let all: std::collections::BTreeSet<_> = others.iter().map(|request| named(request, now)).collect();
        assert_eq!(all.len(), others.len());
        let start = StartEvent::read(&others[0].start(&first, now)).unwrap();
        assert_eq!((start.limits.max_per_minute.map(NonZeroU32::get), start.limits.accept_unseen), (Some(60), true));
    }
}
