//! The end of the reading, in time for the users that are queued by then.

use super::{Decision, TurnFacts};
use crate::domain::run::{Cursor, Speed};

/// Ends the pages if the users that are queued and in no job need the time until the deadline. Further
/// pages would only add users that the run cannot send.
pub fn after_reading_time(cursor: &Cursor, queued: u64, speed: Speed, facts: &TurnFacts<'_>) -> Option<Decision> {
    let TurnFacts { run, now_ms } = *facts;
    if queued == 0 || now_ms <= run.reading_ends_ms(queued, speed) {
        return None;
    }
    let mut next = cursor.clone();
    let minutes = (run.deadline_ms - now_ms).max(0) / 60_000;
    let ended = format!(
        "reading ended {minutes} min before the deadline, which {queued} queued users need; {}",
        run.read_so_far(&cursor.tally)
    );
    next.cut = Some(next.cut.take().map_or(ended.clone(), |cut| format!("{cut}; {ended}")));
    Some(Decision::drain(next))
}
