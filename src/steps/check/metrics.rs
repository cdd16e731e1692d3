//! The metrics of an invocation of check.

use super::CheckOutcome;
use crate::domain::run::State;
use crate::runtime::telemetry::Metric;

impl CheckOutcome {
    /// Returns the metrics of this invocation. A run that completed with errors counts as complete,
    /// because each user has a result, and also as a run with errors.
    pub fn metrics(&self) -> Vec<Metric> {
        let ended = self.ended.as_ref().map(|(_, state)| state.as_str());
        let with_errors = ended == Some(State::CompleteWithErrors.as_str());
        let complete = with_errors || ended == Some(State::Complete.as_str());
        vec![
            Metric::count("JobsCompleted", self.closed.saturating_sub(self.with_errors + self.unknown)),
            Metric::count("JobsWithErrors", self.with_errors),
            Metric::count("JobsUnknown", self.unknown),
            Metric::count("JobsOverdue", self.overdue),
            Metric::count("UserErrors", self.failed + self.unattributed),
            Metric::count("RunsComplete", u64::from(complete)),
            Metric::count("RunsWithErrors", u64::from(with_errors)),
            Metric::count("RunsNotComplete", u64::from(ended.is_some() && !complete) + self.paused),
            Metric::count("LeftForNewer", self.newer),
            Metric::count("RateLimited", self.rate_limited),
            Metric::percent("QuotaUsedPercent", self.quota_used_percent),
        ]
    }
}
