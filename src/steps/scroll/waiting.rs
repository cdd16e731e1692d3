//! Starts that wait: begun one after the other, each when no run is active.

use serde_json::json;

use super::count::COUNT_MS;
use super::start::{Began, begin, stored};
use super::{Action, ScrollOutcome, dead_letter};
use crate::domain::run::{Source, Start};
use crate::domain::user::UserId;
use crate::plan::Plan;
use crate::queue::Message;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// How long a start that could not be begun rests, the first time and at most.
const TRY_AGAIN_MS: i64 = 60_000;
const TRY_AGAIN_MOST_MS: i64 = 300_000;
/// Tries, after which it goes to the dead-letter queue: a day of them.
const TRIES_MAX: u32 = 300;

/// Begins the oldest start that waits and can be begun, if no run is active. One that never can goes to the dead-letter
/// queue, and the next one is begun in its place.
pub(super) async fn begin_waiting(
    clients: &Clients,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let mut failure = None;
    for waiting in clients.ledger.waiting().await? {
        let now_ms = at.clock.now_ms();
        if waiting.not_before_ms > now_ms {
            continue;
        }
        if at.left_ms() < COUNT_MS {
            break;
        }
        let error = match begin_one(clients, &waiting.start, at, outcome).await {
            // The schedule fired twice; this start decides nothing about the ones behind it.
            Ok(Began::Known) => continue,
            Ok(Began::Started | Began::Waits) => return Ok(()),
            Err(error) => error,
        };
        if error.is_final() || waiting.tries >= TRIES_MAX && !error.is_newer() {
            dead_letter_start(clients, &waiting.start, &error, outcome).await?;
            continue;
        }
        tracing::warn!(run = waiting.start.run().as_str(), tries = waiting.tries + 1, %error, "a start is put off");
        clients.ledger.defer_start(&waiting, now_ms + try_again_ms(waiting.tries)).await?;
        if matches!(error, StepError::NotCounted { .. }) {
            outcome.did.push(Action::Deferred);
        } else {
            failure = Some(error);
        }
    }
    if outcome.did.is_empty() {
        outcome.did.push(Action::Nothing);
    }
    failure.map_or(Ok(()), Err)
}

/// How long a start rests after so many tries.
fn try_again_ms(tries: u32) -> i64 {
    TRY_AGAIN_MS.saturating_mul(1 << tries.min(10)).min(TRY_AGAIN_MOST_MS)
}

/// Begins a start that waits.
async fn begin_one(
    clients: &Clients,
    start: &Start,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<Began, StepError> {
    let plan = match &start.inline {
        Some(plan) => Plan::from_json(plan)?,
        None => stored(clients, &start.plan).await?,
    };
    let start = with_ids(clients, start).await?;
    begin(clients, &start, &plan, at, outcome).await
}

/// A start that waited, with the users of its list.
async fn with_ids(clients: &Clients, start: &Start) -> Result<Start, StepError> {
    let Source::Stored(listed) = start.source else { return Ok(start.clone()) };
    let users = clients.ledger.list(&start.run()).await?;
    let found = users.len() as u64;
    if found != listed {
        return Err(StepError::ListGone { listed, found });
    }
    Ok(start.with_ids(users))
}

/// Puts a start that cannot be begun into the dead-letter queue, as a message that asks for it again.
async fn dead_letter_start(
    clients: &Clients,
    start: &Start,
    error: &StepError,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let users = clients.ledger.list(&start.run()).await?;
    let (id, receipt) = (start.run().to_string(), String::new());
    let message = Message { id, receipt, body: again(start, &users), receives: 1 };
    dead_letter(clients, &message, &error.to_string(), outcome).await?;
    Ok(clients.ledger.dequeue(start).await?)
}

/// A start as a message that asks for it again.
fn again(start: &Start, users: &[UserId]) -> String {
    let plan = start.inline.clone().unwrap_or_else(|| start.plan.clone().into());
    let time = jiff::Timestamp::from_second(start.scheduled_at_s).map(|time| time.to_string()).ok();
    let mut event = json!({"plan": plan, "time": time, "rails": start.limits});
    match &start.source {
        Source::Scroll => {}
        Source::Users(users) => event["users"] = json!(users),
        Source::Stored(_) => event["users"] = json!(users),
    }
    event.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_tried_for_a_day() {
        let waits: Vec<i64> = (0..5).map(|tries| try_again_ms(tries) / 60_000).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        let all: i64 = (0..TRIES_MAX).map(try_again_ms).sum();
        assert!((24..26).contains(&(all / 3_600_000)), "{} hours", all / 3_600_000);
    }
}
