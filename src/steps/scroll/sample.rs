//! The first users of a run: among them each path that the plan reads must be there, or the run pauses.

use crate::domain::run::Run;
use crate::plan::Plan;

/// Users after which each path must have been seen.
const USERS: u64 = 1_000;

/// Users after which the sample of a run is complete: 1,000, or all users where there are fewer. A part of the users is
/// no small workspace.
fn size(run: &Run) -> u64 {
    let all = run.count.filter(|count| *count > 0 && !is_part(run)).unwrap_or(USERS);
    all.min(USERS)
}

fn is_part(run: &Run) -> bool {
    run.limits.limit.is_some() || run.listed.is_some()
}

/// Whether a page completes the sample. Later pages do not: a run that an earlier version began may have passed it
/// without keeping account of all paths.
pub(super) fn is_complete(run: &Run, users_before: u64, users: u64) -> bool {
    users_before < size(run) && users >= size(run)
}

/// Whether the pages ended before the sample was complete: the workspace has fewer users than Intercom counted.
pub(super) fn is_cut_short(run: &Run, users: u64) -> bool {
    !is_part(run) && users > 0 && users < size(run)
}

/// Why the run pauses: the plan reads a path that none of the users has.
pub(super) fn unseen(run: &Run, plan: &Plan, seen: u64, users: u64) -> Option<String> {
    let paths = plan.unseen(seen);
    if run.limits.accept_unseen || paths.is_empty() {
        return None;
    }
    let paths = paths.join(", ");
    Some(format!(
        "none of the first {users} users has {paths}, which the plan reads: the name may be misspelt, or Intercom leaves \
         the field out of its list of users. Correct the plan and start it, or start it with accept_unseen"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(count: Option<u64>, listed: Option<u64>, limit: Option<u64>) -> Run {
        let stored = serde_json::json!({"v": 1, "run": "p.20161124T100500Z", "plan": "p", "state": "running", "generation": 1,
            "started_ms": 0, "deadline_ms": 0, "count": count, "listed": listed, "rails": {"limit": limit}});
        serde_json::from_value(stored).unwrap()
    }

    #[test]
    fn the_page_that_completes_the_sample_is_judged_once() {
        let (all, few, unknown) = (run(Some(5_000), None, None), run(Some(150), None, None), run(None, None, None));
        let (listed, limited) = (run(None, Some(1), None), run(Some(5_000), None, Some(50)));
        for (run, before, users, complete) in [
            (&all, 900, 1_000, true),
            (&all, 800, 900, false),
            (&all, 1_000, 1_100, false),
            (&few, 0, 100, false),
            (&few, 100, 150, true),
            (&unknown, 950, 1_050, true),
            (&listed, 0, 1, false),
            (&listed, 990, 1_010, true),
            (&limited, 0, 50, false),
        ] {
            assert_eq!(is_complete(run, before, users), complete, "{before} {users}");
        }
        for (run, users, cut) in [
            (&all, 999, true),
            (&all, 1_000, false),
            (&few, 150, false),
            (&unknown, 3, true),
            (&unknown, 0, false),
            (&listed, 1, false),
            (&limited, 50, false),
        ] {
            assert_eq!(is_cut_short(run, users), cut, "{users}");
        }
    }
}
