//! A turn that asks for a page: the bounds first, then the page, then what its answer means for the cursor.

use super::end::{compared, end, give_up};
use super::evaluate::{Evaluated, evaluate};
use super::failed::failed;
use super::fetch::{Fetched, Page, fetch};
use super::turn::{Decision, insist};
use super::{Action, ScrollOutcome, limits, sample};
use crate::domain::part::{Origin, PartId, cut, size_for};
use crate::domain::patch::Patch;
use crate::domain::run::{Cursor, GAPS_MAX, IDLE_TURNS_MAX, REPEATS_MAX, Run, State};
use crate::ledger::{Changes, ChangesOfPart, Lane, Permit, Quota, SAMPLE};
use crate::plan::Plan;
use crate::rate_limit::PermitRequest;
use crate::runtime::binding::{self, Binding};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;
/// After an answer about the token's workspace that took longer than this, in milliseconds, the next invocation reads the
/// page.
const SLOW_ANSWER_MS: i64 = 4_000;
/// Pages are paid for ahead where they are less than such a part of the window, and at most so many.
const PAGES_AHEAD_OF: u32 = 100;
const PAGES_AHEAD_MAX: u32 = 8;

/// Turns a page.
pub(super) async fn turn(
    clients: &Clients,
    run: &Run,
    cursor: Cursor,
    at: &Invocation,
    (outcome, asked): (&mut ScrollOutcome, &mut bool),
) -> Result<Decision, StepError> {
    let mut next = cursor;
    let listed = run.listed.is_some();
    // Somebody died under this lease: between the request and the commit the page may be gone.
    if let Some(died) = next.lease.take() {
        if !listed {
            // It may have asked as late as its lease allowed.
            next.called_ms = next.called_ms.max(died.until_ms);
        }
        if listed || next.scroll.is_none() {
            // The same page would be evaluated again, and parts of it may be in the queue under the same names: a new
            // generation gives them others.
            next.settle(at.clock.now_ms());
            next.waits = Some("an invocation was cut off; the pages are begun again".to_owned());
            return Ok(Decision::turn(next, Action::Regenerated));
        }
        // Others may have died under it before, each of them after its page; parts of different pages have different names.
        for _ in 0..next.leases.max(1) {
            if next.gaps.len() < GAPS_MAX {
                next.gap();
            }
        }
    }
    if let Some(decision) = out_of_bounds(run, &next, at) {
        return Ok(decision);
    }
    let begun_ms = at.clock.now_ms();
    match binding::of_run(clients, run, at).await? {
        // The page would have less than its time-out, and a page that is given up is gone.
        Binding::Holds if at.clock.now_ms() - begun_ms > SLOW_ANSWER_MS => {
            let why = "Intercom was slow to say whose the access token is; the page is read by the next invocation";
            return Ok(Decision::wait(next, at.clock.now_ms(), why));
        }
        Binding::Holds => {}
        Binding::Differs(reason) => return Ok(Decision::state(next, State::Paused, reason)),
        Binding::Spent(until_ms) => return Ok(spent(next, until_ms)),
        Binding::Later(until_ms, why) => return Ok(Decision::rest(next, at.clock.now_ms(), until_ms, why)),
    }
    let quota = clients.limiter.quota(at.clock).await?;
    // Pages that a large window will surely see are paid for at once.
    let ahead = if listed { 1 } else { (quota.reach(Lane::Page) / PAGES_AHEAD_OF).clamp(1, PAGES_AHEAD_MAX) };
    if let Permit::Wait(until_ms) =
        clients.limiter.take(PermitRequest { ahead, ..PermitRequest::one(Lane::Page) }, at.clock).await?
    {
        return Ok(spent(next, until_ms));
    }
    // Read before the page is asked for: without it the page would be lost.
    let plan = clients.plan_of(run).await?;
    if !listed {
        next.called_ms = at.clock.now_ms();
        *asked = true;
    }
    match fetch(clients, run, &next, &plan, at).await? {
        Fetched::Page(page) => {
            let decision = good(clients, run, next, (&page, &plan), quota, at, (outcome, asked)).await?;
            Ok(compared(clients, run, decision, at).await)
        }
        Fetched::Failed(error) => failed(clients, run, next, &error, at).await,
        Fetched::Wait(until_ms, why) => Ok(Decision::wait(next, until_ms, why)),
    }
}

/// The turn waits for a window of the rate limit. Other steps use this one: that is progress, and ends by itself.
fn spent(next: Cursor, until_ms: i64) -> Decision {
    let mut decision = Decision::wait(next, until_ms, "the rate limit's window is spent");
    decision.next.idle_turns -= 1;
    decision
}

/// The bounds that replace recursive-loop detection, and the deadline.
fn out_of_bounds(run: &Run, next: &Cursor, at: &Invocation) -> Option<Decision> {
    let stop = |state, reason: String| Some(Decision::state(next.clone(), state, reason));
    let read = run.read_so_far(&next.tally);
    if at.clock.now_ms() > run.deadline_ms {
        let last = next.last_wait();
        return stop(State::Incomplete, format!("past its deadline, with pages left to turn; {read}{last}"));
    }
    if next.pages_in_all > run.pages_max().saturating_mul(u64::from(next.generation)) {
        return stop(
            State::Failed,
            format!("{} pages are far more than the workspace has users for", next.pages_in_all),
        );
    }
    if next.idle_turns >= IDLE_TURNS_MAX {
        let last = next.last_wait();
        return Some(give_up(next.clone(), format!("{IDLE_TURNS_MAX} turns in a row brought no page{last}; {read}")));
    }
    (next.gaps.len() >= GAPS_MAX).then(|| {
        let mut given_up = next.clone();
        given_up.settle(at.clock.now_ms());
        given_up.waits = Some(format!("{GAPS_MAX} pages may be lost: the scroll is begun again"));
        Decision::turn(given_up, Action::Regenerated)
    })
}

/// An answer that is a page: the end, the page before once more, or users to evaluate.
async fn good(
    clients: &Clients,
    run: &Run,
    mut next: Cursor,
    (page, plan): (&Page, &Plan),
    quota: Quota,
    at: &Invocation,
    (outcome, asked): (&mut ScrollOutcome, &mut bool),
) -> Result<Decision, StepError> {
    if page.cursor.is_some() {
        next.scroll.clone_from(&page.cursor);
    }
    next.exists_tries = 0;
    next.answered();
    if page.is_end {
        return Ok(end(run, next, plan, at));
    }
    if next.digest == Some(page.digest) {
        next.gap();
        next.repeats += 1;
        if next.repeats >= REPEATS_MAX {
            let reason = "Intercom sent the same page three times in a row: a cache on the way, or an outage. \
                          Start it again later";
            return Ok(Decision::state(next, State::Failed, reason));
        }
        return Ok(Decision::turn(next, Action::Gap));
    }
    let (digest, list_read) = (page.digest, page.list_read);
    let evaluated = insist!(at, evaluate(clients, run, &next, plan, page));
    if let Some(reason) = insist!(at, limits::broken(clients, run, &next, &evaluated)) {
        // The end points to them.
        insist!(at, clients.ledger.record_errors(&run.id, &evaluated.errors));
        return Ok(Decision::state(next, State::Failed, reason));
    }
    let Evaluated { tally, patches, errors, paths_seen, .. } = evaluated;
    next.attributes_seen |= paths_seen;
    if sample::is_complete(run, next.tally.users, next.tally.users + tally.users)
        && let Some(reason) = sample::unseen(run, plan, next.attributes_seen, next.tally.users + tally.users)
    {
        // Nothing of this page is sent: in a workspace of one page, nothing at all.
        next.tally.add(&tally);
        return Ok(Decision::state(next, State::Paused, reason));
    }
    next.page += 1;
    next.pages_in_all += 1;
    let size = size_for(quota.reach(Lane::Submit { scroll_open: true }));
    let parts = if run.limits.dry_run {
        insist!(at, keep_sample(clients, run, &next, &patches, at));
        Vec::new()
    } else {
        cut(&run.id, next.generation, next.page, patches, size)
    };
    // From now on parts of this page may be in the queue.
    *asked = true;
    insist!(at, clients.queues.send_parts(&parts));
    insist!(at, clients.ledger.record_errors(&run.id, &errors));
    next.parts += parts.len() as u64;
    next.digest = Some(digest);
    next.list_read = list_read;
    next.tally.add(&tally);
    next.repeats = 0;
    next.idle_turns = 0;
    next.waits = None;
    next.not_before_ms = 0;
    if let Err(error) = extend_deadline(clients, run, next.tally.users, quota).await {
        tracing::warn!(%error, "the run's deadline is extended with a later page");
    }
    outcome.pages += 1;
    outcome.users += tally.users;
    outcome.patches += tally.patches;
    Ok(after(run, next, plan, at))
}

/// Without a count from Intercom the deadline cannot rest on it: it grows with what was read. An operator who set it
/// meanwhile is not overruled.
async fn extend_deadline(clients: &Clients, run: &Run, users: u64, quota: Quota) -> Result<(), StepError> {
    if let Some(until_ms) = run.extended_deadline_ms(users, quota.cap()) {
        clients.ledger.extend_deadline(run, until_ms).await?;
    }
    Ok(())
}

/// What follows a page: the next one, or the end by `--limit`.
fn after(run: &Run, next: Cursor, plan: &Plan, at: &Invocation) -> Decision {
    if run.limits.limit.is_some_and(|limit| next.tally.users >= limit) {
        return end(run, next, plan, at);
    }
    Decision::turn(next, Action::Turned)
}

/// A dry run keeps the first page's changes, to be shown.
async fn keep_sample(
    clients: &Clients,
    run: &Run,
    next: &Cursor,
    patches: &[Patch],
    at: &Invocation,
) -> Result<(), StepError> {
    if next.tally.patches > 0 || patches.is_empty() {
        return Ok(());
    }
    let part = PartId { generation: next.generation, origin: Origin::Page { page: next.page, part: 0 } };
    let changes = Changes { parts: vec![ChangesOfPart { part, patches: patches.to_vec() }] };
    Ok(clients.ledger.put_changes(&run.id, SAMPLE, &changes, at.clock.now_ms()).await?)
}
