//! A retry: a run of the same plan and API for users of an ended run.

use serde::{Deserialize, Serialize};

use super::{Accounts, Counted, Cursor, Limits, Run, RunId, State};

/// The most characters of an error's code, as error rows have it.
pub const CODE_CHARS_MAX: usize = 300;

/// The age from which on a run is neither retried nor undone, in milliseconds: its rows expire 90 days after they were
/// written.
const OLD_MS: i64 = 80 * 24 * 3600 * 1000;

/// The users that a run retries. Their ids are read from the ledger, page by page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// The ended run.
    pub run: RunId,
    /// Only failed users with this code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The users without a known end instead of the failed ones: their part was not sent, or their job or
    /// answer was lost.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unknown: bool,
}

impl Retry {
    /// Checks that the fields name one kind of users.
    pub fn check(&self) -> Result<(), &'static str> {
        match &self.code {
            Some(_) if self.unknown => {
                Err("`code` and `unknown` exclude each other: a user without a known end has no code")
            }
            Some(code) if code.is_empty() || code.chars().count() > CODE_CHARS_MAX => {
                Err("`code` must be the code of an error, as `errors` lists it")
            }
            _ => Ok(()),
        }
    }

    /// Returns the limits of a retry of `first`: its pace, unless another one is given. All users of the
    /// first run have shown the paths that the plan reads.
    pub fn limits(first: &Run, mut given: Limits) -> Limits {
        given.max_per_minute = given.max_per_minute.or(first.limits.max_per_minute);
        given.accept_unseen = true;
        given
    }

    /// Returns the users in words, such as `the users that failed with not_found in has-avatar.2016…`.
    pub fn words(&self) -> String {
        let Self { run, code, unknown } = self;
        match code {
            _ if *unknown => format!("the users without a known end in {run}"),
            Some(code) => format!("the users that failed with {code} in {run}"),
            None => format!("the users that failed in {run}"),
        }
    }

    /// Returns why a run cannot be retried, if so.
    pub fn refusal(&self, first: Option<&Run>, now_ms: i64) -> Option<String> {
        let old = "its rows begin to expire: a new run of the plan reads all users";
        why_not_repeated(&self.run, first, old, now_ms).or_else(|| first.and_then(Self::not_by_the_plan))
    }

    /// Returns why the plan alone must not write the users of a run, if so.
    fn not_by_the_plan(first: &Run) -> Option<String> {
        let id = &first.id;
        match (&first.undo, &first.saved) {
            (Some(undo), _) => Some(format!(
                "{id} restores the values from before {0}, and a retry would set those of the plan: `undo {0}` again restores what is left",
                undo.run
            )),
            (None, Some(_)) => Some(format!(
                "{id} writes a saved preview only, and a retry would not compare its users with that: start it again with `run PLAN --saved FILE`"
            )),
            (None, None) => None,
        }
    }

    /// Returns why no user of an ended run matches.
    pub fn nobody(&self, first: &Run) -> String {
        let Self { run, code, unknown } = self;
        let unread = match first.state {
            State::Incomplete | State::Failed | State::Cancelled if !unknown => {
                ". Users without a known end are retried with `--unknown`, and a new run of the plan reads all users"
            }
            State::Incomplete | State::Failed | State::Cancelled => ". A new run of the plan reads all users",
            _ => "",
        };
        match code {
            _ if *unknown => format!("each user that {run} read has a known end{unread}"),
            Some(code) => format!("no user of {run} failed with {code}: `errors --run {run}` lists the codes{unread}"),
            None => format!("no user of {run} failed{unread}"),
        }
    }
}

/// Returns why a run can be neither retried nor undone, if so. `old` is the effect of its age.
pub(super) fn why_not_repeated(run: &RunId, first: Option<&Run>, old: &str, now_ms: i64) -> Option<String> {
    let Some(first) = first else {
        return Some(format!(
            "there is no run {run} in the ledger: `history` lists the runs, which expire after 90 days"
        ));
    };
    match first.state {
        _ if now_ms - first.started_ms > OLD_MS => Some(format!("{run} began more than 80 days ago, and {old}")),
        _ if first.limits.dry_run => Some(format!("{run} is a preview, which writes nothing")),
        state if state.ended() => None,
        State::Paused => Some(format!("{run} has not ended: it is paused. `resume` continues it, `cancel` ends it")),
        state => Some(format!("{run} has not ended: it is {state}. Wait for its end, or `cancel` it")),
    }
}

impl Accounts {
    /// Returns the number of users without a known end that an ended run read.
    pub fn without_end(&self, cursor: &Cursor) -> u64 {
        Counted::of(&cursor.tally, &self.totals).pending
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::super::{SavedPreview, Undo};
    use super::*;

    fn retry(code: Option<&str>, unknown: bool) -> Retry {
        Retry { run: RunId::of("p", 0), code: code.map(ToOwned::to_owned), unknown }
    }

    #[test]
    fn a_retry_names_one_kind_of_users() {
        for (code, unknown, fits) in [
            (None, false, true),
            (Some("not_found"), false, true),
            (None, true, true),
            (Some("not_found"), true, false),
            (Some(""), false, false),
            (Some(&*"x".repeat(CODE_CHARS_MAX + 1)), false, false),
        ] {
            assert_eq!(retry(code, unknown).check().is_ok(), fits, "{code:?} {unknown}");
        }
    }

    #[test]
    fn only_an_ended_run_that_writes_is_retried() {
        let of = |state, dry_run| {
            let limits = Limits { dry_run, ..Limits::default() };
            retry(None, false).refusal(Some(&Run { state, limits, ..run(None) }), OLD_MS)
        };
        for (state, why) in [
            (State::Running, "it is running"),
            (State::Draining, "it is draining"),
            (State::Verifying, "it is verifying"),
            (State::Paused, "`resume` continues it"),
        ] {
            assert!(of(state, false).is_some_and(|said| said.contains(why)), "{state}");
        }
        for state in [State::Complete, State::CompleteWithErrors, State::Incomplete, State::Failed, State::Cancelled] {
            assert_eq!(of(state, false), None, "{state}");
        }
        assert!(of(State::Complete, true).is_some_and(|said| said.contains("preview")));
        let undo = Some(Undo { run: RunId::of("q", 0) });
        let saved = Some(SavedPreview { digest: String::new(), users: 1, at_s: 0 });
        for (undo, saved, what_to_do) in
            [(undo, None, "`undo q.19700101T000000Z` again"), (None, saved, "`run PLAN --saved FILE`")]
        {
            let first = Run { state: State::CompleteWithErrors, undo, saved, ..run(None) };
            let why = retry(None, false).refusal(Some(&first), OLD_MS);
            assert!(why.is_some_and(|said| said.contains(what_to_do)), "{what_to_do}");
        }
        assert!(retry(None, false).refusal(None, 0).is_some_and(|said| said.contains("there is no run")));
        let ended = Run { state: State::Complete, ..run(None) };
        let old = retry(None, false).refusal(Some(&ended), OLD_MS + 1);
        assert!(old.is_some_and(|said| said.contains("80 days")));
    }

    #[test]
    fn refusal_without_users_says_where_others_are() {
        let of = |state, unknown| retry(None, unknown).nobody(&Run { state, ..run(None) });
        assert_eq!(of(State::Complete, false), "no user of p.19700101T000000Z failed");
        assert!(of(State::Cancelled, false).contains("`--unknown`"));
        assert!(of(State::Cancelled, true).ends_with("reads all users"));
        assert!(retry(Some("x"), false).nobody(&run(None)).contains("failed with x"));
    }

    #[test]
    fn a_retry_keeps_the_pace_of_its_run() {
        let pace = |text: &str| Limits { max_per_minute: text.parse().ok(), ..Limits::default() };
        let first = Run { limits: Limits { limit: Some(5), ..pace("60") }, ..run(None) };
        let expected = |text| Limits { accept_unseen: true, ..pace(text) };
        assert_eq!(Retry::limits(&first, Limits::default()), expected("60"));
        assert_eq!(Retry::limits(&first, pace("30")), expected("30"));
    }
}
