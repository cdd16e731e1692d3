//! The first users of a run. If none of them has a path that the plan reads, the run pauses.

use crate::domain::run::Run;

/// The number of users after which each path must have been seen.
const USERS: u64 = 1_000;

/// Returns the number of users that completes a run's sample: 1,000, or all users if there are
/// fewer. A part of the users is no small workspace.
fn size(run: &Run) -> u64 {
    let all = run.count.filter(|count| *count > 0 && !is_part(run)).unwrap_or(USERS);
    all.min(USERS)
}

fn is_part(run: &Run) -> bool {
    run.limit().is_some() || run.listed.is_some()
}

/// Returns whether a page completes the sample. Later pages do not, because a run that an earlier
/// version began may have passed it without an account of all paths.
pub(super) fn is_complete(run: &Run, users_before: u64, users: u64) -> bool {
    users_before < size(run) && users >= size(run)
}

/// Returns whether the pages ended before the sample was complete: the workspace has fewer users
/// than Intercom counted.
pub(super) fn is_cut_short(run: &Run, users: u64) -> bool {
    !is_part(run) && users > 0 && users < size(run)
}

/// Returns the reason of the pause: the plan reads `paths`, and none of the users has one of them.
pub(super) fn unseen(run: &Run, paths: &[&str], users: u64) -> Option<String> {
    if run.limits.accept_unseen || paths.is_empty() {
        return None;
    }
    let paths = paths.join(", ");
    Some(format!(
        "none of the first {users} users has {paths}, which the plan reads: the name may be misspelt, or Intercom leaves \
         the field out of its list of users. Correct the plan and start it, or start it with accept_unseen"
    ))
}
