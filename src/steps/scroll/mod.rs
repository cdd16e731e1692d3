//! The scroll step: starts runs, turns their pages one per invocation, and watches over the active run.
//!
//! The schedule's tick starts and watches; the pages queue carries a run: each message turns one page and the last thing
//! an invocation does is to send the message of the next turn. Every outcome of a turn is one conditional commit.

mod count;
mod evaluate;
mod fetch;
mod metrics;
mod page;
mod settle;
mod start;
mod tick;
mod turn;
mod waiting;

use serde::Serialize;
use serde_json::Value;

use crate::domain::run::decide::TurnAction;
use crate::queue::{Message, OfPages, QueueName, UnreadableMessage};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::{self, ScrollEvent, StartEvent};
use crate::runtime::invocation::Invocation;

/// What an invocation did, for the log line and the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScrollOutcome {
    /// What happened, one word each.
    pub did: Vec<Action>,
    /// The run it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Users of the page.
    pub users: u64,
    /// Patches sent.
    pub patches: u64,
    /// Pages turned.
    pub pages: u64,
    /// Pages that may be lost.
    #[serde(rename = "holes")]
    pub gaps: u64,
    /// Turns committed.
    pub turns: u64,
    /// Runs that were ended incomplete or failed, or that pause for a decision.
    pub not_complete: u64,
    /// Answers that said 429.
    pub rate_limited: u64,
    /// How much of our quota the fullest window had spent, in percent.
    pub quota_used_percent: u64,
    /// Messages and runs of a newer format, left to the newer version of the function.
    pub newer: u64,
    /// Advice to the person who sent the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
    /// Messages to be delivered again, by id.
    #[serde(skip)]
    pub redeliver: Vec<String>,
}

/// What happened to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A run began.
    Started,
    /// A start waits for the active run.
    Queued,
    /// A start that is there already.
    Known,
    /// A start that another one of its plan, which waits, makes needless; `run` is the one that it makes.
    Covered,
    /// A start that waits could not be begun, and is tried later.
    #[serde(rename = "put_off")]
    Deferred,
    /// A page was turned.
    Turned,
    /// A page may be lost, and was written down.
    #[serde(rename = "hole")]
    Gap,
    /// The turn waits.
    Waited,
    /// The scroll came to its end.
    Ended,
    /// A new generation began, or is prepared.
    Regenerated,
    /// The run failed or was stopped by a limit.
    Stopped,
    /// The present turn's message was sent again.
    Healed,
    /// A message that is not needed any more.
    Dropped,
    /// A message that somebody else works on.
    Left,
    /// A message or a start that cannot be used went to the dead-letter queue.
    Buried,
    /// Nothing was to be done.
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

/// What an EventBridge rule without an input is told.
const NO_INPUT: &str = "this event has no input: it was taken as a tick, which starts no plan. Give the rule the input \
                        {\"plan\": NAME} to start one";

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
                // The next tick may be the newer version's.
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
    (outcome.rate_limited, outcome.quota_used_percent) = clients.limiter.told();
    Ok(outcome)
}

async fn one(
    clients: &Clients,
    message: &Message,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let used = match message.of_pages() {
        Ok(OfPages::Turn(turn)) => turn::turn(clients, message, &turn, at, outcome).await,
        Ok(OfPages::Start(value)) => match StartEvent::read(&value) {
            Ok(event) => match start::start(clients, &event, at, outcome).await {
                Err(error) if error.is_final() => dead_letter(clients, message, &error.to_string(), outcome).await,
                // An outage of Intercom may last longer than a message is delivered again.
                Err(StepError::NotCounted { .. }) => start::wait(clients, &event, at, outcome).await,
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

/// Leaves a message to a newer version of the function: it comes back until that is deployed.
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
    tracing::error!(message.id, reason, "a message or a start cannot be used; it is in the dead-letter queue");
    clients.queues.dead_letter(QueueName::Pages, message, reason).await?;
    outcome.did.push(Action::Buried);
    Ok(())
}
