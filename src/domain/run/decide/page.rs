//! An answer that is a page, and the end of the pages.

use std::ops::ControlFlow;

use super::{Commit, Decision, TurnAction, TurnFacts, sample};
use crate::domain::run::{Cursor, LastPage, Phase, Position, REPEATS_MAX, Run, State, Tally};

/// Requests for a page of a list whose answer is the page before it.
const SAME_PAGE_MAX: u32 = 5;
/// The first wait before such a page is requested again, in milliseconds. Each further one is twice
/// as long.
const SAME_PAGE_WAIT_MS: i64 = 10_000;

/// The waits before the last page of a list is requested again, in milliseconds, if Intercom counts more
/// users than the list had.
const LAST_PAGE_WAITS_MS: [i64; 3] = [30_000, 60_000, 120_000];

/// First pages that may be empty although the workspace has users.
const EMPTY_STARTS_MAX: u32 = 3;

/// An answer with a page, before its users are evaluated.
#[derive(Clone, Copy, Debug)]
pub struct AnswerFacts<'a> {
    /// The place of the next page, if the answer names one.
    pub next: Option<&'a Position>,
    /// True if no page follows and this one has no users.
    pub is_end: bool,
    /// Digest that distinguishes the page from the previous one.
    pub digest: u64,
    /// Paths that the plan reads and that no user of the generation has so far.
    pub unseen: &'a [&'a str],
}

/// A page whose users are evaluated.
#[derive(Clone, Copy, Debug)]
pub struct PageFacts<'a> {
    /// Digest that distinguishes the page from the previous one.
    pub digest: u64,
    /// The place of the next page, if the answer names one.
    pub next: Option<&'a Position>,
    /// The page, if it is the last one of its list.
    pub last: Option<&'a LastPage>,
    /// Intercom's count of users, if the answer contains it.
    pub count: Option<u64>,
    /// Users of the page by outcome.
    pub tally: &'a Tally,
    /// Paths of the plan that a user of the page has, one bit each.
    pub paths_seen: u64,
    /// Paths that the plan reads and that no user of the generation has, this page included.
    pub unseen: &'a [&'a str],
    /// Parts of the page.
    pub parts: u64,
}

/// Decides what an answer means before its users are evaluated. Continues with the cursor if there
/// are users.
pub fn after_answer(
    mut cursor: Cursor,
    answer: &AnswerFacts<'_>,
    facts: &TurnFacts<'_>,
) -> ControlFlow<Decision, Cursor> {
    // With exclusive reading, the answer has moved Intercom's position.
    if let Some(next) = answer.next.filter(|_| facts.run.reads_exclusively()) {
        cursor.position = next.clone();
    }
    cursor.exclusive.busy_tries = 0;
    cursor.answered();
    if answer.is_end {
        return ControlFlow::Break(end(cursor, answer.unseen, facts));
    }
    let is_same_place = cursor.position.is_in_list() && answer.next == Some(&cursor.position);
    let is_again = cursor.last_page.as_ref().is_some_and(|last| last.is_at(&cursor.position));
    if (cursor.digest != Some(answer.digest) || is_again) && !is_same_place {
        return ControlFlow::Continue(cursor);
    }
    if !facts.run.reads_exclusively() {
        return ControlFlow::Break(same_page(cursor, facts));
    }
    cursor.gap();
    cursor.repeats += 1;
    ControlFlow::Break(if cursor.repeats >= REPEATS_MAX {
        let reason = "Intercom sent the same page three times in a row: a cache on the way, or an outage. \
                      Start it again later";
        Decision::state(cursor, State::Failed, reason)
    } else {
        Decision::turn(cursor, TurnAction::Gap)
    })
}

/// Handles a page of a list that equals the page before it, or that names its own place as the next
/// one: its request is repeated, with growing waits. The cursor moves to another page with each
/// commit, so a page that is read again after a crash is compared with the page before it.
fn same_page(mut cursor: Cursor, facts: &TurnFacts<'_>) -> Decision {
    cursor.repeats += 1;
    if cursor.repeats > SAME_PAGE_MAX {
        let read = facts.run.read_so_far(&cursor.tally);
        cursor.cut =
            Some(format!("Intercom sent the same page or its own place {} times in a row; {read}", cursor.repeats));
        return Decision::drain(cursor);
    }
    let wait_ms = SAME_PAGE_WAIT_MS << (cursor.repeats - 1);
    Decision::wait(cursor, facts.now_ms + wait_ms, "Intercom sent the same page, or its own place, again")
}

/// Pauses the run if the page completes the sample and the plan reads a path that no user has.
/// Nothing of the page is sent then: in a workspace of one page, nothing at all.
pub fn paths_unseen(cursor: &Cursor, page: &PageFacts<'_>, facts: &TurnFacts<'_>) -> Option<Decision> {
    let run = facts.run;
    let mut next = cursor.clone();
    next.attributes_seen |= page.paths_seen;
    next.tally.add(page.tally);
    // Later pages do not complete it: a run that an earlier version began may have passed it without an
    // account of all paths.
    if sample::is_complete(run, &cursor.tally) || !sample::is_complete(run, &next.tally) {
        return None;
    }
    let reason = sample::unseen(run, page.unseen, next.tally.without_leads())?;
    Some(pause(next, reason, facts.now_ms))
}

/// Fails the run at a page that is not sent, because an attribute that its plan writes is a relationship.
/// All later pages would show the same, so a pause would be of no use.
pub fn relationship_written(cursor: Cursor, attribute: &str) -> Decision {
    let reason = format!(
        "the plan writes custom_attributes.\"{attribute}\", which is a relationship with a custom object: a value would \
         replace it. Nothing of this page was sent. Use another attribute, and start again"
    );
    Decision::state(cursor, State::Failed, reason)
}

/// Pauses the run at a page that is not sent. Intercom may have moved past that page, so a resume
/// begins a new generation, which does not count against the bounds.
fn pause(mut next: Cursor, reason: String, now_ms: i64) -> Decision {
    next.settle(now_ms);
    next.excused = true;
    Decision::state(next, State::Paused, reason)
}

/// Moves the cursor past a page whose parts are sent: to the next page, or to the end by `--limit`.
pub fn after_page(mut cursor: Cursor, page: &PageFacts<'_>, facts: &TurnFacts<'_>) -> Decision {
    cursor.page += 1;
    cursor.interrupted = false;
    cursor.pages_in_all += 1;
    cursor.parts += page.parts;
    cursor.digest = Some(page.digest);
    // If a page follows the last one by now, users may have moved on to it.
    let moved_on = cursor.last_page.take().filter(|last| last.is_at(&cursor.position));
    if let Some(next) = page.next {
        cursor.position = next.clone();
    }
    cursor.attributes_seen |= page.paths_seen;
    cursor.tally.add(page.tally);
    cursor.repeats = 0;
    cursor.idle_turns = 0;
    cursor.waits = None;
    cursor.not_before_ms = 0;
    if facts.run.limit().is_some_and(|limit| cursor.tally.without_leads() >= limit) {
        return end(cursor, page.unseen, facts);
    }
    if let Some(last) = page.last {
        return after_last_page(cursor, last, page.count, facts);
    }
    cursor.last_page = moved_on;
    Decision::turn(cursor, TurnAction::Turned)
}

/// Compares the last page of a list with Intercom's count of users. If the list had fewer, the page is
/// requested again after a wait, three times at most.
fn after_last_page(mut next: Cursor, last: &LastPage, count: Option<u64>, facts: &TurnFacts<'_>) -> Decision {
    next.count_at_end = count;
    let read = next.tally.read();
    let more = count.filter(|count| *count > read && facts.run.reads_everybody());
    let wait_ms = LAST_PAGE_WAITS_MS.get(last.repeats as usize);
    let (Some(count), Some(wait_ms)) = (more, wait_ms) else { return Decision::turn(next, TurnAction::Turned) };
    next.position = last.place.clone();
    next.last_page = Some(LastPage { repeats: last.repeats + 1, ..last.clone() });
    let why = format!("Intercom counts {count} users and listed {read}, so the last page is requested again");
    Decision { action: TurnAction::Turned, ..Decision::wait(next, facts.now_ms + wait_ms, why) }
}

/// Ends the pages. With gaps another generation follows, if the bounds allow.
fn end(mut next: Cursor, unseen: &[&str], facts: &TurnFacts<'_>) -> Decision {
    let TurnFacts { run, now_ms } = *facts;
    let has_users = run.listed.is_none() && run.count.is_some_and(|count| count > 0);
    if next.page == 0 && has_users {
        next.position.forget_reading();
        if next.idle_turns >= EMPTY_STARTS_MAX {
            let reason = "the scroll is empty although the workspace has users: ask Intercom's support";
            return Decision::state(next, State::Failed, reason);
        }
        let until_ms = now_ms + next.exclusive.life_ms;
        return Decision::idle(next, until_ms, "the first page was empty; it is asked for again");
    }
    if run.limit().is_none() && run.reads_exclusively() {
        // The empty page closed the reading. A list has none; that of the run before may be open.
        next.exclusive.called_ms = 0;
    }
    next.position.forget_reading();
    next.waits = None;
    if !next.gaps.is_empty() {
        let gaps = next.gaps.len();
        next.settle(now_ms);
        next.waits = Some(format!("{gaps} pages may be lost: the scroll is begun again"));
        return Decision::turn(next, TurnAction::Regenerated);
    }
    let users = next.tally.without_leads();
    match sample::unseen(run, unseen, users).filter(|_| sample::is_cut_short(run, &next.tally)) {
        Some(reason) => pause(next, reason, now_ms),
        None => Decision::drain(next),
    }
}

/// Returns whether the decision ends the pages of a run that reads all users. Their number is then
/// compared with Intercom's count.
fn ends_the_list(decision: &Decision, run: &Run) -> bool {
    let drains = matches!(decision.commit, Commit::State { state: State::Draining, .. });
    run.reads_everybody() && decision.next.phase == Phase::Ended && drains
}

/// Returns whether Intercom must count the users at the end of the pages: the last page had no count,
/// and the count of the start is missing, or is higher than the number of users read and may be old.
pub fn needs_count(decision: &Decision, run: &Run) -> bool {
    let Cursor { tally, count_at_end, .. } = &decision.next;
    let is_open = run.count.is_none_or(|count| run.is_cut_short(tally.read(), count));
    ends_the_list(decision, run) && count_at_end.is_none() && is_open
}

/// Compares the end of the pages with Intercom's count of users: `count_at_end` of the next cursor
/// or, without it, the count of the start. A list that ended early makes the run `incomplete`.
pub fn after_end(mut decision: Decision, run: &Run) -> Decision {
    if !ends_the_list(&decision, run) {
        return decision;
    }
    let next = &mut decision.next;
    let read = next.tally.read();
    if let Some(count) = next.count_at_end.or(run.count).filter(|count| run.is_cut_short(read, *count)) {
        let ended = format!("Intercom counts {count} users, and its list ended after {read}: start it again later");
        // A list whose reading ended for another reason has fewer users, too.
        next.cut = Some(next.cut.take().map_or(ended.clone(), |cut| format!("{cut}; {ended}")));
    }
    decision
}
