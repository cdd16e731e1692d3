//! The end of the reading, in time for the users that are queued by then.

use super::{Decision, TurnAction, TurnFacts};
use crate::domain::run::{Cursor, Phase, Position, Speed};

/// Ends the pages if the users that are queued and in no job need the time until the deadline. Further
/// pages would only add users that the run cannot send. A list that was read to its end is not cut: its last
/// page is not requested once more.
pub fn after_reading_time(cursor: &Cursor, queued: u64, speed: Speed, facts: &TurnFacts<'_>) -> Option<Decision> {
    let TurnFacts { run, now_ms } = *facts;
    if queued == 0 || now_ms <= run.reading_ends_ms(queued, speed) {
        return None;
    }
    if cursor.phase == Phase::Turning && cursor.position == Position::ListEnd {
        return None;
    }
    let mut next = cursor.clone();
    if cursor.phase == Phase::Turning && cursor.last_page.as_ref().is_some_and(|last| last.is_at(&cursor.position)) {
        next.position = Position::ListEnd;
        return Some(Decision::turn(next, TurnAction::Turned));
    }
    let minutes = (run.deadline_ms - now_ms).max(0) / 60_000;
    let ended = format!(
        "reading ended {minutes} min before the deadline, which {queued} queued users need; {}",
        run.read_so_far(&cursor.tally)
    );
    next.cut = Some(next.cut.take().map_or(ended.clone(), |cut| format!("{cut}; {ended}")));
    Some(Decision::drain(next))
}
