//! The metrics of an invocation of submit.

use super::SubmitOutcome;
use crate::runtime::telemetry::Metric;

impl SubmitOutcome {
    /// Returns the metrics of this invocation.
    pub fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::count("Jobs", self.jobs),
            Metric::count("JobItems", self.users),
            Metric::count("PartsGivenUp", self.given_up),
            Metric::count("PartsDropped", self.dropped),
            Metric::count("UserErrors", self.refused + self.users_given_up),
            Metric::count("RunsNotComplete", self.not_complete),
            Metric::count("Buried", self.dead_lettered),
            Metric::count("LeftForNewer", self.newer),
            Metric::count("RateLimited", self.rate_limited),
            Metric::percent("QuotaUsedPercent", self.quota_used_percent),
        ]
    }
}
