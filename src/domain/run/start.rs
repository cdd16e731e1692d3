//! Starts, and the names of the runs that they make.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Limits;
use crate::domain::user::UserId;

/// Users of a list that one item of the ledger holds: 13 KB of ids as Intercom writes them. A list at the bound is then
/// written by 40 calls, which an invocation has the time for.
pub const LIST_ITEM: usize = 500;

/// The most users that a start may name. Their ids are half of what a message of SQS or an event of Lambda may hold.
pub const LIST_MAX: usize = 20_000;

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

    /// The run of a start with this source and these limits. Two starts of one plan in one second differ in them: where
    /// they are not the default, the name ends with a digest of them. A schedule that fires twice has the same ones.
    pub fn of_start(plan: &str, scheduled_at_s: i64, source: &Source, limits: &Limits) -> Self {
        let default = Self::of(plan, scheduled_at_s);
        if (source, limits) == (&Source::Scroll, &Limits::default()) {
            return default;
        }
        let text = serde_json::to_string(&(source, limits)).unwrap_or_default();
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
    #[serde(rename = "rails", default)]
    pub limits: Limits,
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
        limits: Limits,
    ) -> Self {
        let run = Some(RunId::of_start(plan, scheduled_at_s, &source, &limits));
        Self { plan: plan.to_owned(), inline, scheduled_at_s, source, limits, run }
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
        let limit = |limit| Limits { limit, ..Limits::default() };
        let named = |source: &Source, limits: &Limits| {
            let run = RunId::of_start("price", 1_479_981_900, source, limits);
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
}
