//! The promises of a pause: an operator's holds the run's place, its deadline stands still, and a
//! resume meets no lease of a turn that did nothing.

use intercom_bulk::domain::run::{Pause, Run, RunId, State};
use intercom_simulator::Fault;

use super::Promises;
use crate::storm::{Storm, Who};

/// The longest time between the clock's reading and the write of a pause and of its end: both
/// invocations may freeze in between, until control's time-out.
const FROZEN_MS: i64 = 130_000;

/// The last pause of a run.
#[derive(Clone, Debug)]
pub(super) struct Paused {
    /// The pause, and the run's deadline and earlier pauses at that time.
    pause: Pause,
    held: bool,
    deadline_ms: i64,
    earlier_ms: i64,
}

impl Storm {
    /// Checks the end of a pause, and remembers a pause.
    pub(super) fn pause_is_kept(&self, row: &Run) {
        let was = self.promises.paused_before(row);
        let Some(was) = was.filter(|_| row.state != State::Paused) else { return };
        let reason = row.reason.as_deref().unwrap_or_default();
        let superseded = row.state == State::Cancelled && reason.contains("replaced it while it was paused");
        if superseded && was.held && !self.story.supersedes() {
            self.weather.bug(format!("{}: a start replaced a run that an operator paused", row.id));
        }
        if !row.state.submits() {
            return;
        }
        let held_ms = if was.held { self.now_ms() - was.pause.since_ms } else { 0 };
        let moved_ms = row.deadline_ms - was.deadline_ms;
        if (moved_ms - held_ms).abs() > 2 * self.story.skew_ms + FROZEN_MS {
            self.weather.bug(format!("{}: a pause of {held_ms} ms moved the deadline by {moved_ms} ms", row.id));
        }
        if moved_ms != row.paused_ms - was.earlier_ms {
            self.weather.bug(format!("{}: of {moved_ms} ms of a pause the run does not know", row.id));
        }
    }

    /// Checks that a pause for the sake of a token has a cause in the story.
    pub(super) fn pause_has_a_cause(&self, row: &Run) {
        let story = &self.story;
        let reason = row.reason.as_deref().unwrap_or_default();
        // The workspace of a token is that of its users, if there are any.
        let is_unreported = reason.contains("does not report which workspace");
        let world = &self.world.0;
        let is_lonely =
            world.users().is_empty() && world.leads().is_empty() || story.options.faults.contains(&Fault::UsersChange);
        if is_unreported && story.tokens.is_empty() && !story.is_denied() && !is_lonely {
            self.weather.bug(format!("10: {} is paused ({reason}), and its token reads users", row.id));
        }
        if reason.starts_with("the access token belongs to") && !story.has_foreign_token() {
            self.weather.bug(format!("10: {} is paused ({reason}), and no token is of another workspace", row.id));
        }
    }

    /// Checks the end of a turn's invocation: it left no lease on a paused run.
    pub(crate) async fn paused_run_has_no_lease(&self, who: Who, run: &str) {
        let asked = self.promises.memory().by.get(&who).is_some_and(|did| did.asked_for_page || did.troubled);
        let Some(id) = RunId::parse(run).filter(|_| !asked) else { return };
        let (Ok(Some(row)), Ok(Some(cursor))) = (self.ledger.run(&id).await, self.ledger.cursor(&id).await) else {
            return;
        };
        if row.state == State::Paused && cursor.owner() == Some(format!("request-{who}").as_str()) {
            self.weather.bug(format!("{run}: a turn that did nothing left its lease on a paused run"));
        }
    }
}

impl Promises {
    /// Returns the pause of a run before this row, and remembers that of the row.
    fn paused_before(&self, row: &Run) -> Option<Paused> {
        let held = row.hold().is_some();
        let (deadline_ms, earlier_ms) = (row.deadline_ms, row.paused_ms);
        let paused = row.pause().map(|pause| Paused { pause, held, deadline_ms, earlier_ms });
        let mut memory = self.memory();
        let id = row.id.to_string();
        match paused {
            Some(paused) => memory.paused.insert(id, paused),
            None => memory.paused.remove(&id),
        }
    }
}
