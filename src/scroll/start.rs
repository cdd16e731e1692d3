//! Starts: by event or message; begun at once, or queued behind the active run.

use std::time::Duration;

use serde_json::json;

use super::{Did, Outcome, bury};
use crate::binding;
use crate::clients::{Clients, StepError};
use crate::event::StartEvent;
use crate::intercom::{Disposition, disposition};
use crate::invocation::Invocation;
use crate::ledger::{Active, Begin, Grant, Queued, Share};
use crate::meter::Ask;
use crate::plan::Plan;
use crate::queue::Message;
use crate::run::{Cursor, FORMAT, MaxChanges, Phase, Run, Source, Start, State, deadline_ms};
use crate::user::UserId;

/// The count must leave the invocation time for the start itself.
const COUNT_TIMEOUT: Duration = Duration::from_secs(8);
const COUNT_MS: i64 = COUNT_TIMEOUT.as_millis() as i64 + 5_000;
/// How long a start that could not be begun rests, the first time and at most.
const TRY_AGAIN_MS: i64 = 60_000;
const TRY_AGAIN_MOST_MS: i64 = 300_000;
/// Tries, after which it goes to the dead-letter queue: a day of them.
const TRIES_MAX: u32 = 300;

/// Takes a start as an event brings it. A plan that cannot be used is refused here: nothing is started.
pub(super) async fn start(
    clients: &Clients,
    event: &StartEvent,
    at: &Invocation,
    outcome: &mut Outcome,
) -> Result<(), StepError> {
    let (start, plan) = read(clients, event, at).await?;
    // A start that is there already decides nothing about a run that pauses.
    if clients.ledger.run(&start.run()).await?.is_none() {
        make_way(clients, &start, at).await?;
    }
    begin(clients, &start, &plan, at, outcome).await.map(drop)
}

/// Lets a start wait that an event brings and that cannot be begun now: the ticks try it.
pub(super) async fn wait(
    clients: &Clients,
    event: &StartEvent,
    at: &Invocation,
    outcome: &mut Outcome,
) -> Result<(), StepError> {
    let (start, _) = read(clients, event, at).await?;
    queue(clients, &start, at, outcome).await
}

/// The start that an event brings, and its plan.
async fn read(clients: &Clients, event: &StartEvent, at: &Invocation) -> Result<(Start, Plan), StepError> {
    let inline = event.plan.is_object().then(|| event.plan.clone());
    let plan = match (&inline, event.plan.as_str()) {
        (Some(plan), _) => Plan::from_json(plan)?,
        (None, name) => stored(clients, name.unwrap_or_default()).await?,
    };
    let scheduled_at_s = event.time.map_or(at.clock.now_s(), jiff::Timestamp::as_second);
    let start = Start::new(plan.name(), inline, scheduled_at_s, event.source(), event.rails.clone());
    Ok((start, plan))
}

async fn stored(clients: &Clients, name: &str) -> Result<Plan, StepError> {
    let found = clients.ledger.stored_plan(name).await?;
    let plan = found.ok_or_else(|| StepError::NoPlan { name: name.to_owned() })?;
    Ok(Plan::from_json(&plan)?)
}

/// A paused run gives way to a later start: it waits for a decision, and the start is one.
pub(super) async fn make_way(clients: &Clients, start: &Start, at: &Invocation) -> Result<(), StepError> {
    let Some(active) = clients.ledger.active().await?.run else { return Ok(()) };
    let Some(run) = clients.ledger.run(&active).await? else { return Ok(()) };
    if run.state == State::Paused && active != start.run() {
        let reason = format!("a later start, {}, took its place while it was paused", start.run());
        clients.ledger.end(&run, State::Cancelled, Some(&reason), None, at.clock.now_ms()).await?;
    }
    Ok(())
}

/// Begins the oldest start that waits and can be begun, if no run is active. One that never can goes to the dead-letter
/// queue, and the next one is begun in its place.
pub(super) async fn begin_waiting(clients: &Clients, at: &Invocation, outcome: &mut Outcome) -> Result<(), StepError> {
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
            bury_start(clients, &waiting.start, &error, outcome).await?;
            continue;
        }
        tracing::warn!(run = waiting.start.run().as_str(), tries = waiting.tries + 1, %error, "a start is put off");
        clients.ledger.put_off_start(&waiting, now_ms + try_again_ms(waiting.tries)).await?;
        if matches!(error, StepError::NotCounted { .. }) {
            outcome.did.push(Did::PutOff);
        } else {
            failure = Some(error);
        }
    }
    if outcome.did.is_empty() {
        outcome.did.push(Did::Nothing);
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
    outcome: &mut Outcome,
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
async fn bury_start(
    clients: &Clients,
    start: &Start,
    error: &StepError,
    outcome: &mut Outcome,
) -> Result<(), StepError> {
    let users = clients.ledger.list(&start.run()).await?;
    let (id, receipt) = (start.run().to_string(), String::new());
    let message = Message { id, receipt, body: again(start, &users), receives: 1 };
    bury(clients, &message, &error.to_string(), outcome).await?;
    Ok(clients.ledger.dequeue(start).await?)
}

/// A start as a message that asks for it again.
fn again(start: &Start, users: &[UserId]) -> String {
    let plan = start.inline.clone().unwrap_or_else(|| start.plan.clone().into());
    let time = jiff::Timestamp::from_second(start.scheduled_at_s).map(|time| time.to_string()).ok();
    let mut event = json!({"plan": plan, "time": time, "rails": start.rails});
    match &start.source {
        Source::Scroll => {}
        Source::Users(users) => event["users"] = json!(users),
        Source::Stored(_) => event["users"] = json!(users),
    }
    event.to_string()
}

/// What became of a start that can be begun.
enum Began {
    Started,
    /// Its run is there already.
    Known,
    /// Another run is active, or it is not known yet which workspace the token is of.
    Waits,
}

async fn begin(
    clients: &Clients,
    start: &Start,
    plan: &Plan,
    at: &Invocation,
    outcome: &mut Outcome,
) -> Result<Began, StepError> {
    outcome.run = Some(start.run().to_string());
    let active = clients.ledger.active().await?;
    if clients.ledger.run(&start.run()).await?.is_some() {
        return known(clients, start, plan, outcome).await;
    }
    if active.run.is_some() {
        queue(clients, start, at, outcome).await?;
        return Ok(Began::Waits);
    }
    let workspace = match binding::of_start(clients, at).await? {
        Ok(workspace) => workspace,
        Err((_, reason)) => {
            tracing::warn!(run = start.run().as_str(), reason, "the start waits");
            queue(clients, start, at, outcome).await?;
            return Ok(Began::Waits);
        }
    };
    let count = count_users(clients, start, at).await?;
    let quota = clients.meter.quota(at).await?;
    let now_ms = at.clock.now_ms();
    let run = Run {
        v: FORMAT,
        run: start.run(),
        plan: start.plan.clone(),
        state: State::Running,
        reason: None,
        generation: 1,
        started_ms: now_ms,
        scheduled_at_s: Some(start.scheduled_at_s),
        ended_ms: None,
        deadline_ms: deadline_ms(now_ms, count, quota.cap()),
        count,
        listed: start.source.listed(),
        workspace: Some(workspace),
        rails: start.rails.clone(),
        errors: 0,
        totals: None,
    };
    let cursor = first_cursor(clients, start, &active, now_ms).await?;
    match clients.ledger.begin(&run, &plan.to_json(), &start.source, &cursor, &active).await? {
        Begin::Busy => {
            queue(clients, start, at, outcome).await?;
            return Ok(Began::Waits);
        }
        Begin::Known => return known(clients, start, plan, outcome).await,
        Begin::Begun => {
            clients.queues.send_turn(&cursor.present(), cursor.not_before_ms - now_ms).await?;
            tracing::info!(run = run.run.as_str(), plan = run.plan, run.users = count, "run started");
            outcome.did.push(Did::Started);
        }
    }
    clients.ledger.dequeue(start).await?;
    Ok(Began::Started)
}

/// A run of the start's name is there. With the same plan it is this start's: a schedule fired twice.
async fn known(clients: &Clients, start: &Start, plan: &Plan, outcome: &mut Outcome) -> Result<Began, StepError> {
    // A plan that is stored may have been changed since.
    if start.inline.is_some() && clients.ledger.plan_of(&start.run()).await? != plan.to_json() {
        return Err(StepError::Taken { run: start.run() });
    }
    clients.ledger.dequeue(start).await?;
    tracing::info!(run = start.run().as_str(), "a start is not needed: its run is there already");
    outcome.did.push(Did::Known);
    Ok(Began::Known)
}

/// The first cursor of a run: its scroll waits for that of the run before to expire, and its first page for the jobs of
/// one that was stopped.
async fn first_cursor(clients: &Clients, start: &Start, active: &Active, now_ms: i64) -> Result<Cursor, StepError> {
    let scroll_life_ms = clients.settings.scroll_life_ms;
    let opens_scroll = start.source == Source::Scroll;
    let not_before_ms = if opens_scroll { active.free_at_ms.max(now_ms) } else { now_ms };
    let mut cursor = Cursor::first(start.run(), not_before_ms, scroll_life_ms);
    if active.free_at_ms > now_ms {
        // That scroll is ours as long as it may be open, whether this run opens one or not.
        cursor.called_ms = active.free_at_ms - scroll_life_ms;
    }
    if not_before_ms > now_ms {
        cursor.waits = Some("the scroll of the run before must expire first".to_owned());
    }
    let Some(last) = &active.last else { return Ok(cursor) };
    // A run that ended well has closed all of its jobs.
    let ended_well = |run: Run| matches!(run.state, State::Complete | State::CompleteWithErrors);
    if !clients.ledger.run(last).await?.is_none_or(ended_well) {
        cursor.phase = Phase::Settling;
        cursor.after = Some(last.clone());
    }
    Ok(cursor)
}

/// Lets a start wait for the end of the active run, and says what that means for it.
async fn queue(clients: &Clients, start: &Start, at: &Invocation, outcome: &mut Outcome) -> Result<(), StepError> {
    let run = start.run();
    outcome.did.push(match clients.ledger.enqueue(start, at.clock.now_ms()).await? {
        Queued::Waits => {
            tracing::info!(run = run.as_str(), "a start waits");
            Did::Queued
        }
        Queued::Known => {
            tracing::info!(run = run.as_str(), "a start is not needed: it waits already");
            Did::Known
        }
        Queued::Covered(by) => {
            tracing::info!(
                run = run.as_str(),
                by = by.as_str(),
                "a start is not needed: one of the same plan for all users waits"
            );
            outcome.run = Some(by.to_string());
            Did::Covered
        }
        Queued::Taken => return Err(StepError::Taken { run }),
    });
    Ok(())
}

/// How many users there are, to bound the run and to show its progress. A token that may not read the count can still
/// do the run, so that an error here is none of the run's: what is wrong with a token shows on the first page. Where a
/// percentage bounds the changes, a run without the count would have no bound, and is not begun.
async fn count_users(clients: &Clients, start: &Start, at: &Invocation) -> Result<Option<u64>, StepError> {
    if start.source != Source::Scroll {
        return Ok(None);
    }
    match (count(clients, at).await?, start.rails.max_changes) {
        (Ok(count), _) => Ok(Some(count)),
        (Err(Uncounted { reason, for_good }), Some(MaxChanges::Percent(_))) => {
            Err(StepError::NotCounted { reason, for_good })
        }
        (Err(Uncounted { reason, .. }), _) => {
            tracing::warn!(reason, "the users could not be counted; the run goes on without an estimate");
            Ok(None)
        }
    }
}

/// Why there is no count.
pub(super) struct Uncounted {
    pub(super) reason: String,
    /// Intercom refuses it, and will again.
    for_good: bool,
}

impl Uncounted {
    fn for_now(reason: &str) -> Self {
        Self { reason: reason.to_owned(), for_good: false }
    }
}

/// Intercom's count of users, or why there is none.
pub(super) async fn count(clients: &Clients, at: &Invocation) -> Result<Result<u64, Uncounted>, StepError> {
    if at.left_ms() < COUNT_MS {
        return Ok(Err(Uncounted::for_now("this invocation has no time left for it")));
    }
    if let Grant::Wait(until_ms) = clients.meter.take(Ask::one(Share::Check), at).await? {
        let wait_ms = (until_ms - at.clock.now_ms()).max(1);
        if wait_ms + COUNT_MS > at.left_ms() {
            return Ok(Err(Uncounted::for_now("the rate limit's window is spent")));
        }
        tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
        if let Grant::Wait(_) = clients.meter.take(Ask::one(Share::Check), at).await? {
            return Ok(Err(Uncounted::for_now("the rate limit's windows are spent")));
        }
    }
    match clients.intercom.count_users(COUNT_TIMEOUT).await {
        Ok(reply) => {
            clients.meter.learn(reply.rate, at).await;
            Ok(Ok(reply.value))
        }
        Err(error) => {
            clients.meter.learn(error.rate(), at).await;
            let disposition = disposition(&error, at.clock.now_s());
            if let Disposition::Limited { wait_s } = disposition {
                clients.meter.limited(wait_s, at).await;
            }
            let for_good = matches!(disposition, Disposition::RunFault | Disposition::NotFound);
            Ok(Err(Uncounted { reason: error.to_string(), for_good }))
        }
    }
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
