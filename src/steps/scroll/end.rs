//! The end of a run's pages: reached, given up, or compared with what Intercom counts.

use super::count::count;
use super::turn::Decision;
use super::{Action, sample};
use crate::domain::run::{Cursor, Phase, Run, State, is_cut_short};
use crate::ledger::Commit;
use crate::plan::Plan;
use crate::runtime::clients::Clients;
use crate::runtime::invocation::Invocation;

/// First pages that may be empty although the workspace has users.
const EMPTY_STARTS_MAX: u32 = 3;

/// No further page is read: the run submits what was queued, and its end says why it did not see everybody.
pub(super) fn give_up(mut next: Cursor, why: String) -> Decision {
    next.phase = Phase::Ended;
    next.cut = Some(why);
    Decision { next, commit: Commit::State(State::Draining, None), did: Action::Ended }
}

/// The end of a scroll compared with Intercom's count of users: a list that ended early is no end that one may trust. The
/// count of the start may be old, so another is asked for where it says so, or is missing.
pub(super) async fn compared(clients: &Clients, run: &Run, mut decision: Decision, at: &Invocation) -> Decision {
    let next = &mut decision.next;
    if !run.reads_everybody()
        || next.phase != Phase::Ended
        || !matches!(decision.commit, Commit::State(State::Draining, _))
    {
        return decision;
    }
    let read = next.tally.users + next.tally.unreadable;
    if run.count.is_none_or(|count| is_cut_short(read, count)) {
        next.count_at_end = match count(clients, at).await {
            Ok(Ok(count)) => Some(count),
            Ok(Err(why)) => {
                tracing::warn!(reason = why.reason, "the users could not be counted at the end of the pages");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the users could not be counted at the end of the pages");
                None
            }
        };
    }
    if let Some(count) = next.count_at_end.or(run.count).filter(|count| is_cut_short(read, *count)) {
        next.cut =
            Some(format!("Intercom counts {count} users, and its list ended after {read}: start it again later"));
    }
    decision
}

/// The end of the pages. With gaps another generation follows, if the bounds allow.
pub(super) fn end(run: &Run, mut next: Cursor, plan: &Plan, at: &Invocation) -> Decision {
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
    if run.limits.limit.is_none() {
        // The empty page closed the scroll: the slot is free.
        next.called_ms = 0;
    }
    next.scroll = None;
    next.waits = None;
    if next.gaps.is_empty() {
        if sample::is_cut_short(run, next.tally.users)
            && let Some(reason) = sample::unseen(run, plan, next.attributes_seen, next.tally.users)
        {
            return Decision::state(next, State::Paused, reason);
        }
        next.phase = Phase::Ended;
        return Decision { next, commit: Commit::State(State::Draining, None), did: Action::Ended };
    }
    let gaps = next.gaps.len();
    next.settle(now_ms);
    next.waits = Some(format!("{gaps} pages may be lost: the scroll is begun again"));
    Decision::turn(next, Action::Regenerated)
}
