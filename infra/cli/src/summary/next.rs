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
pub(super) fn earlier(summary: &Summary) -> Option<String> {
    let restored = if summary.dry_run { "was a preview: it would restore" } else { "restored" };
    match (&summary.retries, &summary.undoes) {
        (Some(retry), _) => Some(format!("  It retried {}.", retry.words())),
        (None, Some(undo)) => Some(format!("  It {restored} the values from before {}.", undo.run)),
        (None, None) => None,
    }
}

/// A run that can be retried or undone. `options` of its methods name the folder of the state, or the stack; they
/// are empty for the usual folder.
pub(crate) struct Repeated<'a> {
    pub(crate) run: &'a str,
    pub(crate) state: State,
    /// The run that it undid.
    pub(crate) undoes: Option<&'a Undo>,
    /// It wrote a saved preview.
    pub(crate) is_saved: bool,
    /// Some users failed.
    pub(crate) has_failed: bool,
    /// Users that it wrote.
    pub(crate) written: u64,
}

impl<'a> Repeated<'a> {
    pub(super) fn of(summary: &'a Summary) -> Self {
        Self {
            run: &summary.run,
            state: summary.state,
            undoes: summary.undoes.as_ref(),
            is_saved: summary.saved.is_some(),
            has_failed: !summary.errors_by_code.is_empty(),
            written: summary.counted.written,
        }
    }

    /// Returns the next steps for the failed users.
    pub(crate) fn retry(&self, options: &str) -> Vec<String> {
        if !self.has_failed {
            return Vec::new();
        }
        let run = self.run;
        let errors =
            format!("  Next: `intercom-bulk errors --run {run}{options}` lists the failed users and the reasons.");
        let again = match self.undoes {
            Some(Undo { run }) => format!("`intercom-bulk undo {run}{options}` restores the others"),
            None if self.is_saved => "the same command writes those whose values are as in the preview".to_owned(),
            None => format!("`intercom-bulk retry {run}{options}` tries these users again"),
        };
        if self.state.ended() { vec![errors, format!("  When the causes are removed, {again}.")] } else { vec![errors] }
    }

    /// Returns the command that takes the run back, if it ended and wrote users. The undo of an undo is rare.
    pub(crate) fn undo(&self, options: &str) -> Option<String> {
        let can_be = self.state.ended() && self.undoes.is_none() && self.written > 0;
        can_be.then(|| format!("  `intercom-bulk undo {}{options}` shows first what it can restore.", self.run))
    }
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
        (State::Paused, Some("--accept-unseen")) if earlier.is_none() => {
            "  Next: correct the plan and run it, or run the same command with --accept-unseen. Either \
                               cancels this run and reads from the first user."
                .to_owned()
        }
        (State::Paused, _) => {
            "  Next: remove the cause. `intercom-bulk resume` continues it, and `cancel` ends it.".to_owned()
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
