//! The next step after a run, in words.

use intercom_bulk::domain::run::{Retry, State, Undo};

use super::Summary;
use crate::output::count;

/// Returns the exit code of a run in this state.
pub(crate) fn exit_code(state: State) -> u8 {
    match state {
        State::Complete => 0,
        State::CompleteWithErrors => 2,
        State::Incomplete => 3,
        State::Paused => 4,
        _ => 1,
    }
}

/// Returns a note on the users of a run that failed.
pub(super) fn sent(sent: u64, written: u64) -> String {
    format!(
        "  Before the run failed, {} {} sent to Intercom; {written} of them {} written so far.",
        count(sent, "user"),
        if sent == 1 { "was" } else { "were" },
        if written == 1 { "is" } else { "are" }
    )
}

/// Returns the users of an earlier run that a run retried, or the run that it undid.
pub(super) fn earlier(retries: Option<&Retry>, undoes: Option<&Undo>) -> Option<String> {
    match (retries, undoes) {
        (Some(retry), _) => Some(format!("  It retried {}.", retry.words())),
        (None, Some(undo)) => Some(format!("  It restored the values from before {}.", undo.run)),
        (None, None) => None,
    }
}

/// Returns the next steps for the failed users of a run. `folder` is the option that names the folder of the
/// state, or empty.
pub(super) fn of_failed(summary: &Summary, folder: &str) -> Vec<String> {
    let Summary { run, state, undoes, saved, .. } = summary;
    let errors = format!("  Next: `intercom-bulk errors --run {run}{folder}` lists the failed users and the reasons.");
    let again = match (undoes, saved) {
        (Some(Undo { run }), _) => format!("`intercom-bulk undo {run}{folder}` restores the others"),
        (None, Some(_)) => "the same command writes those whose values are as in the preview".to_owned(),
        (None, None) => format!("`intercom-bulk retry {run}{folder}` tries these users again"),
    };
    if state.ended() { vec![errors, format!("  When the causes are removed, {again}.")] } else { vec![errors] }
}

/// Returns the command that takes a run back, if it ended and wrote users. The undo of an undo is rare.
pub(super) fn undo(summary: &Summary, folder: &str) -> Option<String> {
    let Summary { run, state, undoes, counted, .. } = summary;
    let can_be = state.ended() && undoes.is_none() && counted.written > 0;
    can_be.then(|| format!("  `intercom-bulk undo {run}{folder}` shows what it can restore, and asks."))
}

/// Returns the next step after a run in this state, as it ended or paused. `folder` is empty if the ledger is
/// gone.
pub(super) fn step(summary: &Summary, folder: &str) -> Option<String> {
    let Summary { run, state, stopped_by, held, counted, saved, .. } = summary;
    let earlier = command_of_earlier(summary, folder);
    let again = earlier.as_deref().unwrap_or("the same command");
    let cost = "users that are done cost a read and no write";
    Some(match (state, stopped_by) {
        (State::Incomplete, _) => format!("  Next: run {again} again: {cost}."),
        (State::Paused, Some("--then-pause")) => {
            "  Next: look at these users. `intercom-bulk resume` goes on with all users; those that are done cost a read \
             and no write. Until then the run keeps its place: other starts wait. `cancel` ends it."
                .to_owned()
        }
        (State::Paused, _) if *held => {
            "  Next: `intercom-bulk resume` continues it. Until then it keeps its place: other starts wait.".to_owned()
        }
        (State::Paused, _) if earlier.is_some() => {
            "  Next: remove the cause. `intercom-bulk resume` continues it, and `cancel` ends it.".to_owned()
        }
        (State::Paused, _) => {
            "  Next: correct the plan and run it, or run the same command with --accept-unseen. Either \
                               cancels this run and reads from the first user."
                .to_owned()
        }
        (State::Failed, Some("--max-changes")) => format!(
            "  Next: `preview` counts the changes without writing. Raise --max-changes, or correct the plan, and run it \
             again: {cost}."
        ),
        (State::Failed, _) => format!("  Next: remove the cause and run {again} again: {cost}."),
        (State::Cancelled, _) if earlier.is_some() => format!("  To finish the rest, run {again}: {cost}."),
        (State::Cancelled, _) if saved.is_some() => {
            format!("  To finish the rest, run the same command with --saved: {cost}.")
        }
        (State::Cancelled, _) if counted.pending > 0 => format!(
            "  To finish the rest, run the plan again: {cost}. `intercom-bulk retry {run} --unknown{folder}` writes only \
             those that were read and not sent."
        ),
        (State::Cancelled, _) => format!("  To finish the rest, run the plan again: {cost}."),
        _ => return None,
    })
}

/// Returns the command that a retry or an undo began with. Without its run, it would mean another one.
fn command_of_earlier(summary: &Summary, folder: &str) -> Option<String> {
    let Summary { retries, undoes, .. } = summary;
    match (retries, undoes) {
        (Some(Retry { run, code, unknown }), _) => {
            let code = code.as_ref().map(|code| format!(" --code {code}")).unwrap_or_default();
            let unknown = if *unknown { " --unknown" } else { "" };
            Some(format!("`intercom-bulk retry {run}{code}{unknown}{folder}`"))
        }
        (None, Some(Undo { run })) => Some(format!("`intercom-bulk undo {run}{folder}`")),
        (None, None) => None,
    }
}
