//! A page whose request failed.

use super::{Decision, TurnAction, TurnFacts};
use crate::domain::api::{PageFailure, Reading};
use crate::domain::run::{Cursor, Position, State};

/// The last wait after [`PageFailure::Busy`], in milliseconds, if it exceeds three lives of an
/// exclusive reading. The waits before are one life and two. The run fails after the last one.
const BUSY_LAST_MS: i64 = 300_000;
const BUSY_WAITS: u32 = 3;
/// The wait between two pages in a row that may be lost, in milliseconds. A disturbance of seconds
/// then costs few pages.
const BETWEEN_GAPS_MS: i64 = 5_000;

/// A request for a page that failed.
#[derive(Clone, Copy, Debug)]
pub struct FailureFacts<'a> {
    /// The possible reaction.
    pub failure: PageFailure,
    /// The time of the next allowed request after [`PageFailure::RateLimited`], in Unix
    /// milliseconds.
    pub limited_until_ms: i64,
    /// The words of Intercom or the transport, in short.
    pub said: &'a str,
    /// The error with advice, for the end of the run.
    pub reason: &'a str,
}

/// Decides what a failed request means.
pub fn after_failure(mut cursor: Cursor, request: &FailureFacts<'_>, facts: &TurnFacts<'_>) -> Decision {
    let TurnFacts { run, now_ms } = *facts;
    let is_open = cursor.position.is_exclusive();
    let later = |next: Cursor, why: &str| Decision::unanswered(next, now_ms, now_ms, why);
    match (request.failure, run.reading()) {
        (PageFailure::RateLimited, _) => {
            Decision::unanswered(cursor, now_ms, request.limited_until_ms, "Intercom's rate limit")
        }
        (PageFailure::Repeat { answered: false }, _) => later(cursor, "Intercom could not be reached"),
        (PageFailure::Repeat { answered: true }, _) => later(cursor, "Intercom asked to come back later"),
        (PageFailure::Expired, _) if is_open => expired(cursor, now_ms),
        (PageFailure::Expired, Reading::Repeatable) if cursor.position.is_in_list() => refused_place(cursor, now_ms),
        // Intercom keeps no position that the request could have moved.
        (PageFailure::MaybeConsumed | PageFailure::Busy, Reading::Repeatable) => {
            later(cursor, "Intercom did not answer")
        }
        (PageFailure::MaybeConsumed | PageFailure::Busy, _) if is_open => consumed(cursor, now_ms),
        (PageFailure::Busy, Reading::Exclusive { life_s }) => busy(cursor, life_s, now_ms),
        (PageFailure::MaybeConsumed, Reading::Exclusive { .. }) => {
            // The open reading may be our own, so reset the waits for another program's.
            cursor.exclusive.busy_tries = 0;
            let why = format!("the first page's answer was lost ({}); its scroll must expire first", request.said);
            let free_at_ms = now_ms + cursor.exclusive.life_ms;
            Decision::unanswered(cursor, now_ms, free_at_ms, &why)
        }
        (PageFailure::Expired | PageFailure::Fatal, reading) => {
            if !is_open && reading != Reading::Repeatable {
                // The first call was refused, so it opened no reading that the next run would wait
                // for. A list of users opens none: the reading of the run before may be open.
                cursor.exclusive.called_ms = 0;
            }
            Decision::state(cursor, State::Failed, request.reason)
        }
    }
}

/// Intercom refuses the place in its list: a new generation reads again from the first page.
fn refused_place(mut next: Cursor, now_ms: i64) -> Decision {
    next.position = Position::First;
    next.cut = Some("Intercom refused the place of the next page".to_owned());
    next.waits = Some("Intercom refused the place of the next page: the list is begun again".to_owned());
    next.settle(now_ms);
    Decision::turn(next, TurnAction::Regenerated)
}

/// The reading is gone before its end: a new generation reads again from the first page.
fn expired(mut next: Cursor, now_ms: i64) -> Decision {
    // After a lost page, a reading with an unknown parameter may be open.
    next.exclusive.called_ms = if next.gaps.is_empty() { 0 } else { next.exclusive.called_ms };
    next.position.forget_reading();
    next.excused |= next.was_kept_from_reading(now_ms);
    next.cut = Some("the scroll expired before its end".to_owned());
    next.waits = Some("the scroll expired before its end: it is begun again".to_owned());
    next.settle(now_ms);
    Decision::turn(next, TurnAction::Regenerated)
}

/// Intercom may have carried the request out: the page becomes a gap, and the reading lives on from
/// this request.
fn consumed(mut next: Cursor, now_ms: i64) -> Decision {
    next.answered();
    next.gap();
    let again = next.idle_turns > 1;
    next.not_before_ms = if again { now_ms + BETWEEN_GAPS_MS } else { 0 };
    next.waits = again.then(|| "Intercom does not answer: pages may be lost".to_owned());
    Decision::turn(next, TurnAction::Gap)
}

/// Another program holds the workspace's exclusive reading, which lives for `life_s`.
fn busy(mut next: Cursor, life_s: u32, now_ms: i64) -> Decision {
    next.answered();
    let Some(wait_ms) = busy_wait_ms(next.exclusive.busy_tries, next.exclusive.life_ms) else {
        let reason = format!(
            "another program holds the workspace's only scroll: look for integrations, scripts or a second copy of this \
             stack that read all users; a scroll ends {life_s} s after its last page. Then start again"
        );
        return Decision::state(next, State::Failed, reason);
    };
    next.exclusive.busy_tries += 1;
    let why = "another scroll is open in the workspace (possibly our own of before)";
    Decision::wait(next, now_ms + wait_ms, why)
}

/// Returns the wait for another program's reading, in milliseconds; `None` after the last wait.
fn busy_wait_ms(tries: u32, life_ms: i64) -> Option<i64> {
    match tries {
        0 | 1 => Some(life_ms * i64::from(tries + 1)),
        tries if tries < BUSY_WAITS => Some(BUSY_LAST_MS.max(3 * life_ms)),
        _ => None,
    }
}
