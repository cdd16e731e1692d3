//! The times at which this process reported the formats that its steps read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The time between two reports of a process, in milliseconds.
const EACH_MS: i64 = 10 * 60 * 1000;

/// The last report of each step. A local process has all steps. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct FormatReports(Arc<Mutex<BTreeMap<&'static str, i64>>>);

impl FormatReports {
    /// Returns whether a report of `what` is due at `now_ms` (Unix milliseconds). It then counts as made.
    pub fn take_due(&self, what: &'static str, now_ms: i64) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.get(what).is_none_or(|at_ms| now_ms - at_ms >= EACH_MS);
        if is_due {
            last.insert(what, now_ms);
        }
        is_due
    }

    /// Notes that a report failed: the next invocation repeats it.
    pub fn failed(&self, what: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_reports_every_ten_minutes() {
        let reports = FormatReports::default();
        for (what, now_ms, is_due) in [
            ("submit", 0, true),
            ("check", 1, true),
            ("submit", EACH_MS - 1, false),
            ("submit", EACH_MS, true),
            ("check", EACH_MS, false),
        ] {
            assert_eq!(reports.take_due(what, now_ms), is_due, "{what} {now_ms}");
        }
        reports.failed("submit");
        assert!(reports.take_due("submit", EACH_MS));
    }
}
