//! The limits `max_changes` and `max_errors`.

use super::{Commit, Decision};
use crate::domain::run::{AtMost, Cursor, Run, State, Tally};

/// Fails the run if the page would exceed `max_changes`. A percentage is one of the users read, and
/// their number is known after the last page.
pub fn over_max_changes(cursor: &Cursor, page: &Tally, run: &Run) -> Option<Decision> {
    let most = match run.limits.max_changes? {
        AtMost::Users(users) => users,
        AtMost::Percent(_) if run.keeps_parts() => return None,
        // A run of format 1 sends its parts at once.
        percent @ AtMost::Percent(_) => percent.of(run.count.or(run.listed)?),
    };
    let changes = cursor.changed_before + cursor.tally.patches + page.patches;
    (changes > most).then(|| {
        let reason = format!("it would change more than {most} users (max_changes); {}", written(cursor, run));
        Decision::state(cursor.clone(), State::Failed, reason)
    })
}

/// Fails the run at the end of its pages if it would change a greater part of the users read than
/// `max_changes` allows. Otherwise the commit that begins draining releases its parts.
pub fn within_max_changes(decision: Decision, run: &Run) -> Decision {
    let drains = matches!(decision.commit, Commit::State { state: State::Draining, .. });
    let (Some(AtMost::Percent(percent)), true) = (run.limits.max_changes, drains && run.keeps_parts()) else {
        return decision;
    };
    let read = decision.next.tally.judged();
    // A user who may have been changed before and changes again is in both numbers.
    let changes = (decision.next.changed_before + decision.next.tally.patches).min(read);
    if changes <= AtMost::Percent(percent).of(read) {
        return decision;
    }
    let written = written(&decision.next, run);
    let reason = format!("it would change {changes} of {read} users, more than {percent} % (max_changes); {written}");
    Decision::state(decision.next, State::Failed, reason)
}

/// Returns the values that a run wrote before `max_changes` stopped it, in words.
fn written(cursor: &Cursor, run: &Run) -> String {
    match cursor.changed_before {
        _ if !run.keeps_parts() => "nothing of this page was sent".to_owned(),
        0 => "nothing was written".to_owned(),
        users => format!("up to {users} users were changed before, and nothing was written since"),
    }
}

/// Returns whether the page may exceed `max_errors`. The tally counts errors and the limit is about
/// users, so the caller must then count the users that failed.
pub fn must_count_failed(cursor: &Cursor, page: &Tally, run: &Run) -> bool {
    let errors = run.errors + cursor.tally.errors + page.errors;
    errors_max(cursor, page, run).is_some_and(|most| errors > most)
}

/// Fails the run if more than `max_errors` users have failed, including those of the page. Nothing
/// of the page is sent then.
pub fn over_max_errors(cursor: &Cursor, page: &Tally, failed: u64, run: &Run) -> Option<Decision> {
    let most = errors_max(cursor, page, run).filter(|most| failed > *most)?;
    let reason = match run.limits.max_errors {
        Some(AtMost::Percent(percent)) => {
            let read = cursor.tally.judged() + page.judged();
            format!("{failed} of {read} users are in error, more than {percent} % (max_errors); `errors` lists them")
        }
        _ => format!("more than {most} users are in error (max_errors); `errors` lists them"),
    };
    Some(Decision::state(cursor.clone(), State::Failed, reason))
}

fn errors_max(cursor: &Cursor, page: &Tally, run: &Run) -> Option<u64> {
    run.limits.errors_max(cursor.tally.judged() + page.judged())
}
