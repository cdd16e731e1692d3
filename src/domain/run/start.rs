//! Starts, and the names of the runs that they make.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Limits, Retry, Run, SavedPreview, Undo};
use crate::domain::text_newtype::text_newtype;
use crate::domain::user::UserId;

/// Users of a list in one ledger item: 13 KB of Intercom's ids. A list of the greatest length needs
/// 40 writes, which fit one invocation.
pub const LIST_ITEM: usize = 500;

/// The most users that a start may name. Their ids are half of an SQS message or a Lambda event.
pub const LIST_MAX: usize = 20_000;

/// A run's name: the plan's name and the scheduled time. A schedule that fires twice therefore
/// starts one run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct RunId(String);

impl RunId {
    /// Returns the name of a plan's run for a scheduled time (Unix seconds).
    pub fn of(plan: &str, scheduled_at_s: i64) -> Self {
        let at = Timestamp::from_second(scheduled_at_s).unwrap_or(Timestamp::UNIX_EPOCH);
        Self(format!("{plan}.{}", at.strftime("%Y%m%dT%H%M%SZ")))
    }

    /// Returns the name of the run of this start. If source or limits are not the default, the name
    /// ends with their digest, so that two different starts of one second differ. A schedule that
    /// fires twice has equal ones.
    pub fn of_start(plan: &str, scheduled_at_s: i64, source: &Source, limits: &Limits) -> Self {
        let default = Self::of(plan, scheduled_at_s);
        if (source, limits) == (&Source::All, &Limits::default()) {
            return default;
        }
        let text = serde_json::to_string(&(source, limits)).unwrap_or_default();
        Self(format!("{default}-{:08x}", digest(&text)))
    }

    /// Returns the name of the plan. The name of a plan has no point.
    pub fn plan(&self) -> &str {
        self.0.split_once('.').map_or(&self.0, |(plan, _)| plan)
    }

    /// Returns a digest of the name, 8 hexadecimal digits.
    pub fn digest(&self) -> String {
        format!("{:08x}", digest(&self.0))
    }

    /// Parses a stored or typed name; `None` if it is not valid.
    pub fn parse(name: &str) -> Option<Self> {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        (plain && (1..=100).contains(&name.len())).then(|| Self(name.to_owned()))
    }
}

text_newtype!(RunId, |name: String| RunId::parse(&name), "not a valid run name");

/// The source of a run's users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// All users of the workspace.
    #[default]
    #[serde(rename = "scroll")]
    All,
    /// These users, each read by id.
    Users(Vec<UserId>),
    /// This many users, whose ids are in the ledger under the run's name. A waiting start has this
    /// source.
    Stored(u64),
    /// Users of an ended run, whose ids are in the ledger.
    Retry(Retry),
    /// The users of a saved preview, whose changes are in the ledger under the run's name.
    Saved(SavedPreview),
    /// Users that an ended run changed, which get their values from before it back.
    Undo(Undo),
}

/// The relation of a start to an ended run, whose plan, API and workspace it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earlier<'a> {
    /// It retries users of the run.
    Retry(&'a Retry),
    /// It undoes the run.
    Undo(&'a Undo),
}

impl Earlier<'_> {
    /// Returns the ended run.
    pub fn run(&self) -> &RunId {
        match self {
            Self::Retry(retry) => &retry.run,
            Self::Undo(undo) => &undo.run,
        }
    }

    /// Returns the verb for texts.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Retry(_) => "retries",
            Self::Undo(_) => "undoes",
        }
    }

    /// Returns why the start cannot begin, if so.
    pub fn refusal(&self, first: Option<&Run>, now_ms: i64) -> Option<String> {
        match self {
            Self::Retry(retry) => retry.refusal(first, now_ms),
            Self::Undo(undo) => undo.refusal(first, now_ms),
        }
    }
}

impl Source {
    /// Returns the number of listed users; `None` for the whole workspace, and if it must be counted.
    pub fn listed(&self) -> Option<u64> {
        match self {
            Self::All | Self::Retry(_) | Self::Undo(_) => None,
            Self::Users(users) => Some(users.len() as u64),
            Self::Stored(users) => Some(*users),
            Self::Saved(saved) => Some(saved.users),
        }
    }

    /// Returns the ended run that the start is about, if it is a retry or an undo.
    pub fn earlier(&self) -> Option<Earlier<'_>> {
        match self {
            Self::Retry(retry) => Some(Earlier::Retry(retry)),
            Self::Undo(undo) => Some(Earlier::Undo(undo)),
            Self::All | Self::Users(_) | Self::Stored(_) | Self::Saved(_) => None,
        }
    }

    /// Returns the saved preview, if the source is one.
    pub fn saved(&self) -> Option<&SavedPreview> {
        if let Self::Saved(saved) = self { Some(saved) } else { None }
    }
}

/// A request to start a run, in an event or as a waiting start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The plan's name.
    pub plan: String,
    /// The plan itself, if the start contains it; otherwise it is stored under its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inline: Option<serde_json::Value>,
    /// The scheduled time, in Unix seconds.
    pub scheduled_at_s: i64,
    /// The source of the users.
    #[serde(default)]
    pub source: Source,
    /// The limits.
    #[serde(rename = "rails", default)]
    pub limits: Limits,
    /// It takes the place of the active run if that is paused, also if an operator paused it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub supersede: bool,
    /// It ends the hold of its stored plan when its run begins, unless that is a preview.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unhold: bool,
    /// The run's name. Starts of an earlier version have none; their name is plan and time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    run: Option<RunId>,
}

impl Start {
    /// Creates a start of the plan of this name; `inline` is the plan itself.
    pub fn new(
        plan: &str,
        inline: Option<serde_json::Value>,
        scheduled_at_s: i64,
        source: Source,
        limits: Limits,
    ) -> Self {
        let run = Some(RunId::of_start(plan, scheduled_at_s, &source, &limits));
        let (supersede, unhold) = (false, false);
        Self { plan: plan.to_owned(), inline, scheduled_at_s, source, limits, supersede, unhold, run }
    }

    /// Returns the name of the run that this start makes.
    pub fn run(&self) -> RunId {
        self.run.clone().unwrap_or_else(|| RunId::of(&self.plan, self.scheduled_at_s))
    }

    /// Returns a digest of its plan and limits, 8 hexadecimal digits; `None` if the start has neither:
    /// the stored plan, and no limit.
    pub fn digest(&self) -> Option<String> {
        let Self { inline, limits, .. } = self;
        let is_plain = inline.is_none() && *limits == Limits::default();
        let text = serde_json::to_string(&(inline, limits)).unwrap_or_default();
        (!is_plain).then(|| format!("{:08x}", digest(&text)))
    }

    /// Returns the start with the users of its list.
    #[must_use]
    pub fn with_ids(&self, users: Vec<UserId>) -> Self {
        Self { source: Source::Users(users), ..self.clone() }
    }

    /// Returns the start as it waits, without the ids of its list.
    #[must_use]
    pub fn without_ids(&self) -> Self {
        let source = match &self.source {
            Source::Users(users) => Source::Stored(users.len() as u64),
            other => other.clone(),
        };
        Self { source, ..self.clone() }
    }
}

/// Returns the 32-bit FNV-1a digest. It is the same in every build, because names contain it.
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
    fn different_starts_of_one_second_have_different_names() {
        let users = |ids: &[&str]| Source::Users(ids.iter().map(|id| UserId::new(*id).unwrap()).collect());
        let limit = |limit| Limits { limit, ..Limits::default() };
        let named = |source: &Source, limits: &Limits| {
            let run = RunId::of_start("price", 1_479_981_900, source, limits);
            assert_eq!(RunId::parse(run.as_str()), Some(run.clone()));
            run.to_string()
        };
        let all = [
            named(&Source::All, &limit(None)),
            named(&Source::All, &limit(Some(10))),
            named(&Source::All, &limit(Some(11))),
            named(&users(&["a"]), &limit(None)),
            named(&users(&["b"]), &limit(None)),
            named(&users(&["a", "b"]), &limit(Some(10))),
        ];
        assert_eq!(all[0], "price.20161124T100500Z", "the schedule's");
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), all.len(), "{all:?}");
        assert_eq!(all[1], "price.20161124T100500Z-684f53e6", "the same in every build: the ledger keeps it");
    }

    #[test]
    fn a_start_of_an_earlier_version_keeps_its_name() {
        let text = r#"{"plan":"p","scheduled_at_s":0,"source":{"users":["a"]},"rails":{}}"#;
        let start: Start = serde_json::from_str(text).unwrap();
        assert_eq!(start.run(), RunId::of("p", 0));
        assert_eq!(serde_json::to_string(&start).unwrap(), text, "it is found again by its text");
    }
}
