//! The outcome of an invocation of check, and its metrics.

use serde::Serialize;

use crate::domain::run::State;
use crate::runtime::telemetry::Metric;

/// The outcome of an invocation, for the log line and the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckOutcome {
    /// Polled jobs.
    pub looked: u64,
    /// Due jobs that are left for the next tick.
    pub overdue: u64,
    /// Jobs closed.
    pub closed: u64,
    /// Users that were refused permanently.
    pub failed: u64,
    /// Users sent again.
    pub again: u64,
    /// Closed jobs with refused users.
    pub with_errors: u64,
    /// Closed jobs with an unknown result.
    pub unknown: u64,
    /// Refused items that belong to no user of their job.
    pub unattributed: u64,
    /// Jobs and runs of a newer format, which are left to the newer version of the function.
    pub newer: u64,
    /// Written users that were read back.
    pub read_back: u64,
    /// Users of an ended run of whom Intercom did not keep a value.
    pub not_kept: u64,
    /// Runs that were paused because the token belongs to another workspace.
    pub paused: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// The highest use of our quota in a rate window, in percent.
    pub quota_used_percent: u64,
    /// Events of ends and pauses that EventBridge accepted.
    pub events: u64,
    /// Ends and pauses that could not be reported; the next tick tries again.
    pub events_failed: u64,
    /// The run that ended, and its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<(String, String)>,
}

impl CheckOutcome {
    /// Adds the outcome of one poll.
    pub(super) fn add(&mut self, polled: &Self) {
        self.looked += polled.looked;
        self.closed += polled.closed;
        self.failed += polled.failed;
        self.again += polled.again;
        self.with_errors += polled.with_errors;
        self.unknown += polled.unknown;
        self.unattributed += polled.unattributed;
        self.newer += polled.newer;
    }

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
            Metric::count("EventsFailed", self.events_failed),
            Metric::count("RateLimited", self.rate_limited),
            Metric::percent("QuotaUsedPercent", self.quota_used_percent),
        ]
    }
}
