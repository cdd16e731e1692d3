//! Starts, by event or message: begins a run immediately, or queues the start behind the active
//! run.

use super::api::{choose, has_all};
use super::count::count_users;
use super::preflight::attributes_exist;
use super::settle::unsettled;
use super::{Action, ScrollOutcome, earlier, saved, stored};
use crate::control::{self, NewRun, Started};
use crate::domain::api::ApiSetting;
use crate::domain::run::{FORMAT, Start};
use crate::ledger::Queued;
use crate::plan::Plan;
use crate::runtime::binding;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event::StartEvent;
use crate::runtime::invocation::Invocation;

/// The hint for a start behind a paused run.
const HELD: &str = "the active run is paused, so this start waits until that run is resumed and ends, or is cancelled. A \
                    start with \"supersede\": true cancels it";

/// The hint for a start whose API is not known.
const UNANSWERED: &str = "Intercom did not answer which version of its API serves the access token: the start waits, and \
                          Intercom is asked again";

/// The reason of a start that waits for other functions.
const DEPLOY: &str = "submit or check cannot read a new run yet: deploy all functions of this version. After a deployment \
                      this takes a minute";

/// Handles a start event. An invalid plan is refused, and no run begins.
pub(super) async fn start(
    clients: &Clients,
    event: &StartEvent,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let (start, plan) = read(clients, event, at).await?;
    begin(clients, &start, &plan, at, outcome).await.map(drop)
}

/// Returns the start of an event, and its plan.
async fn read(clients: &Clients, event: &StartEvent, at: &Invocation) -> Result<(Start, Plan), StepError> {
    let inline = event.plan.is_object().then(|| event.plan.clone());
    let source = event.source();
    let plan = match (source.earlier(), &inline, event.plan.as_str().unwrap_or_default()) {
        (Some(of), _, _) => earlier::plan(clients, of, at).await?,
        (None, Some(plan), _) => Plan::from_json(plan)?,
        (None, None, name) => stored::plan(clients, name, event.unhold).await?,
    };
    let scheduled_at_s = event.time.map_or(at.clock.now_s(), jiff::Timestamp::as_second);
    let mut start = Start::new(plan.name(), inline, scheduled_at_s, source, event.limits.clone());
    (start.supersede, start.unhold) = (event.supersede, event.unhold);
    Ok((start, plan))
}

/// The result of an attempt to begin a start.
pub(super) enum Began {
    Started,
    /// Its run exists already.
    Known,
    /// Another run is active, too many runs are not settled, or other functions are not deployed yet.
    Waits,
    /// Intercom did not answer which API serves the token, which workspace it belongs to, or which
    /// attributes there are. The error of a start that has waited long enough.
    Unanswered(StepError),
}

/// Begins a run of a start, or queues the start.
pub(super) async fn begin(
    clients: &Clients,
    start: &Start,
    plan: &Plan,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<Began, StepError> {
    if let (ApiSetting::Fixed(version), None) = (clients.intercom.setting(), start.source.earlier()) {
        has_all(plan, version)?;
    }
    outcome.run = Some(start.run().to_string());
    let mut active = unsettled(clients, at).await?;
    if clients.ledger.run(&start.run()).await?.is_some() {
        return known(clients, start, plan, outcome).await;
    }
    let paused = control::paused(&clients.ledger).await?;
    let replaced = paused.as_ref().filter(|run| run.gives_way_to(start));
    if active.run.is_some() && replaced.is_none() {
        outcome.hint = paused.is_some().then_some(HELD);
        queue(clients, start, at, outcome).await?;
        return Ok(Began::Waits);
    }
    if !formats_are_read(clients, at).await? {
        return wait(clients, start, DEPLOY, at, outcome).await;
    }
    if let Some(why) = active.is_full() {
        return wait(clients, start, &why, at, outcome).await;
    }
    saved::check(clients, start).await?;
    let first = earlier::earlier_run(clients, start, &active, at).await?;
    let earlier = start.source.earlier().zip(first.as_ref());
    let api = match earlier {
        Some((of, first)) => earlier::api(clients, of, &first.run, at).await?,
        None => choose(clients, start, at).await?,
    };
    let api = match api {
        Ok(api) => api,
        Err(said) => {
            tracing::warn!(run = start.run().as_str(), reason = said, "the start waits for its API");
            outcome.hint = Some(UNANSWERED);
            wait(clients, start, &said, at, outcome).await?;
            return Ok(Began::Unanswered(StepError::ApiUnknown { said }));
        }
    };
    has_all(plan, api.version)?;
    let clients = &clients.speaking(api.version);
    let workspace = match binding::of_start(clients, at).await? {
        Ok(workspace) => workspace,
        Err(unknown) => {
            let said = unknown.why().to_owned();
            wait(clients, start, &said, at, outcome).await?;
            return Ok(Began::Unanswered(StepError::WorkspaceUnknown { said }));
        }
    };
    let workspace = match earlier {
        Some((of, first)) => earlier::workspace(of, &first.run, workspace)?,
        None => workspace,
    };
    if let Err(reason) = attributes_exist(clients, start, plan, at).await? {
        wait(clients, start, &format!("the attributes cannot be listed: {reason}"), at, outcome).await?;
        return Ok(Began::Unanswered(StepError::AttributesUnknown { said: reason }));
    }
    if let Some(run) = replaced {
        // A start that is refused ends no run.
        control::supersede(&clients.ledger, run, &start.run(), at.clock.now_ms()).await?;
        active = unsettled(clients, at).await?;
        if let Some(why) = active.is_full() {
            return wait(clients, start, &why, at, outcome).await;
        }
    }
    let count = count_users(clients, &start.source, at).await?;
    let quota = clients.limiter.quota(at.clock).await?;
    let now_ms = at.clock.now_ms();
    let new = NewRun {
        start,
        plan: plan.to_json(),
        api: api.clone(),
        workspace,
        count,
        listed: earlier.map(|(_, first)| first.users.max(1)).or(start.source.listed()),
        operations_per_10s: quota.cap(),
        reading_life_ms: clients.settings.scroll_life_ms,
        active,
    };
    match control::start(&clients.ledger, new, now_ms).await? {
        Started::Busy => {
            queue(clients, start, at, outcome).await?;
            return Ok(Began::Waits);
        }
        Started::Known => return known(clients, start, plan, outcome).await,
        Started::Begun(cursor) => {
            clients.queues.send_turn(&cursor.present(), cursor.not_before_ms - now_ms).await?;
            let (run, version, reason) = (cursor.run.as_str(), api.version.as_str(), api.reason.as_str());
            tracing::info!(run, plan = start.plan, run.users = count, version, reason, "run started");
            (outcome.api, outcome.api_reason) = (Some(api.version), Some(api.reason));
            outcome.did.push(Action::Started);
        }
    }
    clients.ledger.dequeue(start).await?;
    Ok(Began::Started)
}

/// Returns whether submit and check read the format of a new run. After an update of the functions,
/// each reports it with its first invocation; submit is invoked by a message without a part.
async fn formats_are_read(clients: &Clients, at: &Invocation) -> Result<bool, StepError> {
    let (submit, check) = (clients.ledger.format_of("submit").await?, clients.ledger.format_of("check").await?);
    let now_ms = at.clock.now_ms();
    let (submit, check) = (submit.reads(now_ms), check.reads(now_ms));
    for (step, reads) in [("submit", submit), ("check", check)] {
        if reads < FORMAT {
            tracing::warn!(step, reads, needs = FORMAT, "a start waits until this function is deployed and has run");
        }
    }
    if submit < FORMAT {
        greet_submit(clients).await?;
    }
    Ok(submit >= FORMAT && check >= FORMAT)
}

/// Invokes submit by a message without a part, so that it reports its format.
async fn greet_submit(clients: &Clients) -> Result<(), StepError> {
    // An older submit leaves such a message in the queue, so an empty queue has none.
    if clients.queues.patches_queued().await? == Some(0) {
        clients.queues.send_hello().await?;
    }
    Ok(())
}

/// Invokes submit if it has not reported its format for half an hour: nothing else invokes it while no
/// run is active, and a start would wait for the report. This process looks every ten minutes.
pub(super) async fn keep_report_of_submit(clients: &Clients, at: &Invocation) -> Result<(), StepError> {
    let now_ms = at.clock.now_ms();
    if !clients.formats.take_due("submit's report", now_ms) {
        return Ok(());
    }
    if clients.ledger.format_of("submit").await?.is_old(FORMAT, now_ms) {
        greet_submit(clients).await?;
    }
    Ok(())
}

/// Handles a start whose run exists. If the plans are equal, the schedule fired twice.
///
/// # Errors
/// [`StepError::Taken`] if the run has another plan.
async fn known(clients: &Clients, start: &Start, plan: &Plan, outcome: &mut ScrollOutcome) -> Result<Began, StepError> {
    // A stored plan may have changed since the run began, so compare only inline plans.
    if start.inline.is_some() && clients.ledger.plan_of(&start.run()).await? != plan.to_json() {
        return Err(StepError::Taken { run: start.run() });
    }
    clients.ledger.dequeue(start).await?;
    tracing::info!(run = start.run().as_str(), "a start is redundant: its run exists already");
    outcome.did.push(Action::Known);
    Ok(Began::Known)
}

/// Queues a start that cannot begin although no run is active, and records the reason.
async fn wait(
    clients: &Clients,
    start: &Start,
    why: &str,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<Began, StepError> {
    queue(clients, start, at, outcome).await?;
    note_wait(clients, start, why, at, outcome).await?;
    Ok(Began::Waits)
}

/// Records why a queued start did not begin although no run is active. A wait of more than an hour
/// counts for the alarm.
pub(super) async fn note_wait(
    clients: &Clients,
    start: &Start,
    why: &str,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let wait = clients.ledger.note_wait(start, why, at.clock.now_ms()).await?;
    let is_long = wait.is_some_and(|wait| wait.is_long());
    outcome.long_waits += u64::from(is_long);
    if is_long {
        tracing::error!(run = start.run().as_str(), why, "a start has waited for more than an hour");
    } else {
        tracing::warn!(run = start.run().as_str(), why, "a start waits");
    }
    Ok(())
}

/// Queues a start behind the active run, and records the resulting action.
async fn queue(
    clients: &Clients,
    start: &Start,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let run = start.run();
    outcome.did.push(match clients.ledger.enqueue(start, at.clock.now_ms()).await? {
        Queued::Waits => {
            tracing::info!(run = run.as_str(), "a start is queued");
            Action::Queued
        }
        Queued::Known => {
            tracing::info!(run = run.as_str(), "a start is redundant: it is queued already");
            Action::Known
        }
        Queued::Covered(by) => {
            tracing::info!(
                run = run.as_str(),
                by = by.as_str(),
                "a start is redundant: one of the same plan for all users is queued"
            );
            outcome.run = Some(by.to_string());
            Action::Covered
        }
        Queued::Taken => return Err(StepError::Taken { run }),
    });
    Ok(())
}
