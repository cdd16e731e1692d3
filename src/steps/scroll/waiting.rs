//! Queued starts: begins them one after another, each when no run is active.

use serde_json::json;

use super::count::COUNT_MS;
use super::start::{Began, begin, note_wait};
use super::{Action, ScrollOutcome, dead_letter, earlier, stored};
use crate::domain::run::{Run, Source, Start};
use crate::domain::user::UserId;
use crate::plan::Plan;
use crate::queue::Message;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// The first wait after a failed start, in milliseconds. Each further wait is twice as long.
const TRY_AGAIN_MS: i64 = 60_000;
/// The longest such wait, in milliseconds.
const TRY_AGAIN_MOST_MS: i64 = 300_000;
/// The first wait after an unanswered question for the API, the workspace or the attributes, in milliseconds.
/// Each further wait is twice as long, and at most [`TRY_AGAIN_MOST_MS`].
const ASK_AGAIN_MS: i64 = 5_000;
/// Tries before a start goes to the dead-letter queue: about one day.
const TRIES_MAX: u32 = 300;

/// Begins the oldest queued start that can begin, if no run is active, or in place of a `paused` one that
/// gives way to it. A start that fails permanently goes to the dead-letter queue, and the next one begins
/// in its place.
pub(super) async fn begin_waiting(
    clients: &Clients,
    paused: Option<&Run>,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let mut failure = None;
    let waiting = clients.ledger.waiting().await?;
    for waiting in waiting.into_iter().filter(|waiting| paused.is_none_or(|run| run.gives_way_to(&waiting.start))) {
        let now_ms = at.clock.now_ms();
        if waiting.not_before_ms > now_ms {
            // Each tick counts a long wait for the alarm, also between two tries.
            outcome.long_waits += u64::from(waiting.wait.is_some_and(|wait| wait.is_long()));
            continue;
        }
        if at.left_ms() < COUNT_MS {
            break;
        }
        let error = match begin_one(clients, &waiting.start, at, outcome).await {
            // The schedule fired twice. This start does not affect the starts behind it.
            Ok(Began::Known) => continue,
            Ok(Began::Started | Began::Waits) => return Ok(()),
            Ok(Began::Unanswered(_)) if waiting.tries < TRIES_MAX => {
                let not_before_ms = now_ms + ask_again_ms(waiting.tries);
                return Ok(clients.ledger.defer_start(&waiting, not_before_ms).await?);
            }
            Ok(Began::Unanswered(error)) | Err(error) => error,
        };
        if error.is_final() || waiting.tries >= TRIES_MAX && !error.is_newer() {
            dead_letter_start(clients, &waiting.start, &error, outcome).await?;
            continue;
        }
        tracing::warn!(run = waiting.start.run().as_str(), tries = waiting.tries + 1, %error, "a start is deferred");
        clients.ledger.defer_start(&waiting, now_ms + try_again_ms(waiting.tries)).await?;
        note_wait(clients, &waiting.start, &error.to_string(), at, outcome).await?;
        failure = Some(error);
    }
    if outcome.did.is_empty() {
        outcome.did.push(Action::Nothing);
    }
    failure.map_or(Ok(()), Err)
}

/// Returns the wait after this many tries, in milliseconds.
fn try_again_ms(tries: u32) -> i64 {
    TRY_AGAIN_MS.saturating_mul(1 << tries.min(10)).min(TRY_AGAIN_MOST_MS)
}

/// Returns the wait after this many unanswered questions, in milliseconds.
fn ask_again_ms(tries: u32) -> i64 {
    ASK_AGAIN_MS.saturating_mul(1 << tries.min(10)).min(TRY_AGAIN_MOST_MS)
}

/// Begins a queued start.
async fn begin_one(
    clients: &Clients,
    start: &Start,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<Began, StepError> {
    let plan = match (&start.inline, start.source.earlier()) {
        (_, Some(of)) => earlier::plan(clients, of, at).await?,
        (Some(plan), None) => Plan::from_json(plan)?,
        (None, None) => stored::plan(clients, &start.plan, start.unhold).await?,
    };
    let start = with_ids(clients, start).await?;
    begin(clients, &start, &plan, at, outcome).await
}

/// Returns a queued start with the user ids of its list.
///
/// # Errors
/// [`StepError::ListGone`] if the ledger does not have the whole list.
async fn with_ids(clients: &Clients, start: &Start) -> Result<Start, StepError> {
    let Source::Stored(listed) = start.source else { return Ok(start.clone()) };
    let users = clients.ledger.list(&start.run()).await?;
    let found = users.len() as u64;
    if found != listed {
        return Err(StepError::ListGone { listed, found });
    }
    Ok(start.with_ids(users))
}

/// Sends a start that cannot begin to the dead-letter queue, as a message that starts it when
/// redriven.
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

/// Returns the message body that repeats a start.
fn again(start: &Start, users: &[UserId]) -> String {
    let plan = start.inline.clone().unwrap_or_else(|| start.plan.clone().into());
    let time = jiff::Timestamp::from_second(start.scheduled_at_s).map(|time| time.to_string()).ok();
    let mut event = json!({"plan": plan, "time": time, "rails": start.limits});
    for (name, value) in [("supersede", start.supersede), ("unhold", start.unhold)] {
        if value {
            event[name] = json!(true);
        }
    }
    match &start.source {
        Source::All => {}
        Source::Users(users) => event["users"] = json!(users),
        Source::Stored(_) => event["users"] = json!(users),
        Source::Retry(retry) => event["retry"] = json!(retry),
        Source::Saved(saved) => event["saved"] = json!(saved),
        Source::Undo(undo) => event["undo"] = json!(undo),
    }
    event.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failing_start_is_tried_for_a_day() {
        let waits: Vec<i64> = (0..5).map(|tries| try_again_ms(tries) / 60_000).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
        let all: i64 = (0..TRIES_MAX).map(try_again_ms).sum();
        assert!((24..26).contains(&(all / 3_600_000)), "{} hours", all / 3_600_000);
        let waits: Vec<i64> = (0..8).map(|tries| ask_again_ms(tries) / 1000).collect();
        assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    }
}
