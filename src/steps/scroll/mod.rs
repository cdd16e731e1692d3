//! The scroll step: starts runs, turns their pages one per invocation, and checks the active run.
//!
//! A tick of the schedule starts waiting runs and checks the active one. Each message of the pages
//! queue turns one page. The outcome of a turn is one conditional commit, after which the
//! invocation sends the message of the next turn.

mod api;
mod by_id;
mod count;
mod earlier;
mod evaluate;
mod fetch;
mod metrics;
mod page;
mod paused;
mod preflight;
mod reading;
mod saved;
mod settle;
mod start;
mod stored;
mod tick;
mod turn;
mod waiting;

use serde::Serialize;
use serde_json::Value;

use crate::domain::api::ApiVersion;
use crate::domain::run::decide::TurnAction;
use crate::queue::{Message, PagesMessage, QueueName, UnreadableMessage};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::{self, ScrollEvent, StartEvent};
use crate::runtime::invocation::Invocation;

/// The outcome of an invocation, for the log line and the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScrollOutcome {
    /// The actions, in order.
    pub did: Vec<Action>,
    /// The run of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Users of the page.
    pub users: u64,
    /// Patches sent.
    pub patches: u64,
    /// Pages turned.
    pub pages: u64,
    /// Pages that may be lost, recorded as gaps.
    #[serde(rename = "holes")]
    pub gaps: u64,
    /// Turns committed.
    pub turns: u64,
    /// Runs that ended incomplete or failed, or that were paused.
    pub not_complete: u64,
    /// Waits of a run for earlier jobs or requests, and of a start while no run is active, that have
    /// lasted for more than an hour.
    pub long_waits: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// The highest use of our quota in a rate window, in percent.
    pub quota_used_percent: u64,
    /// Messages and runs of a newer format, which are left to the newer version of the function.
    pub newer: u64,
    /// The version of the API of the run that began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiVersion>,
    /// The reason for that version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_reason: Option<String>,
    /// Advice for the sender of the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
    /// Ids of messages to deliver again.
    #[serde(skip)]
    pub redeliver: Vec<String>,
}

/// An action of an invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A run began.
    Started,
    /// A start was queued behind the active run.
    Queued,
    /// The start's run exists, or the start is queued already.
    Known,
    /// A queued start of the same plan makes this start redundant. `run` is the queued start's run.
    Covered,
    /// A page was turned.
    Turned,
    /// A page may be lost and was recorded as a gap.
    #[serde(rename = "hole")]
    Gap,
    /// The turn was postponed.
    Waited,
    /// The pages ended.
    Ended,
    /// A new generation began or is being prepared.
    Regenerated,
    /// A paused run continues where it was.
    Resumed,
    /// The run failed or was stopped by a limit.
    Stopped,
    /// The present turn's message was resent.
    Healed,
    /// An obsolete message was deleted.
    Dropped,
    /// A message was left in the queue, because another invocation holds the turn's lease.
    Left,
    /// An unusable message or start was sent to the dead-letter queue.
    Buried,
    /// There was no work.
    Nothing,
}

impl From<TurnAction> for Action {
    fn from(action: TurnAction) -> Self {
        match action {
            TurnAction::Turned => Self::Turned,
            TurnAction::Gap => Self::Gap,
            TurnAction::Waited => Self::Waited,
            TurnAction::Ended => Self::Ended,
            TurnAction::Regenerated => Self::Regenerated,
            TurnAction::Stopped => Self::Stopped,
        }
    }
}

/// The hint for an EventBridge rule without an input.
const NO_INPUT: &str = "this event has no input, so it counts as a tick, which starts no plan. To start a plan, give the \
                        rule the input {\"plan\": NAME}";

/// Handles one event.
pub async fn handle(clients: &Clients, event: &Value, at: &Invocation) -> Result<ScrollOutcome, StepError> {
    let mut outcome = ScrollOutcome::default();
    match ScrollEvent::read(event)? {
        ScrollEvent::Tick => {
            if event::has_no_input(event) {
                tracing::warn!("{NO_INPUT}");
                outcome.hint = Some(NO_INPUT);
            }
            match tick::tick(clients, at, &mut outcome).await {
                // The newer version may handle the next tick.
                Err(error) if error.is_newer() => {
                    tracing::error!(%error, "the active run is left to a newer version of the function");
                    outcome.did.push(Action::Left);
                    outcome.newer += 1;
                }
                done => done?,
            }
        }
        ScrollEvent::Resume(why) => tick::resume(clients, why, at, &mut outcome).await?,
        ScrollEvent::Start(event) => start::start(clients, &event, at, &mut outcome).await?,
        ScrollEvent::Messages(messages) => {
            for message in &messages {
                one(clients, message, at, &mut outcome).await?;
            }
        }
    }
    let usage = clients.limiter.take_usage();
    outcome.rate_limited = usage.rate_limited;
    outcome.quota_used_percent = usage.quota_used_percent;
    Ok(outcome)
}

async fn one(
    clients: &Clients,
    message: &Message,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let used = match message.pages_message() {
        Ok(PagesMessage::Turn(turn)) => turn::turn(clients, message, &turn, at, outcome).await,
        Ok(PagesMessage::Start(value)) => match StartEvent::read(&value) {
            Ok(event) => match start::start(clients, &event, at, outcome).await {
                Err(error) if error.is_final() => dead_letter(clients, message, &error.to_string(), outcome).await,
                done => done,
            },
            Err(error) => dead_letter(clients, message, &error.to_string(), outcome).await,
        },
        Err(UnreadableMessage::Malformed(reason)) => dead_letter(clients, message, &reason, outcome).await,
        Err(error @ UnreadableMessage::Newer(_)) => {
            leave(clients, message, &error.to_string(), outcome).await;
            return Ok(());
        }
    };
    match used {
        Err(error) if error.is_newer() => {
            leave(clients, message, &error.to_string(), outcome).await;
            Ok(())
        }
        used => used,
    }
}

/// Leaves a message to a newer version of the function. The queue delivers it again until that
/// version is deployed.
async fn leave(clients: &Clients, message: &Message, reason: &str, outcome: &mut ScrollOutcome) {
    tracing::error!(message.id, reason, "a message is left to a newer version of the function");
    turn::hide(clients, message, message.rest_for_newer_ms()).await;
    outcome.redeliver.push(message.id.clone());
    outcome.did.push(Action::Left);
    outcome.newer += 1;
}

async fn dead_letter(
    clients: &Clients,
    message: &Message,
    reason: &str,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    tracing::error!(message.id, reason, "sending an unusable message or start to the dead-letter queue");
    clients.queues.dead_letter(QueueName::Pages, message, reason).await?;
    outcome.did.push(Action::Buried);
    Ok(())
}
