//! A run: one plan once over the workspace. Pure: what a run is, which state may follow which, and what the facts of a
//! run say about its end.

mod accounts;
mod cursor;
mod start;
mod state;
mod tally;
mod wait;
mod workspace;

use serde::{Deserialize, Serialize};

pub use accounts::{Accounts, Counted, Totals, Verdict};
pub use cursor::{
    Cursor, GAPS_MAX, GENERATIONS_MAX, IDLE_TURNS_MAX, Lease, Phase, REPEATS_MAX, REST_MOST_MS, SCROLL_LIFE_MS,
    STALLED_MAX, Turn, TurnOrder,
};
pub use start::{LIST_ITEM, LIST_MAX, RunId, Source, Start};
pub use state::State;
pub use tally::{NAMED_ALREADY, Tally};
pub use workspace::WorkspaceBinding;

/// The version that stored items and messages carry; a newer function reads what an older one wrote.
pub const FORMAT: u32 = 1;
/// Users of a list that one turn reads: each is a request, and all must fit one invocation.
pub const LIST_PAGE: usize = 20;
/// Users of a page of the scroll, fixed by Intercom.
const USERS_OF_PAGE: u64 = 100;
/// A run's least deadline.
pub const DEADLINE_LEAST_MS: i64 = 24 * 3600 * 1000;
/// A run's last deadline: rows of a run expire long after it.
pub const DEADLINE_MOST_MS: i64 = 40 * DEADLINE_LEAST_MS;

/// What stops a run that does more than was meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Only the first so many users of the scroll.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The run fails before it would change more users than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_changes: Option<MaxChanges>,
    /// The run fails once more users than this ended in an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_errors: Option<u64>,
    /// Evaluate only: nothing is sent, and a few changes are kept to be shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Go on although none of the first 1,000 users has a path that the plan reads.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub accept_unseen: bool,
}

/// A bound on the users that a run may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxChanges {
    /// So many users.
    Users(u64),
    /// So many of a hundred users of the workspace.
    Percent(u8),
}

impl MaxChanges {
    /// The bound in users, for a workspace of `count`; a percentage of an unknown count cannot be told.
    pub fn users(self, count: Option<u64>) -> Option<u64> {
        match self {
            Self::Users(users) => Some(users),
            Self::Percent(percent) => count.map(|count| count.saturating_mul(u64::from(percent)) / 100),
        }
    }
}

/// A run as the ledger keeps it. The fast-moving part is the [`Cursor`], in an item of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Format version.
    pub v: u32,
    /// Its name.
    #[serde(rename = "run")]
    pub id: RunId,
    /// The plan's name.
    pub plan: String,
    /// Where it stands.
    pub state: State,
    /// Why it is in that state, where there is more to say; words for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The present attempt at the scroll; patches of an older one are not submitted.
    pub generation: u32,
    /// When it began, in Unix milliseconds.
    pub started_ms: i64,
    /// The time it was scheduled at, in Unix seconds; runs of older versions do not have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at_s: Option<i64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<i64>,
    /// When it is ended, whatever is left.
    pub deadline_ms: i64,
    /// Users of the workspace when it began, where Intercom told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// How many users the source names, when it is a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listed: Option<u64>,
    /// The workspace that it belongs to; none in runs of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<WorkspaceBinding>,
    /// What stops it.
    #[serde(rename = "rails", default)]
    pub limits: Limits,
    /// Users that ended in an error, as counted on the way: exact totals are made at the end, from the rows.
    #[serde(default)]
    pub errors: u64,
    /// The exact totals, once it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub totals: Option<Totals>,
}

impl Run {
    /// How far the present generation got, for the end of a run that did not see everybody.
    pub fn read_so_far(&self, tally: &Tally) -> String {
        match self.listed.or(self.count) {
            Some(count) => format!("{} of {count} users were read", tally.users),
            None => format!("{} users were read", tally.users),
        }
    }

    /// A time on the day that `today` is in its plan, in Unix seconds: the same in each generation.
    pub fn day_s(&self) -> i64 {
        self.scheduled_at_s.unwrap_or(self.started_ms.div_euclid(1000))
    }

    /// The number of pages after which the run is stopped: a scroll that never ends must not be read for ever. Intercom's
    /// count may lag, and users may be imported during the run: ten times what it asks for is allowed, and a million users.
    pub fn pages_max(&self) -> u64 {
        const PAGES_WITHOUT_COUNT: u64 = 1_000_000;
        const PAGES_MORE: u64 = 10_000;
        match (self.listed, self.count) {
            // A page of a list has one user at least.
            (Some(listed), _) => 2 * listed + 100,
            (None, Some(count)) => count.saturating_mul(10).div_ceil(USERS_OF_PAGE) + PAGES_MORE,
            (None, None) => PAGES_WITHOUT_COUNT,
        }
    }

    /// The deadline of a run without a count, once so many users were read: it grows with them. None where it stays.
    pub fn extended_deadline_ms(&self, users: u64, operations_per_10s: u32) -> Option<i64> {
        const EXTENDED_BY_MS: i64 = 3600 * 1000;
        let until_ms = deadline_ms(self.started_ms, users, operations_per_10s);
        let grows = self.count.is_none() && self.listed.is_none() && until_ms > self.deadline_ms + EXTENDED_BY_MS;
        grows.then_some(until_ms)
    }

    /// Whether the run reads all users of the workspace: its end is then compared with Intercom's count.
    pub fn reads_everybody(&self) -> bool {
        self.listed.is_none() && self.limits.limit.is_none()
    }
}

/// Whether a list of users that ended after so many was cut short: Intercom counts more by a page and by a hundredth. Less
/// than that is users who come and go while it is read.
pub fn is_cut_short(read: u64, count: u64) -> bool {
    count.saturating_sub(read) > USERS_OF_PAGE.max(count / 100)
}

/// When a run that began at `started_ms` must have ended: 24 hours later, or twice the time that patches of so many users
/// need at this many operations in 10 seconds.
pub fn deadline_ms(started_ms: i64, users: u64, operations_per_10s: u32) -> i64 {
    let windows = users / u64::from(operations_per_10s.max(1)) + 1;
    let estimate_ms = i64::try_from(windows.saturating_mul(10_000)).unwrap_or(i64::MAX / 4);
    started_ms.saturating_add(estimate_ms.saturating_mul(2).clamp(DEADLINE_LEAST_MS, DEADLINE_MOST_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_an_older_version_has_the_day_it_began_on() {
        let stored = serde_json::json!({"v": 1, "run": "p.20161124T100500Z", "plan": "p", "state": "running", "generation": 1,
            "started_ms": 1_479_981_900_500_i64, "deadline_ms": 0});
        let run: Run = serde_json::from_value(stored).unwrap();
        assert_eq!(run.day_s(), 1_479_981_900);
        assert_eq!(Run { scheduled_at_s: Some(5), ..run }.day_s(), 5);
    }

    #[test]
    fn the_deadline_grows_with_the_work() {
        let day = 24 * 3600 * 1000;
        assert_eq!(deadline_ms(5, 10_000, 83), 5 + day);
        // A million users at 66 in 10 s are 42 hours of submissions: the deadline is twice that.
        assert!(deadline_ms(0, 1_000_000, 66) > 3 * day);
        assert_eq!(deadline_ms(0, 0, 0), day);
    }

    fn run(count: Option<u64>) -> Run {
        let mut run = serde_json::json!({
            "v": 1, "run": "p.1", "plan": "p", "state": "running", "generation": 1, "started_ms": 0,
            "deadline_ms": DEADLINE_LEAST_MS,
        });
        run["count"] = serde_json::json!(count);
        serde_json::from_value(run).unwrap()
    }

    #[test]
    fn a_run_without_a_count_has_a_deadline_that_grows_with_what_it_read() {
        assert_eq!(run(None).extended_deadline_ms(290_000, 66), None, "a day is enough for them");
        let day = DEADLINE_LEAST_MS;
        let grown = run(None).extended_deadline_ms(570_000, 66).unwrap();
        assert!((day + 1..3 * day).contains(&grown), "{grown}");
        assert_eq!(run(Some(570_000)).extended_deadline_ms(570_000, 66), None, "its deadline rests on the count");
        let extended = Run { deadline_ms: grown, ..run(None) };
        assert_eq!(extended.extended_deadline_ms(570_100, 66), None, "not with each page");
    }

    #[test]
    fn a_count_that_lags_and_an_import_end_no_run() {
        // A workspace of a thousand that grows by half a million meanwhile, and one of which a tenth is counted.
        assert!(run(Some(1_000)).pages_max() > 501_000 / 100);
        assert!(run(Some(1_000_000)).pages_max() > 10_000_000 / 100);
        assert!(run(Some(1_000_000)).pages_max() < 200_000, "a scroll that never ends is not read for ever");
    }

    #[test]
    fn a_list_is_cut_short_from_a_page_and_a_hundredth_on() {
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
        let cut = cases.map(|(read, count)| is_cut_short(read, count));
        assert_eq!(cut, [false, true, false, true, false, false, true, false]);
    }
}
