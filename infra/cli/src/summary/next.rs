//! The next step after a run, in words.

use intercom_bulk::domain::run::State;

/// Returns the next step after a run in this state. `limit` is the limit that stopped it; it is `held` if
/// an operator paused it.
pub(super) fn step(state: State, limit: Option<&str>, held: bool) -> Option<&'static str> {
    Some(match (state, limit) {
        (State::Incomplete, _) => "  Next: run the same command again. Users that are done cost a read and no write.",
        (State::Paused, Some("--then-pause")) => {
            "  Next: look at these users. `intercom-bulk resume` goes on with all users; those that are done cost a read \
             and no write. Until then the run keeps its place: other starts wait. `cancel` ends it."
        }
        (State::Paused, _) if held => {
            "  Next: `intercom-bulk resume` continues it. Until then it keeps its place: other starts wait."
        }
        (State::Paused, _) => {
            "  Next: correct the plan and run it, or run the same command with --accept-unseen. Either cancels this \
             run and reads from the first user."
        }
        (State::Failed, Some("--max-changes")) => {
            "  Next: `preview` counts the changes without writing. Raise --max-changes, or correct the plan, and run it \
             again: users that are done cost a read and no write."
        }
        (State::Failed, _) => {
            "  Next: remove the cause and run the same command again. Users that are done cost a read and no write."
        }
        _ => return None,
    })
}
