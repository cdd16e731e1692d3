//! The control step: an operator's event in, one function of [`crate::control`] called, the run's
//! state out.

mod request;

use serde::Serialize;
use serde_json::Value;

use super::resume::resume;
use crate::control::{self, Acted, Released};
use crate::domain::clock::Clock;
use crate::domain::run::{Run, RunId, SettleTimes, State};
use crate::ledger::Ledger;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::{ControlEvent, Resume, Target};
use crate::runtime::invocation::Invocation;

/// The outcome of an event, for the log line and the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ControlOutcome {
    /// The change that this event made.
    pub did: Change,
    /// The run; `None` if the event names the active run and none is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Its state after the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// The reason for its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The reason why the event changed nothing, or the effect of a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The change that an event made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The run is paused now, or an operator holds its pause now.
    Paused,
    /// The run continues.
    Resumed,
    /// The run is cancelled.
    Cancelled,
    /// Later runs do not wait for the jobs of the run any more.
    Released,
    /// A new run is requested.
    Requested,
    /// It was so already, or it cannot change.
    Nothing,
}

/// Handles one event. A second, equal event has no effect.
pub async fn handle(clients: &Clients, event: &Value, at: &Invocation) -> Result<ControlOutcome, StepError> {
    let event = ControlEvent::read(event)?;
    let outcome = match &event {
        ControlEvent::Resume(target) => continue_run(clients, target, at).await?,
        ControlEvent::Pause(_) | ControlEvent::Cancel { .. } => stop(&clients.ledger, &event, at.clock).await?,
        ControlEvent::Release(run) => release(&clients.ledger, run, &clients.settings.settle_times(), at.clock).await?,
        ControlEvent::Retry(request) => request::retry(clients, request, at.clock).await?,
        ControlEvent::Undo(request) => request::undo(clients, request, at.clock).await?,
    };
    Ok(outcome)
}

/// Carries out a pause or a cancel, which need the ledger only. Other events have no effect.
pub async fn stop(ledger: &Ledger, event: &ControlEvent, clock: Clock) -> Result<ControlOutcome, StepError> {
    let now_ms = clock.now_ms();
    let (target, did, acted) = match event {
        ControlEvent::Pause(target) => (target, Change::Paused, control::hold(ledger, target, now_ms).await?),
        ControlEvent::Cancel { target, reason } => {
            let by = "cancelled by an operator";
            let reason = reason.as_ref().map_or_else(|| by.to_owned(), |reason| format!("{by}: {reason}"));
            (target, Change::Cancelled, control::stop(ledger, target, &reason, now_ms).await?)
        }
        ControlEvent::Resume(target) => (target, Change::Nothing, control::find(ledger, target).await?.map(unchanged)),
        ControlEvent::Release(_) | ControlEvent::Retry(_) | ControlEvent::Undo(_) => {
            (&Target::Active, Change::Nothing, None)
        }
    };
    outcome(target, did, acted)
}

/// Lets later runs begin before the jobs of an ended run are closed. An older value may come later.
pub async fn release(
    ledger: &Ledger,
    id: &RunId,
    times: &SettleTimes,
    clock: Clock,
) -> Result<ControlOutcome, StepError> {
    let released = control::release(ledger, id, times, clock).await?;
    let Some(run) = ledger.run(id).await? else { return Err(StepError::NoRun { run: id.clone() }) };
    let (did, hint) = match released {
        Released::Now { until_ms, why } => (
            Change::Released,
            format!("{why}: later runs wait no longer for that, only for its requests, until {}", time(until_ms)),
        ),
        Released::Before { .. } => (Change::Nothing, "the run was released before".to_owned()),
        Released::Settled => (Change::Nothing, "the run is settled: no run waits for it".to_owned()),
        Released::NotEnded(_) => (Change::Nothing, "the run has not ended: cancel it first".to_owned()),
        Released::Unknown => return Err(StepError::NoRun { run: id.clone() }),
    };
    let state = Some(run.state);
    Ok(ControlOutcome { did, run: Some(id.to_string()), state, reason: run.reason, hint: Some(hint) })
}

/// Formats a time in UTC.
fn time(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Continues a paused run.
async fn continue_run(clients: &Clients, target: &Target, at: &Invocation) -> Result<ControlOutcome, StepError> {
    let Some(run) = control::find(&clients.ledger, target).await? else {
        return outcome(target, Change::Nothing, None);
    };
    if run.state != State::Paused {
        return outcome(target, Change::Nothing, Some(unchanged(run)));
    }
    resume(clients, Resume::Requested, at).await?;
    let run = clients.ledger.run(&run.id).await?.unwrap_or(run);
    let changed = run.state != State::Paused;
    outcome(target, Change::Resumed, Some(Acted { run, changed }))
}

fn unchanged(run: Run) -> Acted {
    Acted { run, changed: false }
}

/// Returns the outcome of an event that makes the change `did`.
///
/// # Errors
/// [`StepError::NoRun`] if the event names a run that does not exist.
fn outcome(target: &Target, did: Change, acted: Option<Acted>) -> Result<ControlOutcome, StepError> {
    let nothing = ControlOutcome { did: Change::Nothing, run: None, state: None, reason: None, hint: None };
    let Some(Acted { run, changed }) = acted else {
        return match target {
            Target::Active => Ok(ControlOutcome { hint: Some("no run is active".to_owned()), ..nothing }),
            Target::Run(run) => Err(StepError::NoRun { run: run.clone() }),
        };
    };
    let hint = match (changed, run.state) {
        (true, _) => None,
        (false, State::Paused) if did == Change::Paused => Some("the run is paused already"),
        (false, State::Cancelled) => Some("the run is cancelled already"),
        (false, state) if state.ended() => Some("the run has ended"),
        (false, _) if did == Change::Paused || did == Change::Cancelled => {
            Some("the run changed at each try: send the event again")
        }
        (false, State::Paused) => Some("the run changed at each try: send the event again"),
        (false, _) => Some("the run is not paused"),
    };
    let (state, id) = (Some(run.state), Some(run.id.to_string()));
    let did = if changed { did } else { Change::Nothing };
    Ok(ControlOutcome { did, run: id, state, reason: run.reason, hint: hint.map(ToOwned::to_owned) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(state: &str) -> Run {
        let run = json!({"v": 1, "run": "p.1", "plan": "p", "state": state, "generation": 1, "started_ms": 0,
            "deadline_ms": 0});
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn outcome_says_what_changed_or_why_nothing_did() {
        for (did, state, changed, hint) in [
            (Change::Paused, "paused", true, None),
            (Change::Paused, "paused", false, Some("the run is paused already")),
            (Change::Paused, "complete", false, Some("the run has ended")),
            (Change::Paused, "running", false, Some("the run changed at each try: send the event again")),
            (Change::Resumed, "draining", true, None),
            (Change::Nothing, "running", false, Some("the run is not paused")),
            (Change::Resumed, "paused", false, Some("the run changed at each try: send the event again")),
            (Change::Cancelled, "cancelled", true, None),
            (Change::Cancelled, "cancelled", false, Some("the run is cancelled already")),
            (Change::Cancelled, "failed", false, Some("the run has ended")),
        ] {
            let said = outcome(&Target::Active, did, Some(Acted { run: run(state), changed })).unwrap();
            assert_eq!(
                (said.hint.as_deref(), said.did == Change::Nothing),
                (hint, !changed),
                "{did:?} {state} {changed}"
            );
        }
    }

    #[test]
    fn missing_run_is_an_error_only_if_it_is_named() {
        let none = outcome(&Target::Active, Change::Paused, None).unwrap();
        assert_eq!(json!(none), json!({"did": "nothing", "hint": "no run is active"}));
        let named = Target::Run(RunId::parse("p.1").unwrap());
        assert!(matches!(outcome(&named, Change::Paused, None), Err(StepError::NoRun { .. })));
    }
}
