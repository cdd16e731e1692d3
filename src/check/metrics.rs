//! What an invocation of check tells CloudWatch.

use super::Outcome;
use crate::run::State;
use crate::telemetry::Metric;

impl Outcome {
    /// The figures of this invocation. A run that completed with errors counts as complete: each user has an end, and
    /// those in error are counted as such.
    pub fn metrics(&self) -> Vec<Metric> {
        let complete = [State::Complete, State::CompleteWithErrors].map(State::as_str);
        let ended = self.ended.as_ref().map(|(_, state)| complete.contains(&state.as_str()));
        vec![
            Metric::count("JobsCompleted", self.closed.saturating_sub(self.with_errors + self.unknown)),
            Metric::count("JobsWithErrors", self.with_errors),
            Metric::count("JobsUnknown", self.unknown),
            Metric::count("UserErrors", self.failed + self.unattributed),
            Metric::count("RunsComplete", u64::from(ended == Some(true))),
            Metric::count("RunsNotComplete", u64::from(ended == Some(false))),
            Metric::count("RateLimited", self.rate_limited),
            Metric::percent("QuotaUsedPercent", self.quota_used_percent),
        ]
    }
}
