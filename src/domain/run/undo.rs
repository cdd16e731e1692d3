//! The undo of a run: a run of the same plan and API that restores the values from before it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::retry::why_not_repeated;
use super::{Run, RunId, State, Totals};

/// The undo of an ended run. The changes are read from the ledger, page by page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// The ended run.
    pub run: RunId,
}

/// A run that began after the one that is undone, and wrote one of the same targets or may do so. An undo that
/// found nothing to restore is one, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaterRun {
    /// The run.
    pub id: RunId,
    /// The run that it undid, if it is an undo.
    pub undid: Option<RunId>,
    /// Its end.
    pub state: State,
    /// It wrote values, or may do so.
    pub wrote: bool,
}

impl Undo {
    /// Returns why a run cannot be undone, if so, without regard to later runs.
    pub fn refusal(&self, first: Option<&Run>, now_ms: i64) -> Option<String> {
        let old = "the values from before it begin to expire, and cannot be restored any more";
        why_not_repeated(&self.run, first, old, now_ms)
    }

    /// Returns why the run cannot be undone now: it may still change values.
    pub fn unsettled(&self, why: &str) -> String {
        format!("{} may still change values: {why}. Undo it later", self.run)
    }

    /// Returns why there is nothing to restore.
    pub fn nothing(&self) -> String {
        format!("{} changed no user: there is nothing to restore", self.run)
    }

    /// Returns why the run cannot be undone because of later runs, if so. `later` has them by their start.
    pub fn overwritten(&self, later: &[LaterRun]) -> Option<String> {
        /// Runs that the reason names.
        const NAMED: usize = 3;
        let standing = self.standing(later);
        // The last one must be undone first.
        let names: Vec<&str> = standing.iter().rev().take(NAMED).map(RunId::as_str).collect();
        let more = standing.len().saturating_sub(NAMED);
        let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (run, what) = (&self.run, if standing.len() == 1 { "run wrote" } else { "runs wrote" });
        (!names.is_empty()).then(|| {
            format!(
                "later {what} values that {run} wrote, too: {}{and_more}. Undo the latest one first",
                names.join(", ")
            )
        })
    }

    /// Returns the later runs whose values may be there. A run whose undo is complete is none of them, unless
    /// that undo was undone, too. An undo of this run wrote back earlier values only.
    fn standing(&self, later: &[LaterRun]) -> Vec<RunId> {
        let mut standing: Vec<RunId> = Vec::new();
        // The run whose values each run wrote, or whose earlier values.
        let mut effects = BTreeMap::from([(&self.run, Effect { of: &self.run, restores: false })]);
        for run in later {
            let undid = run.undid.as_ref().and_then(|undid| effects.get(undid));
            let effect = match undid {
                Some(Effect { of, restores }) => Effect { of, restores: !restores },
                None => Effect { of: &run.id, restores: false },
            };
            match effect {
                Effect { of, .. } if *of == self.run => {}
                Effect { of, restores: false } if !run.wrote || standing.contains(of) => {}
                Effect { of, restores: false } => standing.push(of.clone()),
                // Otherwise it left values of its run.
                Effect { of, restores: true } => standing.retain(|id| id != of || run.state != State::Complete),
            }
            effects.insert(&run.id, effect);
        }
        standing
    }
}

/// The effect of a run on the values of another one, or of itself.
#[derive(Clone, Copy)]
struct Effect<'a> {
    of: &'a RunId,
    /// It restored the values from before that run; otherwise it wrote the run's own.
    restores: bool,
}

impl Totals {
    /// Returns the greatest number of users that a run may have changed, as far as it is known. Users whose
    /// values Intercom keeps otherwise are errors, and count beside it.
    pub fn changed_about(&self) -> u64 {
        let most = self.changed_max().unwrap_or(self.patches).max(self.jobs_possibly_lost);
        // The users of jobs of an earlier generation with an unknown end count as unchanged if the last one
        // found the values.
        let is_unsure = self.unknown_sent_ms > 0 || self.jobs_by_end.contains_key("unknown");
        if most == 0 && is_unsure { self.patches.max(1) } else { most }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    fn undo() -> Undo {
        Undo { run: RunId::of("a", 0) }
    }

    fn id(name: &str) -> RunId {
        RunId::of(name, 0)
    }

    /// Creates later runs of words like `b`, `u:b` (an undo of `b`, complete) and `u:b!` (not complete). A name
    /// in parentheses is of a run that wrote nothing.
    fn later(words: &str) -> Vec<LaterRun> {
        let of = |word: &str| match word.split_once(':') {
            None => LaterRun { id: id(word), undid: None, state: State::Complete, wrote: true },
            Some((name, undid)) => LaterRun {
                id: id(name.trim_matches(['(', ')'])),
                wrote: !name.starts_with('('),
                undid: Some(id(undid.trim_end_matches('!'))),
                state: if undid.ends_with('!') { State::CompleteWithErrors } else { State::Complete },
            },
        };
        words.split_whitespace().map(of).collect()
    }

    #[test]
    fn later_runs_forbid_an_undo_until_they_are_undone() {
        for (runs, standing) in [
            ("", ""),
            ("b", "b"),
            ("b c", "b c"),
            ("b u:b", ""),
            ("b c u:c", "b"),
            ("b c u:c v:b", ""),
            // An undo with errors left values of its run.
            ("b u:b!", "b"),
            ("b u:b! v:b", ""),
            // This run was undone before, and that undo was undone.
            ("u:a", ""),
            ("u:a v:u", ""),
            ("u:a b", "b"),
            // The undo of an undo wrote the values of b again.
            ("b u:b v:u", "b"),
            ("b u:b v:u w:b", ""),
            ("b u:b v:u w:v", ""),
            ("b u:b v:u w:v x:w", "b"),
            // An undo of a run before this one.
            ("u:x", "u"),
            ("(u):x", ""),
            // It found nothing of b to restore.
            ("b (u):b", ""),
            ("b (u):b!", "b"),
            // It found nothing of u to restore, so the values of b are not there again.
            ("b u:b (v):u", ""),
        ] {
            let found: Vec<String> = undo().standing(&later(runs)).iter().map(|id| id.plan().to_owned()).collect();
            assert_eq!(found.join(" "), standing, "{runs}");
        }
    }

    #[test]
    fn refusal_names_the_latest_run_first() {
        assert_eq!(undo().overwritten(&later("b u:b")), None);
        let one = undo().overwritten(&later("b")).unwrap();
        assert!(one.starts_with("later run wrote") && one.contains(id("b").as_str()), "{one}");
        let many = undo().overwritten(&later("b c d e f")).unwrap();
        let names = format!("{}, {}, {} and 2 more", id("f"), id("e"), id("d"));
        assert!(many.contains(&names), "{many}");
    }

    #[test]
    fn only_an_ended_run_that_writes_is_undone() {
        let ended = Run { state: State::Cancelled, ..run(None) };
        assert_eq!(undo().refusal(Some(&ended), 0), None);
        for (first, now_ms, why) in [
            (None, 0, "there is no run"),
            (Some(Run { state: State::Verifying, ..run(None) }), 0, "has not ended"),
            (Some(ended.clone()), 81 * 24 * 3600 * 1000, "80 days"),
        ] {
            let said = undo().refusal(first.as_ref(), now_ms);
            assert!(said.as_ref().is_some_and(|said| said.contains(why)), "{said:?}");
        }
    }

    #[test]
    fn run_with_an_unknown_request_or_job_may_have_changed_users() {
        let of = |totals: Totals| totals.changed_about();
        assert_eq!(of(Totals { patches: 9, errors: 9, ..Totals::default() }), 0, "all were refused");
        assert_eq!(of(Totals { written: 3, patches: 9, ..Totals::default() }), 3);
        assert_eq!(of(Totals { unknown_sent_ms: 1, ..Totals::default() }), 1, "without a record of the request");
        let jobs_by_end = [("unknown".to_owned(), 1)].into();
        assert_eq!(
            of(Totals { patches: 9, jobs_by_end, ..Totals::default() }),
            9,
            "the last generation found the values"
        );
        assert_eq!(of(Totals { jobs_possibly_lost: 2, ..Totals::default() }), 2);
    }
}
