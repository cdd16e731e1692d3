//! Starts: by event or message; begun at once, or queued behind the active run.

use std::time::Duration;

use serde_json::json;

use super::{Did, Outcome, bury};
use crate::clients::{Clients, StepError};
use crate::event::StartEvent;
use crate::invocation::Invocation;
use crate::ledger::{Active, Begin, Grant, Share};
use crate::meter::Ask;
use crate::plan::Plan;
use crate::queue::Message;
use crate::run::{Cursor, FORMAT, MaxChanges, Phase, Run, Source, Start, State, deadline_ms};

/// The count must leave the invocation time for the start itself.
const COUNT_TIMEOUT: Duration = Duration::from_secs(8);
const COUNT_MS: i64 = COUNT_TIMEOUT.as_millis() as i64 + 5_000;

/// Takes a start as an event brings it. A plan that cannot be used is refused here: nothing is started.
pub(super) async fn start(
    clients: &Clients,
    event: &StartEvent,
    at: &Invocation,
    outcome: &mut Outcome,
) -> Result<(), StepError> {
    let inline = event.plan.is_object().then(|| event.plan.clone());
    let plan = match (&inline, event.plan.as_str()) {
        (Some(plan), _) => Plan::from_json(plan)?,
        (None, name) => stored(clients, name.unwrap_or_default()).await?,
    };
    let start = Start {
        plan: plan.name().to_owned(),
        inline,
        scheduled_at_s: event.time.map_or(at.clock.now_s(), jiff::Timestamp::as_second),
        source: event.source(),
        rails: event.rails.clone(),
    };
    // A start that is there already decides nothing about a run that pauses.
    if clients.ledger.run(&start.run()).await?.is_none() {
        make_way(clients, &start, at).await?;
    }
    begin(clients, &start, &plan, at, outcome).await
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

/// Begins the oldest start that waits, if no run is active.
pub(super) async fn begin_waiting(clients: &Clients, at: &Invocation, outcome: &mut Outcome) -> Result<(), StepError> {
    let Some(start) = clients.ledger.waiting().await?.into_iter().next() else {
        outcome.did.push(Did::Nothing);
        return Ok(());
    };
    let plan = match &start.inline {
        Some(plan) => Plan::from_json(plan).map_err(StepError::from),
        None => stored(clients, &start.plan).await,
    };
    match plan {
        Ok(plan) => begin(clients, &start, &plan, at, outcome).await,
        Err(error @ (StepError::Plan(_) | StepError::NoPlan { .. })) => {
            // The plan was changed or removed after the start was queued; it must not stop the starts behind it.
            let (id, receipt) = (start.run().to_string(), String::new());
            let message = Message { id, receipt, body: again(&start), receives: 1 };
            bury(clients, &message, &error.to_string(), outcome).await?;
            Ok(clients.ledger.dequeue(&start).await?)
        }
        Err(error) => Err(error),
    }
}

/// A start as a message that asks for it again.
fn again(start: &Start) -> String {
    let plan = start.inline.clone().unwrap_or_else(|| start.plan.clone().into());
    let time = jiff::Timestamp::from_second(start.scheduled_at_s).map(|time| time.to_string()).ok();
    let mut event = json!({"plan": plan, "time": time, "rails": start.rails});
    if let Source::Users(users) = &start.source {
        event["users"] = json!(users);
    }
    event.to_string()
}

async fn begin(
    clients: &Clients,
    start: &Start,
    plan: &Plan,
    at: &Invocation,
    outcome: &mut Outcome,
) -> Result<(), StepError> {
    outcome.run = Some(start.run().to_string());
    let active = clients.ledger.active().await?;
    if clients.ledger.run(&start.run()).await?.is_some() {
        clients.ledger.dequeue(start).await?;
        outcome.did.push(Did::Known);
        return Ok(());
    }
    if active.run.is_some() {
        return queue(clients, start, outcome).await;
    }
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
        ended_ms: None,
        deadline_ms: deadline_ms(now_ms, count, quota.cap()),
        count,
        listed: match &start.source {
            Source::Scroll => None,
            Source::Users(users) => Some(users.len() as u64),
        },
        rails: start.rails.clone(),
        errors: 0,
        totals: None,
    };
    let cursor = first_cursor(clients, start, &active, now_ms).await?;
    // Each user of a list is a request, and a page of them is to fit what two windows leave.
    let list_page = quota.reach(Share::Page) as usize;
    match clients.ledger.begin(&run, &plan.to_json(), &start.source, list_page, &cursor, &active).await? {
        Begin::Busy => return queue(clients, start, outcome).await,
        Begin::Known => outcome.did.push(Did::Known),
        Begin::Begun => {
            clients.queues.send_turn(&cursor.present(), cursor.not_before_ms - now_ms).await?;
            tracing::info!(run = run.run.as_str(), plan = run.plan, run.users = count, "run started");
            outcome.did.push(Did::Started);
        }
    }
    Ok(clients.ledger.dequeue(start).await?)
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

async fn queue(clients: &Clients, start: &Start, outcome: &mut Outcome) -> Result<(), StepError> {
    clients.ledger.enqueue(start).await?;
    outcome.did.push(Did::Queued);
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
        (Err(reason), Some(MaxChanges::Percent(_))) => Err(StepError::NotCounted { reason }),
        (Err(reason), _) => {
            tracing::warn!(reason, "the users could not be counted; the run goes on without an estimate");
            Ok(None)
        }
    }
}

/// The count, or why there is none.
async fn count(clients: &Clients, at: &Invocation) -> Result<Result<u64, String>, StepError> {
    if let Grant::Wait(until_ms) = clients.meter.take(Ask::one(Share::Check), at).await? {
        let wait_ms = (until_ms - at.clock.now_ms()).max(1);
        if wait_ms + COUNT_MS > at.left_ms() {
            return Ok(Err("the rate limit's window is spent".to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
        if let Grant::Wait(_) = clients.meter.take(Ask::one(Share::Check), at).await? {
            return Ok(Err("the rate limit's windows are spent".to_owned()));
        }
    }
    let Ok(counted) = tokio::time::timeout(COUNT_TIMEOUT, clients.intercom.count_users()).await else {
        return Ok(Err("Intercom did not answer in time".to_owned()));
    };
    match counted {
        Ok(reply) => {
            clients.meter.learn(reply.rate, at).await;
            Ok(Ok(reply.value))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}
