//! The waits until reads show the latest writes. Otherwise the plan would be applied to old values, and write
//! some of them again, and an undo would leave values of its run.

use super::{Decision, TurnFacts};
use crate::domain::run::{Cursor, Position, Run};

/// Returns whether the next page is the first one of a list that may not show the latest writes.
pub fn awaits_list(cursor: &Cursor, run: &Run) -> bool {
    run.awaits_lists() && cursor.position == Position::First && cursor.page == 0
}

/// Waits until the list shows the writes of the earlier runs, at `visible_at_ms`, and those of the
/// generations before. `None` if it shows them.
pub fn until_list_shows(cursor: &Cursor, visible_at_ms: i64, facts: &TurnFacts<'_>) -> Option<Decision> {
    let until_ms = visible_at_ms.max(cursor.visible_at_ms);
    let at = second_of_day(until_ms)?;
    let minutes = facts.run.api.list_lag_ms() / 60_000;
    let why = format!(
        "Intercom's list shows writes after up to {minutes} minutes, so it is read from {at} UTC on; no_wait skips this"
    );
    (facts.now_ms < until_ms).then(|| Decision::wait(cursor.clone(), until_ms, why))
}

/// Waits until a read by id surely shows the writes of the undone run, at `shown_at_ms`. An undo that finds
/// values as if they had not been written reads them a second time then. `None` if it shows them.
pub fn until_user_shows(cursor: &Cursor, shown_at_ms: i64, facts: &TurnFacts<'_>) -> Option<Decision> {
    let at = second_of_day(shown_at_ms)?;
    let why =
        format!("some values look as if the run had not written them, so they are read a second time at {at} UTC");
    (facts.now_ms < shown_at_ms).then(|| Decision::wait(cursor.clone(), shown_at_ms, why))
}

fn second_of_day(ms: i64) -> Option<String> {
    Some(jiff::Timestamp::from_millisecond(ms).ok()?.strftime("%H:%M:%S").to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::run::RunId;

    #[test]
    fn first_page_waits_for_the_latest_write_of_any_run() {
        let stored = json!({"v": 2, "run": "p.1", "plan": "p", "state": "running", "generation": 1, "started_ms": 0,
            "deadline_ms": 0, "api": "v2"});
        let run: Run = serde_json::from_value(stored).unwrap();
        let facts = TurnFacts { run: &run, now_ms: 43_000_000 };
        let cursor = |visible_at_ms| Cursor { visible_at_ms, ..Cursor::first(RunId::of("p", 0), 0, 0) };
        for (of_runs_ms, of_generations_ms, until_ms) in
            [(43_390_000, 0, Some(43_390_000)), (0, 43_390_000, Some(43_390_000)), (43_000_000, 42_000_000, None)]
        {
            let decision = until_list_shows(&cursor(of_generations_ms), of_runs_ms, &facts);
            assert_eq!(decision.as_ref().map(|decision| decision.next.not_before_ms), until_ms);
            let why = decision.and_then(|decision| decision.next.waits).unwrap_or_default();
            assert!(until_ms.is_none() || why.contains("read from 12:03:10 UTC on"), "{why}");
        }
        let by_id = |shown_at_ms| until_user_shows(&cursor(0), shown_at_ms, &facts);
        let why = by_id(43_390_000).and_then(|decision| decision.next.waits).unwrap_or_default();
        assert!(why.contains("a second time at 12:03:10 UTC"), "{why}");
        assert_eq!(by_id(43_000_000), None);
        let later = Cursor { page: 1, ..cursor(0) };
        assert!(awaits_list(&cursor(0), &run) && !awaits_list(&later, &run));
        let after = "WzFd".to_owned();
        assert!(!awaits_list(&Cursor { position: Position::List { after }, ..cursor(0) }, &run));
    }
}
