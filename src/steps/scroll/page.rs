//! A turn that requests a page: acquires a permit, requests the page, evaluates its users and writes
//! their parts to the ledger.

use std::ops::ControlFlow;

use super::by_id::Task;
use super::count::count;
use super::evaluate::{Evaluated, evaluate, page_name};
use super::fetch::{Fetched, FetchedPage, fetch};
use super::turn::{LeasedTurn, insist};
use crate::domain::api::PageFailure;
use crate::domain::part::{PageRead, Part, cut, size_for, size_for_pace};
use crate::domain::patch::Patch;
use crate::domain::run::decide::{
    AnswerFacts, Decision, FailureFacts, PageFacts, after_answer, after_end, after_failure, after_page,
    must_count_failed, needs_count, over_max_changes, over_max_errors, paths_unseen, relationship_written,
    until_user_shows,
};
use crate::domain::run::{Cursor, Run, State};
use crate::domain::user::UserId;
use crate::intercom::{Error, advice, page_failure};
use crate::ledger::{Changes, ChangesOfPart, SAMPLE};
use crate::plan::Plan;
use crate::rate_limit::{Lane, Permit, PermitRequest, Quota};
use crate::runtime::binding::{self, Binding, UnknownWorkspace};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// If the calls before the page take longer than this, in milliseconds, the next invocation reads the
/// page.
const SLOW_ANSWER_MS: i64 = 4_000;
/// One page of permits is acquired for each this many operations of the window.
const PAGES_AHEAD_OF: u32 = 100;
/// The most permits for pages that are acquired at once.
const PAGES_AHEAD_MAX: u32 = 8;

/// Turns a page: acquires a permit, requests the page, and decides by the answer.
pub(super) async fn turn_page(turn: &mut LeasedTurn<'_>, mut cursor: Cursor) -> Result<Decision, StepError> {
    let LeasedTurn { clients, run, at, .. } = *turn;
    let begun_ms = at.clock.now_ms();
    cursor.interrupted |= turn.reading.is_some_and(|reading| reading.lease > 1);
    // Before the permit is acquired: this may read a hundred items.
    clients.previous.read(&clients.ledger, run).await;
    match binding::of_run(clients, run, at).await? {
        // The page would get less than its time-out, and a request that times out loses its page.
        Binding::Holds if at.clock.now_ms() - begun_ms > SLOW_ANSWER_MS => {
            let why = "the calls before the page were slow; the next invocation reads it";
            return Ok(Decision::idle(cursor, at.clock.now_ms(), why));
        }
        Binding::Holds => {}
        Binding::Differs(reason) => return Ok(Decision::state(cursor, State::Paused, reason)),
        Binding::Unknown(UnknownWorkspace::Spent { until_ms }) => {
            return Ok(Decision::spent(cursor, at.clock.now_ms(), until_ms));
        }
        Binding::Unknown(UnknownWorkspace::Later { until_ms, why }) => {
            return Ok(Decision::unanswered(cursor, at.clock.now_ms(), until_ms, why));
        }
    }
    let quota = clients.limiter.quota(at.clock).await?;
    // The number of permits for users of a list is known when the list is read.
    if run.listed.is_none() {
        // A large window certainly has several pages, so acquire their permits at once.
        let ahead = (quota.reach(Lane::Page) / PAGES_AHEAD_OF).clamp(1, PAGES_AHEAD_MAX);
        let request = PermitRequest { ahead, ..PermitRequest::one(Lane::Page) };
        if let Permit::Wait(until_ms) = clients.limiter.try_acquire(request, at.clock).await? {
            return Ok(Decision::spent(cursor, at.clock.now_ms(), until_ms));
        }
    }
    // Read the plan before the request: if this failed after it, the page would be lost.
    let plan = clients.plan_of(run).await?;
    turn.asked |= run.reads_exclusively();
    let fetched = fetch(clients, run, &cursor, &plan, at).await?;
    if run.reads_exclusively() {
        // The request may have reached Intercom just now.
        cursor.exclusive.called_ms = at.clock.now_ms();
    }
    match fetched {
        Fetched::Page(page) => {
            let mut decision = read(turn, cursor, Read { page: &page, plan: &plan, quota }).await?;
            if needs_count(&decision, run) {
                decision.next.count_at_end = count_at_end(clients, run, at).await;
            }
            Ok(after_end(decision, run))
        }
        Fetched::Failed(error) => Ok(failed(turn, cursor, &error)),
        Fetched::Wait(until_ms, why) => Ok(Decision::idle(cursor, until_ms, why)),
        Fetched::Spent(until_ms) => Ok(Decision::spent(cursor, at.clock.now_ms(), until_ms)),
    }
}

/// Handles a failed request for a page.
fn failed(turn: &LeasedTurn<'_>, cursor: Cursor, error: &Error) -> Decision {
    let LeasedTurn { clients, run, .. } = *turn;
    let facts = turn.facts();
    tracing::warn!(run = run.id.as_str(), page = cursor.page + 1, %error, "a request for a page failed");
    let failure = page_failure(run.api, error);
    let limited_until_ms = match failure {
        PageFailure::RateLimited => clients.limiter.closed_until_ms(),
        _ => facts.now_ms,
    };
    let reason = format!("{error}. {}", advice(run.api, error));
    let request = FailureFacts { failure, limited_until_ms, said: &error.said(), reason: &reason };
    after_failure(cursor, &request, &facts)
}

/// A page, with the values that its evaluation needs.
#[derive(Clone, Copy)]
struct Read<'a> {
    page: &'a FetchedPage,
    plan: &'a Plan,
    quota: Quota,
}

/// Evaluates a page and writes its parts.
async fn read(turn: &mut LeasedTurn<'_>, cursor: Cursor, read: Read<'_>) -> Result<Decision, StepError> {
    let LeasedTurn { clients, run, at, .. } = *turn;
    let Read { page, plan, quota } = read;
    let unseen = plan.unseen(cursor.attributes_seen);
    let (next, digest) = (page.next.as_ref(), page.digest);
    let answer = AnswerFacts { next, is_end: page.is_end, digest, unseen: &unseen };
    let before = cursor.clone();
    let cursor = match after_answer(cursor, &answer, &turn.facts()) {
        ControlFlow::Continue(cursor) => cursor,
        ControlFlow::Break(decision) => return Ok(decision),
    };
    if cursor.interrupted && !run.reads_exclusively() {
        // The reading before may have recorded errors of users that can be read now.
        insist!(at, clients.ledger.forget_errors(&run.id, cursor.generation, &page_name(&cursor)));
        if let Task::Undo(made) = &page.task {
            let users: Vec<UserId> = made.keys().cloned().collect();
            insist!(at, clients.ledger.forget_staying(&run.id, &users));
        }
    }
    if let Some(attribute) = page.users.iter().find_map(|user| plan.relationship_of(user)) {
        return Ok(relationship_written(cursor, attribute));
    }
    let evaluated = insist!(at, evaluate(clients, run, &cursor, plan, page));
    if let Some(decision) = insist!(at, over_limits(clients, run, &cursor, &evaluated)) {
        // The reason of the run's end refers to these errors.
        insist!(at, clients.ledger.record_errors(&run.id, &evaluated.errors, at.clock.now_ms()));
        return Ok(decision);
    }
    if let Some(shown_at_ms) = insist!(at, reads_again_at_ms(clients, run, &evaluated, at))
        && let Some(decision) = until_user_shows(&before, shown_at_ms, &turn.facts())
    {
        return Ok(decision);
    }
    let Evaluated { tally, patches, errors, paths_seen, staying } = evaluated;
    let unseen = plan.unseen(cursor.attributes_seen | paths_seen);
    let (last, count) = (page.last.as_ref(), page.count);
    let mut facts = PageFacts { digest, next, last, count, tally: &tally, paths_seen, unseen: &unseen, parts: 0 };
    if let Some(decision) = paths_unseen(&cursor, &facts, &turn.facts()) {
        return Ok(decision);
    }
    let parts = if run.limits.dry_run {
        insist!(at, keep_changes(clients, run, &cursor, &patches, at));
        Vec::new()
    } else {
        let most = run.api.capabilities().write_users_max;
        let size = size_for(quota.reach(Lane::Submit { reads: true }), most);
        let size = size.min(size_for_pace(run.limits.max_per_minute, most));
        let read = PageRead { generation: cursor.generation, page: cursor.page + 1, reading: turn.reading };
        let capabilities = run.api.capabilities();
        let parts = cut(&run.id, read, patches, size, |patch| capabilities.way_of(patch));
        parts.into_iter().map(|part| Part { v: run.v, ..part }).collect()
    };
    facts.parts = parts.len() as u64;
    // From here on, parts of this page may be in the ledger or, in a run of format 1, in the queue.
    turn.asked = true;
    if run.keeps_parts() {
        insist!(at, clients.ledger.put_bodies(&parts, at.clock.now_ms()));
        turn.parts = parts;
    } else {
        insist!(at, clients.queues.send_parts(&parts));
    }
    insist!(at, clients.ledger.record_errors(&run.id, &errors, at.clock.now_ms()));
    insist!(at, clients.ledger.record_staying(&run.id, &staying, at.clock.now_ms()));
    if let Err(error) = extend_deadline(clients, run, cursor.tally.users + tally.users, quota).await {
        tracing::warn!(%error, "cannot extend the run's deadline; a later page retries");
    }
    turn.outcome.pages += 1;
    turn.outcome.users += tally.users;
    turn.outcome.patches += tally.patches;
    Ok(after_page(cursor, &facts, &turn.facts()))
}

/// Returns the decision to end the run if the page would exceed one of its limits.
async fn over_limits(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    page: &Evaluated,
) -> Result<Option<Decision>, StepError> {
    let decision = over_max_changes(cursor, &page.tally, run);
    if decision.is_some() || !must_count_failed(cursor, &page.tally, run) {
        return Ok(decision);
    }
    let of_page = page.errors.iter().map(|row| row.user.clone()).collect();
    // The run's reason names their number.
    let users = clients.ledger.users_in_error(run, of_page, u64::MAX).await?;
    Ok(over_max_errors(cursor, &page.tally, users, run))
}

/// Returns the time from which on the users of an undo's page are surely as the run left them, if some look as
/// if it had not written them. It is `INTERCOM_READ_AGAIN_S` after the last write of that run, which the undo's
/// start found settled.
async fn reads_again_at_ms(
    clients: &Clients,
    run: &Run,
    page: &Evaluated,
    at: &Invocation,
) -> Result<Option<i64>, StepError> {
    let may_be_early = at.clock.now_ms() < run.started_ms + clients.settings.read_again_ms
        && page.staying.iter().flat_map(|user| &user.stays).any(|value| value.why.may_be_too_early());
    let Some(undo) = run.undo.as_ref().filter(|_| may_be_early) else { return Ok(None) };
    let found = clients.ledger.run(&undo.run).await?.zip(clients.ledger.cursor(&undo.run).await?);
    let written_by_ms = found.map(|(first, cursor)| first.changed_by_ms(&cursor, run.started_ms));
    Ok(written_by_ms.map(|written_by_ms| written_by_ms + clients.settings.read_again_ms))
}

/// Returns Intercom's count of users after the last page, or `None` if it is not available.
async fn count_at_end(clients: &Clients, run: &Run, at: &Invocation) -> Option<u64> {
    match count(clients, &clients.of_run(run), at).await {
        Ok(Ok(count)) => return Some(count),
        Ok(Err(reason)) => tracing::warn!(reason, "cannot count the users after the last page"),
        Err(error) => tracing::warn!(%error, "cannot count the users after the last page"),
    }
    None
}

/// Extends the deadline of a run that has read more users than Intercom counted, or that has a lower
/// limit than at its start.
async fn extend_deadline(clients: &Clients, run: &Run, users: u64, quota: Quota) -> Result<(), StepError> {
    if let Some(until_ms) = run.extended_deadline_ms(users, run.speed(quota.cap())) {
        clients.ledger.extend_deadline(run, until_ms).await?;
    }
    Ok(())
}

/// Stores the changes of a dry run's first page with changes, as a sample, or those of each page.
async fn keep_changes(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    patches: &[Patch],
    at: &Invocation,
) -> Result<(), StepError> {
    if run.limits.keep_changes {
        let (page, now_ms) = (cursor.page + 1, at.clock.now_ms());
        clients.ledger.put_previewed(&run.id, cursor.generation, page, patches, now_ms).await?;
    }
    if cursor.tally.patches > 0 || patches.is_empty() {
        return Ok(());
    }
    let part = PageRead { generation: cursor.generation, page: cursor.page + 1, reading: None }.part(0);
    let changes = Changes { parts: vec![ChangesOfPart { part, patches: patches.to_vec() }] };
    Ok(clients.ledger.put_changes(&run.id, SAMPLE, &changes, at.clock.now_ms()).await?)
}
