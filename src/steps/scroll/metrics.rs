//! What an invocation of scroll tells CloudWatch.

use super::{Did, Outcome};
use crate::runtime::telemetry::Metric;

impl Outcome {
    /// The figures of this invocation.
    pub fn metrics(&self) -> Vec<Metric> {
        let times = |what: Did| self.did.iter().filter(|did| **did == what).count() as u64;
        vec![
            Metric::count("Pages", self.pages),
            Metric::count("Users", self.users),
            Metric::count("Patches", self.patches),
            Metric::count("Holes", self.holes),
            Metric::count("Turns", self.turns),
            Metric::count("RunsStarted", times(Did::Started)),
            Metric::count("RunsNotComplete", self.not_complete),
            Metric::count("Buried", times(Did::Buried)),
            Metric::count("LeftForNewer", self.newer),
            Metric::count("RateLimited", self.rate_limited),
            Metric::percent("QuotaUsedPercent", self.quota_used_percent),
        ]
    }
}
