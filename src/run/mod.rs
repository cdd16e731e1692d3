//! A run: one plan once over the workspace. Pure: what a run is, which state may follow which, and what the facts of a
//! run say about its end.

mod accounts;
mod cursor;
mod state;
mod tally;
mod wait;
mod workspace;

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::user::UserId;

pub use accounts::{Accounts, Counted, Totals, Verdict};
pub use cursor::{
    Claim, Cursor, GENERATIONS_MAX, HOLES_MAX, IDLE_TURNS_MAX, Phase, REPEATS_MAX, SCROLL_LIFE_MS, STALLED_MAX,
    Standing, Turn,
};
pub use state::State;
pub use tally::{NAMED_ALREADY, Tally};
pub use workspace::WorkspaceBinding;

/// The version that stored items and messages carry; a newer function reads what an older one wrote.
pub const FORMAT: u32 = 1;
/// Users of a list that one turn reads: each is a request, and all must fit one invocation.
pub const LIST_PAGE: usize = 20;
/// Users of a list that one item of the ledger holds: 13 KB of ids as Intercom writes them. A list at the bound is then
/// written by 40 calls, which an invocation has the time for.
pub const LIST_ITEM: usize = 500;
/// The most users that a start may name. Their ids are half of what a message of SQS or an event of Lambda may hold.
pub const LIST_MAX: usize = 20_000;
/// A run's least deadline.
pub const DEADLINE_LEAST_MS: i64 = 24 * 3600 * 1000;
/// A run's last deadline: rows of a run expire long after it.
pub const DEADLINE_MOST_MS: i64 = 40 * DEADLINE_LEAST_MS;

/// A run's name: the plan's and the scheduled time, so that a schedule that fires twice starts one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RunId(String);

impl RunId {
    /// The run of `plan` for the time it was scheduled at (Unix seconds).
    pub fn of(plan: &str, scheduled_at_s: i64) -> Self {
        let at = Timestamp::from_second(scheduled_at_s).unwrap_or(Timestamp::UNIX_EPOCH);
        Self(format!("{plan}.{}", at.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// The run of a start with this source and these rails. Two starts of one plan in one second differ in them: where
    /// they are not the default, the name ends with a digest of them. A schedule that fires twice has the same ones.
    pub fn of_start(plan: &str, scheduled_at_s: i64, source: &Source, rails: &Rails) -> Self {
        let default = Self::of(plan, scheduled_at_s);
        if (source, rails) == (&Source::Scroll, &Rails::default()) {
            return default;
        }
        let text = serde_json::to_string(&(source, rails)).unwrap_or_default();
        Self(format!("{default}-{:08x}", digest(&text)))
    }

    /// Takes a name as it was stored or typed; `None` if it cannot be one.
    pub fn parse(name: &str) -> Option<Self> {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        (plain && (1..=100).contains(&name.len())).then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = &'static str;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name).ok_or("no name of a run")
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a run's pages come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// All users, by the workspace's scroll.
    #[default]
    Scroll,
    /// These users, each read by id.
    Users(Vec<UserId>),
    /// So many users, whose ids are in the ledger under the run's name: how the source of a start that waits is kept.
    Stored(u64),
}

impl Source {
    /// How many users it names; none, for the whole workspace.
    pub fn listed(&self) -> Option<u64> {
        match self {
            Self::Scroll => None,
            Self::Users(users) => Some(users.len() as u64),
            Self::Stored(users) => Some(*users),
        }
    }
}

/// What stops a run that does more than was meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rails {
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
    pub run: RunId,
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
    #[serde(default)]
    pub rails: Rails,
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

    /// The number of pages after which the run is stopped: twice what the count of users asks for, and 100.
    pub fn pages_max(&self) -> u64 {
        const PAGES_WITHOUT_COUNT: u64 = 1_000_000;
        match (self.listed, self.count) {
            // A page of a list has one user at least.
            (Some(listed), _) => 2 * listed + 100,
            (None, Some(count)) => (2 * count).div_ceil(100) + 100,
            (None, None) => PAGES_WITHOUT_COUNT,
        }
    }
}

/// When a run that begins now must have ended: 24 hours, or twice the time that its users' patches need at this many
/// operations in 10 seconds.
pub fn deadline_ms(now_ms: i64, count: Option<u64>, operations_per_10s: u32) -> i64 {
    let windows = count.unwrap_or(0) / u64::from(operations_per_10s.max(1)) + 1;
    let estimate_ms = i64::try_from(windows.saturating_mul(10_000)).unwrap_or(i64::MAX / 4);
    now_ms.saturating_add(estimate_ms.saturating_mul(2).clamp(DEADLINE_LEAST_MS, DEADLINE_MOST_MS))
}

/// A request to start a run, as it comes by event and as it waits in the queue of starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The plan's name.
    pub plan: String,
    /// The plan itself, where the start brings it; otherwise it is stored under its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<serde_json::Value>,
    /// The time it was scheduled at, in Unix seconds.
    pub scheduled_at_s: i64,
    /// Where the pages come from.
    #[serde(default)]
    pub source: Source,
    /// What stops it.
    #[serde(default)]
    pub rails: Rails,
    /// The run's name. Starts that an earlier version stored have none here; theirs is plan and time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
}

impl Start {
    /// A start of the plan of this name, which the start itself may bring (`inline`).
    pub fn new(
        plan: &str,
        inline: Option<serde_json::Value>,
        scheduled_at_s: i64,
        source: Source,
        rails: Rails,
    ) -> Self {
        let run = Some(RunId::of_start(plan, scheduled_at_s, &source, &rails));
        Self { plan: plan.to_owned(), inline, scheduled_at_s, source, rails, run }
    }

    /// The run that this start makes.
    pub fn run(&self) -> RunId {
        self.run.clone().unwrap_or_else(|| RunId::of(&self.plan, self.scheduled_at_s))
    }

    /// The start with the users of its list.
    #[must_use]
    pub fn with_ids(&self, users: Vec<UserId>) -> Self {
        Self { source: Source::Users(users), ..self.clone() }
    }

    /// The start as it waits: the ids of a list are not in it.
    #[must_use]
    pub fn without_ids(&self) -> Self {
        let source = match &self.source {
            Source::Users(users) => Source::Stored(users.len() as u64),
            other => other.clone(),
        };
        Self { source, ..self.clone() }
    }
}

/// FNV-1a with 32 bits: the same in every build, because names are made of it.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |digest, byte| (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_that_fires_twice_names_one_run() {
        let id = RunId::of("has-avatar", 1_479_981_900);
        assert_eq!(id.as_str(), "has-avatar.20161124T100500Z");
        assert_eq!(RunId::parse(id.as_str()), Some(id));
        assert_eq!(RunId::parse("../x"), None);
    }

    #[test]
    fn starts_of_one_second_that_differ_have_names_of_their_own() {
        let users = |ids: &[&str]| Source::Users(ids.iter().map(|id| UserId::new(*id).unwrap()).collect());
        let limit = |limit| Rails { limit, ..Rails::default() };
        let named = |source: &Source, rails: &Rails| {
            let run = RunId::of_start("price", 1_479_981_900, source, rails);
            assert_eq!(RunId::parse(run.as_str()), Some(run.clone()));
            run.to_string()
        };
        let all = [
            named(&Source::Scroll, &limit(None)),
            named(&Source::Scroll, &limit(Some(10))),
            named(&Source::Scroll, &limit(Some(11))),
            named(&users(&["a"]), &limit(None)),
            named(&users(&["b"]), &limit(None)),
            named(&users(&["a", "b"]), &limit(Some(10))),
        ];
        assert_eq!(all[0], "price.20161124T100500Z", "the schedule's");
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len(), "{all:?}");
        assert_eq!(all[1], "price.20161124T100500Z-684f53e6", "the same in every build: the ledger keeps it");
    }

    #[test]
    fn a_start_that_an_earlier_version_stored_keeps_its_name() {
        let text = r#"{"plan":"p","scheduled_at_s":0,"source":{"users":["a"]},"rails":{}}"#;
        let start: Start = serde_json::from_str(text).unwrap();
        assert_eq!(start.run(), RunId::of("p", 0));
        assert_eq!(serde_json::to_string(&start).unwrap(), text, "it is found again by its text");
    }

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
        assert_eq!(deadline_ms(5, Some(10_000), 83), 5 + day);
        // A million users at 66 in 10 s are 42 hours of submissions: the deadline is twice that.
        assert!(deadline_ms(0, Some(1_000_000), 66) > 3 * day);
        assert_eq!(deadline_ms(0, None, 0), day);
    }
}
