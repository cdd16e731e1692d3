//! A run's life: the one place that starts, pauses, resumes, cancels, supersedes, fails, ends and
//! settles a run.
//!
//! [`pause`] and [`cancel`] are for the steps, [`hold`] and [`stop`] for an operator.
//!
//! These are functions over the ledger. Each is a conditional write, so a second call has no
//! effect, and returns what it did. The caller sends the message of the next turn. A turn that
//! changes its run's state does so in its own commit ([`crate::domain::run::decide::Commit`]).

mod end;
mod pause;
mod release;
mod report;
pub mod resend;
mod resume;
mod retry;
mod settle;
mod start;
mod target;
mod undo;
mod verify;
mod visible;

pub use end::{OVER_MAX_ERRORS, RunEnd, cancel, end, fail, log_state, paused, stop, supersede};
pub use pause::{hold, pause, pause_after_canary};
pub use release::{Released, release};
pub use report::{Report, Reports, report, run_report};
pub use resume::{Continued, Resumed, restart, resume};
pub use retry::{EarlierRun, retried};
pub use settle::{Looking, unsettled};
pub use start::{NewRun, Started, start};
pub use target::{Acted, find};
pub use undo::undone;
pub use verify::{drain, verify};
pub use visible::lists_show_from_ms;

use crate::domain::run::{Cursor, Run};
use crate::ledger::{Ledger, LedgerError};

/// The active run and its cursor.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveRun {
    /// The run.
    pub run: Run,
    /// Its cursor.
    pub cursor: Cursor,
}

/// Returns the active run, if any.
pub async fn active_run(ledger: &Ledger) -> Result<Option<ActiveRun>, LedgerError> {
    let Some(id) = ledger.active().await?.run else { return Ok(None) };
    let run = ledger.run(&id).await?;
    let cursor = ledger.cursor(&id).await?;
    Ok(run.zip(cursor).map(|(run, cursor)| ActiveRun { run, cursor }))
}
