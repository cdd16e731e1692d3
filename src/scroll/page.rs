//! A turn that asks for a page: the bounds first, then the page, then what its answer means for the cursor.

use super::evaluate::{Evaluated, evaluate};
use super::fetch::{Fetched, Page, fetch};
use super::turn::Decision;
use super::{Did, Outcome, rails, sample};
use crate::binding::{self, Binding};
use crate::clients::{Clients, StepError};
use crate::intercom::{Disposition, Error, advice, disposition};
use crate::invocation::Invocation;
use crate::ledger::{Changes, ChangesOfPart, Commit, Grant, Quota, SAMPLE, Share};
use crate::meter::Ask;
use crate::part::{Origin, PartId, cut, size_for};
use crate::patch::Patch;
use crate::plan::Plan;
use crate::run::{Cursor, HOLES_MAX, IDLE_TURNS_MAX, Phase, REPEATS_MAX, Run, State};

/// Waits after `scroll_exists`, in milliseconds: the life of a scroll, then longer. After the last the run fails.
const EXISTS_WAITS_MS: [i64; 3] = [65_000, 130_000, 300_000];
/// Wait after a request that was not sent, and after an answer that asks for later.
const LATER_MS: i64 = 5_000;
/// First pages that may be empty although the workspace has users.
const EMPTY_STARTS_MAX: u32 = 3;
/// Pages are paid for ahead where they are less than such a part of the window, and at most so many.
const PAGES_AHEAD_OF: u32 = 100;
const PAGES_AHEAD_MAX: u32 = 8;

/// Turns a page.
pub(super) async fn turn(
    clients: &Clients,
    run: &Run,
    cursor: Cursor,
    at: &Invocation,
    outcome: &mut Outcome,
) -> Result<Decision, StepError> {
    let mut next = cursor;
    let listed = run.listed.is_some();
    // Somebody died under this claim: between the request and the commit the page may be gone.
    if let Some(died) = next.claim.take() {
        if !listed {
            // It may have asked as late as its lease allowed.
            next.called_ms = next.called_ms.max(died.until_ms);
        }
        if listed || next.scroll.is_none() {
            // The same page would be evaluated again, and parts of it may be in the queue under the same names: a new
            // generation gives them others.
            next.settle(at.clock.now_ms());
            next.waits = Some("an invocation was cut off; the pages are begun again".to_owned());
            return Ok(Decision::turn(next, Did::Regenerated));
        }
        // Others may have died under it before, each of them after its page; parts of different pages have different names.
        for _ in 0..next.claims.max(1) {
            if next.holes.len() < HOLES_MAX {
                next.hole();
            }
        }
    }
    if let Some(decision) = out_of_bounds(run, &next, at) {
        return Ok(decision);
    }
    match binding::of_run(clients, run, at).await? {
        Binding::Holds => {}
        Binding::Differs(reason) => return Ok(Decision::state(next, State::Paused, reason)),
        Binding::Later(until_ms, why) => return Ok(Decision::wait(next, until_ms, why)),
    }
    let quota = clients.meter.quota(at).await?;
    // Pages that a large window will surely see are paid for at once.
    let ahead = if listed { 1 } else { (quota.reach(Share::Page) / PAGES_AHEAD_OF).clamp(1, PAGES_AHEAD_MAX) };
    if let Grant::Wait(until_ms) = clients.meter.take(Ask { ahead, ..Ask::one(Share::Page) }, at).await? {
        let mut decision = Decision::wait(next, until_ms, "the rate limit's window is spent");
        decision.next.idle_turns -= 1; // Other steps use the window: that is progress, and ends by itself.
        return Ok(decision);
    }
    // Read before the page is asked for: without it the page would be lost.
    let plan = clients.plan_of(run).await?;
    if !listed {
        next.called_ms = at.clock.now_ms();
    }
    match fetch(clients, run, &next, &plan, at).await? {
        Fetched::Page(page) => good(clients, run, next, (page, &plan), quota, at, outcome).await,
        Fetched::Failed(error) => failed(clients, run, next, &error, at).await,
        Fetched::Wait(until_ms, why) => Ok(Decision::wait(next, until_ms, why)),
    }
}

/// The bounds that replace recursive-loop detection, and the deadline.
fn out_of_bounds(run: &Run, next: &Cursor, at: &Invocation) -> Option<Decision> {
    let stop = |state, reason: String| Some(Decision::state(next.clone(), state, reason));
    let read = run.read_so_far(&next.tally);
    if at.clock.now_ms() > run.deadline_ms {
        return stop(State::Incomplete, format!("past its deadline, with pages left to turn; {read}"));
    }
    if next.pages_in_all > run.pages_max().saturating_mul(u64::from(next.generation)) {
        return stop(
            State::Failed,
            format!("{} pages are far more than the workspace has users for", next.pages_in_all),
        );
    }
    if next.idle_turns >= IDLE_TURNS_MAX {
        let last = next.waits.as_deref().unwrap_or("no answer that could be used");
        return stop(
            State::Incomplete,
            format!("{IDLE_TURNS_MAX} turns in a row brought no page; the last: {last}; {read}"),
        );
    }
    (next.holes.len() >= HOLES_MAX).then(|| {
        let mut given_up = next.clone();
        given_up.settle(at.clock.now_ms());
        given_up.waits = Some(format!("{HOLES_MAX} pages may be lost: the scroll is begun again"));
        Decision::turn(given_up, Did::Regenerated)
    })
}

/// An answer that is a page: the end, the page before once more, or users to evaluate.
async fn good(
    clients: &Clients,
    run: &Run,
    mut next: Cursor,
    (page, plan): (Page, &Plan),
    quota: Quota,
    at: &Invocation,
    outcome: &mut Outcome,
) -> Result<Decision, StepError> {
    if page.cursor.is_some() {
        next.scroll.clone_from(&page.cursor);
    }
    next.exists_tries = 0;
    if page.is_end {
        return Ok(end(run, next, plan, at));
    }
    if next.digest == Some(page.digest) {
        next.hole();
        next.repeats += 1;
        if next.repeats >= REPEATS_MAX {
            let reason = "Intercom sent the same page three times in a row: a cache on the way, or an outage. \
                          Start it again later";
            return Ok(Decision::state(next, State::Failed, reason));
        }
        return Ok(Decision::turn(next, Did::Hole));
    }
    let (digest, list_read) = (page.digest, page.list_read);
    let evaluated = evaluate(clients, run, &next, plan, page).await?;
    if let Some(reason) = rails::broken(clients, run, &next, &evaluated).await? {
        // The end points to them.
        clients.ledger.record_errors(&run.run, &evaluated.errors).await?;
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
    let size = size_for(quota.reach(Share::Submit { scroll_open: true }));
    let parts = if run.rails.dry_run {
        keep_sample(clients, run, &next, patches, at).await?;
        Vec::new()
    } else {
        cut(&run.run, next.generation, next.page, patches, size)
    };
    clients.queues.send_parts(&parts).await?;
    clients.ledger.record_errors(&run.run, &errors).await?;
    next.parts += parts.len() as u64;
    next.digest = Some(digest);
    next.list_read = list_read;
    next.tally.add(&tally);
    next.repeats = 0;
    next.idle_turns = 0;
    next.waits = None;
    next.not_before_ms = 0;
    outcome.pages += 1;
    outcome.users += tally.users;
    outcome.patches += tally.patches;
    Ok(after(run, next, plan, at))
}

/// What follows a page: the next one, or the end by `--limit`.
fn after(run: &Run, next: Cursor, plan: &Plan, at: &Invocation) -> Decision {
    if run.rails.limit.is_some_and(|limit| next.tally.users >= limit) {
        return end(run, next, plan, at);
    }
    Decision::turn(next, Did::Turned)
}

/// The end of the pages. With holes another generation follows, if the bounds allow.
fn end(run: &Run, mut next: Cursor, plan: &Plan, at: &Invocation) -> Decision {
    let now_ms = at.clock.now_ms();
    let has_users = run.listed.is_none() && run.count.is_some_and(|count| count > 0);
    if next.page == 0 && has_users {
        next.exists_tries = 0;
        next.scroll = None;
        if next.idle_turns >= EMPTY_STARTS_MAX {
            let reason = "the scroll is empty although the workspace has users: ask Intercom's support";
            return Decision::state(next, State::Failed, reason);
        }
        let until_ms = now_ms + next.scroll_life_ms;
        return Decision::wait(next, until_ms, "the first page was empty; it is asked for again");
    }
    if run.rails.limit.is_none() {
        // The empty page closed the scroll: the slot is free.
        next.called_ms = 0;
    }
    next.scroll = None;
    next.waits = None;
    if next.holes.is_empty() {
        if sample::is_cut_short(run, next.tally.users)
            && let Some(reason) = sample::unseen(run, plan, next.attributes_seen, next.tally.users)
        {
            return Decision::state(next, State::Paused, reason);
        }
        next.phase = Phase::Ended;
        return Decision { next, commit: Commit::State(State::Draining, None), did: Did::Ended };
    }
    let holes = next.holes.len();
    next.settle(now_ms);
    next.waits = Some(format!("{holes} pages may be lost: the scroll is begun again"));
    Decision::turn(next, Did::Regenerated)
}

/// What a failed request means for the cursor.
async fn failed(
    clients: &Clients,
    run: &Run,
    mut next: Cursor,
    error: &Error,
    at: &Invocation,
) -> Result<Decision, StepError> {
    let now_ms = at.clock.now_ms();
    let listed = run.listed.is_some();
    tracing::warn!(run = run.run.as_str(), page = next.page + 1, %error, "a page did not come");
    Ok(match disposition(error, at.clock.now_s()) {
        Disposition::Limited { wait_s } => {
            let until_ms = clients.meter.limited(wait_s, at).await;
            Decision::wait(next, until_ms, "Intercom's rate limit")
        }
        Disposition::NotSent => Decision::wait(next, now_ms + LATER_MS, "Intercom could not be reached"),
        Disposition::Later => Decision::wait(next, now_ms + LATER_MS, "Intercom asked to come back later"),
        Disposition::ScrollExists if next.scroll.is_none() => exists(next, now_ms),
        Disposition::CursorExpired if next.scroll.is_some() => {
            // After a lost page a newer cursor may be open that nobody told us.
            next.called_ms = if next.holes.is_empty() { 0 } else { next.called_ms };
            next.scroll = None;
            next.cut = Some("the scroll expired before its end".to_owned());
            next.waits = Some("the scroll expired before its end: it is begun again".to_owned());
            next.settle(now_ms);
            Decision::turn(next, Did::Regenerated)
        }
        // Reading a user by id changes nothing at Intercom: it is simply asked again.
        Disposition::Ambiguous | Disposition::ScrollExists if listed => {
            Decision::wait(next, now_ms + LATER_MS, "Intercom did not answer")
        }
        Disposition::Ambiguous | Disposition::ScrollExists => {
            if next.scroll.is_none() {
                let until_ms = now_ms + next.scroll_life_ms;
                // The scroll that is met next may be this one: nobody else's waits go on.
                next.exists_tries = 0;
                let why = format!("the first page's answer was lost ({}); its scroll must expire first", error.said());
                return Ok(Decision::wait(next, until_ms, why));
            }
            next.hole();
            Decision::turn(next, Did::Hole)
        }
        Disposition::CursorExpired | Disposition::RunFault | Disposition::NotFound | Disposition::ItemRejected => {
            if next.scroll.is_none() {
                // Refused, the first call opened no scroll that the next run would have to wait for.
                next.called_ms = 0;
            }
            let reason = format!("{error}. {}", advice(error));
            Decision::state(next, State::Failed, reason)
        }
    })
}

/// Somebody holds the workspace's only scroll.
fn exists(mut next: Cursor, now_ms: i64) -> Decision {
    let Some(wait_ms) = EXISTS_WAITS_MS.get(next.exists_tries as usize) else {
        let reason = "another program holds the workspace's only scroll: look for integrations, scripts or a second copy \
                      of this stack that read all users; a scroll ends 60 s after its last page. Then start again";
        return Decision::state(next, State::Failed, reason);
    };
    next.exists_tries += 1;
    Decision::wait(next, now_ms + wait_ms, "another scroll is open in the workspace (possibly our own of before)")
}

/// A dry run keeps the first page's changes, to be shown.
async fn keep_sample(
    clients: &Clients,
    run: &Run,
    next: &Cursor,
    patches: Vec<Patch>,
    at: &Invocation,
) -> Result<(), StepError> {
    if next.tally.patches > 0 || patches.is_empty() {
        return Ok(());
    }
    let part = PartId { generation: next.generation, origin: Origin::Page { page: next.page, part: 0 } };
    let changes = Changes { parts: vec![ChangesOfPart { part, patches }] };
    Ok(clients.ledger.put_changes(&run.run, SAMPLE, &changes, at.clock.now_ms()).await?)
}
