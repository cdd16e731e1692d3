//! A run: one plan applied once to the workspace. Pure functions: states and their transitions, and
//! the verdict on a run's end.

mod accounts;
mod counts;
mod cursor;
pub mod decide;
mod lag;
mod limits;
mod pause;
mod position;
mod readback;
mod retry;
mod sampler;
mod saved;
mod set_again;
mod speed;
mod start;
mod state;
mod tally;
mod undo;
mod unsettled;
mod verdict;
mod workspace;

use serde::{Deserialize, Serialize};

use crate::domain::api::{Api, ApiVersion, BulkCharge, Reading, Way, Writing};
use crate::domain::part::Part;

pub use accounts::{Accounts, Counted, Totals};
pub use counts::{BucketCounts, Counts};
pub use cursor::{
    Committed, Cursor, GAPS_MAX, GENERATIONS_MAX, IDLE_TURNS_MAX, LastPage, Lease, Phase, REPEATS_MAX, REST_MOST_MS,
    STALLED_MAX, Settling, Turn, TurnOrder, Unanswered,
};
pub(crate) use limits::number_or_share;
pub use limits::{AtMost, Limits, PERCENT_MAX};
pub use pause::{PAUSE_MOST_MS, Pause, PausedBy};
pub use position::{EXCLUSIVE_LIFE_MS, ExclusiveReading, Position, RetryPlace, UndoPlace};
pub use readback::{FailedReads, NotKept, READ_BACK_MAX, ReadBack, ReadBackTotals, Seen};
pub use retry::{CODE_CHARS_MAX, Retry};
pub use sampler::{SAMPLE_MAX, Sampler, lowest_rank};
pub use saved::{CHANGED_SINCE_PREVIEW, SavedPreview};
pub use set_again::{OftenAgain, PreviousValues, SetAgain};
pub use speed::{DEADLINE_LEAST_MS, DEADLINE_MOST_MS, Speed, deadline_ms, deadline_of_list_ms};
pub use start::{Earlier, LIST_ITEM, LIST_MAX, RunId, Source, Start};
pub use state::State;
pub use tally::{NAMED_ALREADY, Tally};
pub use undo::{LaterRun, Undo};
pub use unsettled::{LATE_MS, LEASE_MOST_MS, Looked, OpenJobs, REQUEST_MOST_MS, SettleTimes, UNSETTLED_MAX, Unsettled};
pub use verdict::{Verdict, past_deadline};
pub use workspace::WorkspaceBinding;

/// The newest version of stored items and messages. A newer function reads those of an older one, and
/// an older one leaves those of a newer one.
pub const FORMAT: u32 = 3;
/// The version of runs on API 1.x, which functions that know no other API read, too.
pub const FORMAT_2: u32 = 2;
/// The version before: a part exists only in its message. A run of this format keeps it to its end.
pub const FORMAT_1: u32 = 1;
/// Users of a list that one turn reads at the same time, each by a request of its own.
pub const LIST_PAGE: usize = 20;

/// A run in the ledger. Its fast-changing part is the [`Cursor`], a separate item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Format version.
    pub v: u32,
    /// The run's name.
    #[serde(rename = "run")]
    pub id: RunId,
    /// The plan's name.
    pub plan: String,
    /// The version of the API; `None` in runs of versions before 2.x was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ApiVersion>,
    /// The reason for the version, for the operator; `None` in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_reason: Option<String>,
    /// The family of the API; V1 in runs of earlier versions.
    #[serde(default)]
    pub api: Api,
    /// The present state.
    pub state: State,
    /// The reason for the state, in words for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The pause, if a step outside a turn or an operator paused it; [`Self::pause`] reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Pause>,
    /// The time for which operators paused it before, in milliseconds.
    #[serde(default)]
    pub paused_ms: i64,
    /// The end of the last pause, in Unix milliseconds; 0 if there was none. Waits that a pause
    /// interrupts begin again then.
    #[serde(default)]
    pub resumed_ms: i64,
    /// The present attempt at reading all pages. Patches of an older one are not submitted.
    pub generation: u32,
    /// Start time, in Unix milliseconds.
    pub started_ms: i64,
    /// The scheduled time, in Unix seconds; `None` in runs of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at_s: Option<i64>,
    /// End time, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// The run ends at this time (Unix milliseconds) at the latest.
    pub deadline_ms: i64,
    /// Intercom's count of users at the start, if reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// The number of users of the source, if it is a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<u64>,
    /// The users of an earlier run that it retries, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The saved preview whose changes it writes, if it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<SavedPreview>,
    /// The run that it undoes, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// The workspace of the run; `None` in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceBinding>,
    /// The limits.
    #[serde(rename = "rails", default)]
    pub limits: Limits,
    /// The parts are in the ledger and not sent, until a generation has ended within `max_changes`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held_back: bool,
    /// The reason why the run sends no more bulk jobs although its API has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_jobs: Option<String>,
    /// True if the run failed because Intercom does not serve the bulk jobs of its API.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub jobs_not_served: bool,
    /// The cost of a bulk request that the rate headers of its answers suggest, where a setting says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bulk_charge_seen: Option<BulkCharge>,
    /// The generation that ended a canary: the run paused after its `limit`, which no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary_ended: Option<u32>,
    /// Running count of users that ended in an error. The exact totals are computed from the rows
    /// at the end.
    #[serde(default)]
    pub errors: u64,
    /// The exact totals, after the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
}

/// Returns the format of a new run. Functions of an older version cannot read the name of an API that
/// they do not know. Therefore each API that is added has a format of its own.
pub const fn format_of(api: Api) -> u32 {
    match api {
        Api::V1 => FORMAT_2,
        Api::V2 | Api::Preview => FORMAT,
    }
}

impl Run {
    /// Returns whether the run's parts are in the ledger before they are in the queue.
    pub fn keeps_parts(&self) -> bool {
        self.v > FORMAT_1
    }

    /// Returns whether parts of the run may be sent and submitted now.
    pub fn submits(&self) -> bool {
        self.state.submits() && !self.held_back
    }

    /// Returns the most users that the run reads. After a canary it reads all.
    pub fn limit(&self) -> Option<u64> {
        self.limits.limit.filter(|_| self.canary_ended.is_none())
    }

    /// Returns whether the run pauses instead of ending when its users are done.
    pub fn is_canary(&self) -> bool {
        self.limits.then_pause && self.canary_ended.is_none()
    }

    /// Returns a time on the plan's `today`, in Unix seconds. It is the same in each generation.
    pub fn day_s(&self) -> i64 {
        self.scheduled_at_s.unwrap_or(self.started_ms.div_euclid(1000))
    }

    /// Returns the number of pages after which the run is stopped, so that an endless list is not
    /// read for ever. Intercom's count may lag, and users may be imported during the run. Therefore
    /// the bound is ten times the count plus a million users.
    pub fn pages_max(&self) -> u64 {
        const PAGES_WITHOUT_COUNT: u64 = 1_000_000;
        const PAGES_MORE: u64 = 10_000;
        match (self.listed, self.count) {
            // The rows of an ended run are finite, and some of its pages have no user.
            _ if self.retry.is_some() || self.undo.is_some() => PAGES_WITHOUT_COUNT,
            // A page of a list has at least one user.
            (Some(listed), _) => 2 * listed + 100,
            (None, Some(count)) => count.saturating_mul(10).div_ceil(self.users_of_page()) + PAGES_MORE,
            (None, None) => PAGES_WITHOUT_COUNT,
        }
    }

    /// Returns whether the run reads all users of the workspace. Its end is then compared with
    /// Intercom's count.
    pub fn reads_everybody(&self) -> bool {
        self.listed.is_none() && self.limit().is_none()
    }

    /// Returns how the run reads its pages. A list of users is read by id, which every API repeats.
    pub fn reading(&self) -> Reading {
        if self.listed.is_some() { Reading::Repeatable } else { self.api.capabilities().reading }
    }

    /// Returns whether the run writes by bulk jobs. Otherwise each request's answer is its result.
    pub fn writes_jobs(&self) -> bool {
        self.api.capabilities().write.has_jobs()
    }

    /// Returns whether Intercom keeps the position of the run's pages and sends each only once.
    pub fn reads_exclusively(&self) -> bool {
        matches!(self.reading(), Reading::Exclusive { .. })
    }

    /// Returns the way in which a part is written. A part of users whom a bulk job did not write, which
    /// does not say why, is written by requests whose answers say it.
    pub fn way_of(&self, part: &Part) -> Way {
        let capabilities = self.api.capabilities();
        let is_one_by_one = self.no_jobs.is_some() || part.id.attempt() > 1;
        match capabilities.write {
            Writing::JobsOrAnswers { .. } if is_one_by_one => Way::Answer,
            _ => capabilities.way_of_all(&part.patches),
        }
    }

    /// Returns the most users of a page of all users.
    pub fn users_of_page(&self) -> u64 {
        self.api.capabilities().page_users_max.into()
    }

    /// Returns whether a list that ended after `read` users was cut short: Intercom counts more by a
    /// page and by a hundredth. A smaller difference is users who come and go during the read.
    pub fn is_cut_short(&self, read: u64, count: u64) -> bool {
        count.saturating_sub(read) > self.users_of_page().max(count / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_an_older_version_is_v1_and_uses_its_start_day() {
        let stored = serde_json::json!({"v": 1, "run": "p.20161124T100500Z", "plan": "p", "state": "running", "generation": 1,
            "started_ms": 1_479_981_900_500_i64, "deadline_ms": 0});
        let run: Run = serde_json::from_value(stored).unwrap();
        assert_eq!((run.day_s(), run.api), (1_479_981_900, Api::V1));
        assert_eq!(Run { scheduled_at_s: Some(5), ..run }.day_s(), 5);
    }

    /// Returns a run of a workspace with this count of users.
    pub(super) fn run(count: Option<u64>) -> Run {
        let mut run = serde_json::json!({
            "v": 1, "run": "p.1", "plan": "p", "state": "running", "generation": 1, "started_ms": 0,
            "deadline_ms": DEADLINE_LEAST_MS,
        });
        run["count"] = serde_json::json!(count);
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn a_lagging_count_or_an_import_ends_no_run() {
        // A workspace of a thousand users that grows by half a million, and one with a count of a
        // tenth.
        assert!(run(Some(1_000)).pages_max() > 501_000 / 100);
        assert!(run(Some(1_000_000)).pages_max() > 10_000_000 / 100);
        assert!(run(Some(1_000_000)).pages_max() < 200_000, "a list that never ends is not read for ever");
    }

    #[test]
    fn a_list_is_cut_short_beyond_a_page_and_a_hundredth() {
        let cases = [
            (5_000, 5_000),
            (3, 5_000),
            (4_900, 5_000),
            (4_899, 5_000),
            (0, 100),
            (990_000, 1_000_000),
            (989_999, 1_000_000),
            (7, 5),
        ];
        let cut = cases.map(|(read, count)| run(None).is_cut_short(read, count));
        assert_eq!(cut, [false, true, false, true, false, false, true, false]);
    }
}
