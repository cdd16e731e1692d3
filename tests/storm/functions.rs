//! The functions as Lambda runs them. An environment handles one invocation at a time, is reused,
//! and dies with a crash. Lambda also enforces time-outs, and the mapping reads the answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use intercom_bulk::domain::clock::Clock;
use intercom_bulk::runtime::clients::{Clients, StepError};
use intercom_bulk::runtime::invocation::Invocation;
use intercom_bulk::runtime::token::StoredToken;
use intercom_bulk::{runtime::event, steps::check, steps::control, steps::scroll, steps::submit};
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;

use crate::await_point::Step;
use crate::seams::intercom;
use crate::storm::{Storm, Who};

/// The time-outs of submit and check, as in the template.
pub(crate) const LONG_TIMEOUT: Duration = Duration::from_mins(5);

/// The time-out of control, as in the template.
const CONTROL_TIMEOUT: Duration = Duration::from_mins(1);

/// A warm process of one function, with its own clock.
struct Environment {
    clients: Clients,
    token: StoredToken,
    skew_ms: i64,
}

/// The functions.
pub(crate) struct Functions {
    pub(crate) storm: Arc<Storm>,
    clients: Clients,
    idle: Mutex<BTreeMap<Step, Vec<Environment>>>,
}

/// Records the end of an invocation when its future is dropped, also by Lambda's time-out.
struct Begun<'a> {
    storm: &'a Storm,
    who: Who,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Some(invoked) = self.storm.over(self.who) {
            self.storm.promises.cut_off(&invoked);
            self.storm.weather.note(|| format!("#{} is over", self.who));
        }
    }
}

impl Functions {
    pub(crate) fn new(storm: Arc<Storm>, clients: Clients) -> Self {
        Self { storm, clients, idle: Mutex::default() }
    }

    fn environment(&self, step: Step) -> Environment {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(step).or_default().pop().unwrap_or_else(|| {
            let skew = self.storm.story.skew_ms;
            let skew_ms = self.storm.weather.draw(0..=2 * skew.unsigned_abs()) as i64 - skew;
            let shared = &self.clients;
            let (ledger, queues, settings) = (shared.ledger.clone(), shared.queues.clone(), shared.settings.clone());
            let token = intercom::token(&self.storm);
            let clients = Clients::new(intercom::client(&self.storm, &token), ledger, queues, settings);
            Environment { clients, token, skew_ms }
        })
    }

    /// Invokes a function, as a mapping or a schedule does.
    pub(crate) async fn invoke(&self, step: Step, event: Value) -> Result<Value, String> {
        let most = match step {
            Step::Scroll => self.clients.settings.scroll_timeout(),
            Step::Submit | Step::Check => LONG_TIMEOUT,
            Step::Control => CONTROL_TIMEOUT,
        };
        let environment = self.environment(step);
        let clock = Clock::starting_at(self.storm.now_ms() + environment.skew_ms);
        let who = self.storm.begin(step, &event, environment.skew_ms);
        let begun = Begun { storm: &self.storm, who };
        let at = Invocation {
            clock,
            request_id: format!("request-{who}"),
            deadline_ms: clock.now_ms() + most.as_millis() as i64,
            stop: None,
        };
        self.storm.weather.note(|| format!("#{who} {step:?} begins: {}", short(&event)));
        let handled = async {
            // As in `infra/function`: scroll works without a token where it can, submit and check
            // require one. Control never reads it.
            if step != Step::Control
                && let Err(error) = environment.token.ready(clock).await
                && step != Step::Scroll
            {
                return Err(error.to_string());
            }
            handle(step, &environment.clients, &event, &at).await.map_err(|error| error.to_string())
        };
        let handled = self.storm.watched(who, handled);
        let ended = timeout(most, handled).await;
        let answer = match ended {
            Ok(Some(done)) => {
                if done.is_err() && step == Step::Scroll {
                    self.storm.turn_failed(who, at.left_ms()).await;
                }
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.entry(step).or_default().push(environment);
                done
            }
            Ok(None) => Err("the process died".to_owned()),
            Err(_) => Err("the function timed out".to_owned()),
        };
        self.storm.weather.note(|| match &answer {
            Ok(done) => format!("#{who} {step:?} ends: {done}"),
            Err(error) => format!("#{who} {step:?} fails: {error}"),
        });
        self.storm.invocation_ended(who, answer.is_ok()).await;
        if let Some(run) = self.storm.invoked(Some(who)).filter(|_| answer.is_ok()).and_then(|invoked| invoked.run) {
            self.storm.paused_run_has_no_lease(who, &run).await;
        }
        drop(begun);
        answer
    }
}

async fn handle(step: Step, clients: &Clients, event: &Value, at: &Invocation) -> Result<Value, StepError> {
    match step {
        Step::Scroll => {
            let outcome = scroll::handle(clients, event, at).await?;
            Ok(answer(event, &outcome, &outcome.redeliver))
        }
        Step::Submit => {
            let outcome = submit::handle(clients, event, at).await?;
            let redeliver: Vec<String> = outcome.redeliver.iter().cloned().collect();
            Ok(answer(event, &outcome, &redeliver))
        }
        Step::Check => {
            let outcome = check::handle(clients, event, at).await?;
            Ok(answer(event, &outcome, &[]))
        }
        Step::Control => {
            let outcome = control::handle(clients, event, at).await?;
            Ok(answer(event, &outcome, &[]))
        }
    }
}

/// Returns a function's answer to Lambda: the failed messages of a batch, or else its outcome.
fn answer<T: Serialize>(event: &Value, outcome: &T, redeliver: &[String]) -> Value {
    if event.get("Records").is_some() {
        event::batch_response(redeliver)
    } else {
        serde_json::to_value(outcome).unwrap_or_default()
    }
}

/// Returns an event in short form, for the trace.
fn short(event: &Value) -> String {
    match event["Records"].as_array() {
        None => event.to_string().chars().take(60).collect(),
        Some(records) => {
            let one = |record: &Value| {
                let (id, receives) = (&record["messageId"], &record["attributes"]["ApproximateReceiveCount"]);
                let body: String = record["body"].as_str().unwrap_or_default().chars().take(110).collect();
                format!("{} ({}) {body}", id.as_str().unwrap_or_default(), receives.as_str().unwrap_or_default())
            };
            records.iter().map(one).collect::<Vec<_>>().join(" | ")
        }
    }
}
