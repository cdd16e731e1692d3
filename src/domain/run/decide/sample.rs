//! The first users of a run. If none of them has a path that the plan reads, the run pauses.

use crate::domain::run::{Run, Tally};

/// The number of users after which each path must have been seen.
const USERS: u64 = 1_000;

/// Returns whether the users read complete a run's sample: 1,000, or all users if there are fewer. A
/// part of the users is no small workspace. Leads are not evaluated, but Intercom's count has them.
pub(super) fn is_complete(run: &Run, read: &Tally) -> bool {
    let all = run.count.filter(|count| *count > 0 && !is_part(run));
    read.without_leads() >= USERS || all.is_some_and(|all| read.users >= all)
}

fn is_part(run: &Run) -> bool {
    run.limit().is_some() || run.listed.is_some()
}

/// Returns whether the pages ended before the sample was complete: the workspace has fewer users
/// than Intercom counted.
pub(super) fn is_cut_short(run: &Run, read: &Tally) -> bool {
    !is_part(run) && read.without_leads() > 0 && !is_complete(run, read)
}

/// Returns the reason of the pause: the plan reads `paths`, and none of the users has one of them.
pub(super) fn unseen(run: &Run, paths: &[&str], users: u64) -> Option<String> {
    // Leads alone are no sample, like an empty workspace.
    if run.limits.accept_unseen || paths.is_empty() || users == 0 {
        return None;
    }
    let paths = paths.join(", ");
    Some(format!(
        "none of the first {users} users has {paths}, which the plan reads: the name may be misspelt, or Intercom leaves \
         the field out of its list of users. Correct the plan and start it, or start it with accept_unseen"
    ))
}
