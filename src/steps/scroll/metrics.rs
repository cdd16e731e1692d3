//! The metrics of an invocation of scroll.

use super::{Action, ScrollOutcome};
use crate::runtime::telemetry::Metric;

impl ScrollOutcome {
    /// Returns the metrics of this invocation.
    pub fn metrics(&self) -> Vec<Metric> {
        let times = |what: Action| self.did.iter().filter(|did| **did == what).count() as u64;
        vec![
            Metric::count("Pages", self.pages),
            Metric::count("Users", self.users),
            Metric::count("Patches", self.patches),
            Metric::count("Holes", self.gaps),
            Metric::count("Turns", self.turns),
            Metric::count("RunsStarted", times(Action::Started)),
            Metric::count("RunsNotComplete", self.not_complete),
            Metric::count("Buried", times(Action::Buried)),
            Metric::count("LeftForNewer", self.newer),
            Metric::count("LongWaits", self.long_waits),
            Metric::count("RateLimited", self.rate_limited),
            Metric::percent("QuotaUsedPercent", self.quota_used_percent),
        ]
    }
}
