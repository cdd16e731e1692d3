//! Lists that show a write later than a read by id does. A run that reads a list earlier would compute
//! its values from old ones.

use super::unsettled::{LATE_MS, LEASE_MOST_MS, REQUEST_MOST_MS};
use super::{Cursor, Run};
use crate::domain::api::{Api, Writing};

impl Api {
    /// Returns the time after which a list shows a write, in milliseconds; 0 if it shows it at once.
    pub fn list_lag_ms(self) -> i64 {
        i64::from(self.capabilities().list_lag_s) * 1000
    }
}

impl Run {
    /// Returns whether the run waits until lists show all earlier writes. It reads users by id without
    /// a wait.
    pub fn awaits_lists(&self) -> bool {
        self.listed.is_none() && !self.limits.no_wait && self.api.list_lag_ms() > 0
    }

    /// Returns the time by which the writes of the run have taken effect, if no part and no job of it
    /// is open, in Unix milliseconds. It is too late rather than too early: no time of a write is
    /// stored.
    pub fn written_by_ms(&self, now_ms: i64) -> i64 {
        let Some(pause) = &self.paused else { return now_ms };
        let late_ms = match self.api.capabilities().write {
            // A canary pauses after all its parts and jobs have ended.
            _ if self.canary_ended.is_some() => 0,
            Writing::Answers => LEASE_MOST_MS + REQUEST_MOST_MS + LATE_MS,
            // A job goes on during a pause.
            Writing::Jobs { .. } | Writing::JobsOrAnswers { .. } => return now_ms,
        };
        now_ms.min(pause.since_ms.saturating_add(late_ms))
    }

    /// Returns the time from which on lists show all writes of the run, if it ends now and no part
    /// and no job of it is open; `None` if it wrote nothing, or if lists show writes at once.
    pub fn visible_at_ms(&self, cursor: &Cursor, now_ms: i64) -> Option<i64> {
        let lag_ms = self.api.list_lag_ms();
        let earlier = cursor.changed_before > 0 || cursor.generation > 1;
        let may_have_written = earlier || cursor.tally.patches > 0 && !self.held_back;
        (lag_ms > 0 && may_have_written && !self.limits.dry_run).then(|| self.written_by_ms(now_ms) + lag_ms)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::run::RunId;

    const NOW_MS: i64 = 10_000_000;

    fn run(api: &str) -> Run {
        let stored = json!({"v": 2, "run": "p.1", "plan": "p", "state": "running", "generation": 1, "started_ms": 0,
            "deadline_ms": 0, "api": api});
        serde_json::from_value(stored).unwrap()
    }

    /// A cursor that decided on this many patches.
    fn cursor(patches: u64) -> Cursor {
        let mut cursor = Cursor::first(RunId::of("p", 0), 0, 0);
        cursor.tally.patches = patches;
        cursor
    }

    #[test]
    fn lists_show_the_writes_of_a_run_three_minutes_after_its_end() {
        let after = |run: &Run, cursor: &Cursor| run.visible_at_ms(cursor, NOW_MS).map(|at_ms| at_ms - NOW_MS);
        let v2 = run("v2");
        assert_eq!(after(&v2, &cursor(1)), Some(180_000));
        assert_eq!(after(&v2, &cursor(0)), None, "nothing was written");
        assert_eq!(after(&v2, &Cursor { changed_before: 1, ..cursor(0) }), Some(180_000));
        assert_eq!(after(&v2, &Cursor { generation: 2, ..cursor(0) }), Some(180_000));
        let held_back = Run { held_back: true, ..v2.clone() };
        assert_eq!(after(&held_back, &cursor(1)), None, "nothing was sent");
        let mut dry = v2;
        dry.limits.dry_run = true;
        assert_eq!(after(&dry, &cursor(1)), None);
        assert_eq!(after(&run("v1"), &cursor(1)), None, "the scroll shows writes at once");
    }

    #[test]
    fn writes_of_a_paused_run_are_over_minutes_after_the_pause() {
        let paused = |since_ms: i64| Run {
            paused: serde_json::from_value(json!({"by": "operator", "from": "running", "since_ms": since_ms})).unwrap(),
            ..run("v2")
        };
        let hours_ago = paused(0);
        assert_eq!(hours_ago.written_by_ms(NOW_MS), 395_000);
        assert_eq!(Run { canary_ended: Some(1), ..hours_ago.clone() }.written_by_ms(NOW_MS), 0);
        assert_eq!(Run { api: Api::V1, ..hours_ago }.written_by_ms(NOW_MS), NOW_MS, "its jobs went on");
        assert_eq!(paused(NOW_MS - 1_000).written_by_ms(NOW_MS), NOW_MS, "requests may be under way");
    }

    #[test]
    fn only_a_list_that_lags_is_waited_for() {
        let by_id = Run { listed: Some(3), ..run("v2") };
        let mut hurried = run("v2");
        hurried.limits.no_wait = true;
        assert_eq!([run("v2"), by_id, hurried, run("v1")].map(|run| run.awaits_lists()), [true, false, false, false]);
    }
}
