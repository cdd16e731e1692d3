//! Starts: by event or message; begun at once, or queued behind the active run.

use serde_json::json;

use super::{Did, Outcome, bury};
use crate::clients::{Clients, StepError};
use crate::event::StartEvent;
use crate::invocation::Invocation;
use crate::ledger::{Begin, Grant, Share};
use crate::meter::Ask;
use crate::plan::Plan;
use crate::queue::Message;
use crate::run::{Cursor, FORMAT, Run, Source, Start, State, deadline_ms};

/// The count is only an estimate: it must leave the invocation time for the start itself.
const COUNT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(8);

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
    make_way(clients, &start, at).await?;
    begin(clients, &start, &plan, at, outcome).await
}

async fn stored(clients: &Clients, name: &str) -> Result<Plan, StepError> {
    let found = clients.ledger.stored_plan(name).await?;
    let plan = found.ok_or_else(|| StepError::NoPlan { name: name.to_owned() })?;
    Ok(Plan::from_json(&plan)?)
}

/// A paused run gives way to a later start: it waits for a decision, and the start is one.
async fn make_way(clients: &Clients, start: &Start, at: &Invocation) -> Result<(), StepError> {
    let Some(active) = clients.ledger.active().await?.run else { return Ok(()) };
    let (Some(run), Some(cursor)) = (clients.ledger.run(&active).await?, clients.ledger.cursor(&active).await?) else {
        return Ok(());
    };
    if run.state == State::Paused && active != start.run() {
        let reason = format!("a later start, {}, took its place while it was paused", start.run());
        let now_ms = at.clock.now_ms();
        let free_at_ms = cursor.scroll_free_at_ms();
        clients.ledger.end(&run, State::Cancelled, Some(&reason), None, now_ms, free_at_ms).await?;
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
            Ok(clients.ledger.dequeue(&start.plan).await?)
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
        clients.ledger.dequeue(&start.plan).await?;
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
    let opens_scroll = start.source == Source::Scroll;
    let not_before_ms = if opens_scroll { active.free_at_ms.max(now_ms) } else { now_ms };
    let mut cursor = Cursor::first(start.run(), not_before_ms, clients.settings.scroll_life_ms);
    if not_before_ms > now_ms {
        cursor.waits = Some("the scroll of the run before must expire first".to_owned());
    }
    match clients.ledger.begin(&run, &plan.to_json(), &start.source, &cursor).await? {
        Begin::Busy => return queue(clients, start, outcome).await,
        Begin::Known => outcome.did.push(Did::Known),
        Begin::Begun => {
            clients.ledger.remember(&run).await?;
            clients.queues.send_turn(&cursor.present(), cursor.not_before_ms - now_ms).await?;
            tracing::info!(run = run.run.as_str(), plan = run.plan, run.users = count, "run started");
            outcome.did.push(Did::Started);
        }
    }
    Ok(clients.ledger.dequeue(&start.plan).await?)
}

async fn queue(clients: &Clients, start: &Start, outcome: &mut Outcome) -> Result<(), StepError> {
    clients.ledger.enqueue(start).await?;
    outcome.did.push(Did::Queued);
    Ok(())
}

/// How many users there are, to bound the run and to show its progress. A token that may not read the count can still
/// do the run, so that an error here is none of the run's: what is wrong with a token shows on the first page.
async fn count_users(clients: &Clients, start: &Start, at: &Invocation) -> Result<Option<u64>, StepError> {
    if start.source != Source::Scroll {
        return Ok(None);
    }
    if let Grant::Wait(_) = clients.meter.take(Ask::one(Share::Check), at).await? {
        tracing::warn!("the rate limit's window is spent; the run goes on without an estimate");
        return Ok(None);
    }
    let counted = tokio::time::timeout(COUNT_TIMEOUT, clients.intercom.count_users()).await;
    let Ok(counted) = counted else {
        tracing::warn!("the count of users took too long; the run goes on without an estimate");
        return Ok(None);
    };
    match counted {
        Ok(reply) => {
            clients.meter.learn(reply.rate, at).await?;
            Ok(Some(reply.value))
        }
        Err(error) => {
            tracing::warn!(%error, "the users could not be counted; the run goes on without an estimate");
            Ok(None)
        }
    }
}
