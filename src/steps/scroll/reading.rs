//! The end of the reading before the deadline, if what is queued needs the time.

use super::turn::LeasedTurn;
use crate::domain::run::Cursor;
use crate::domain::run::decide::{Decision, after_reading_time};
use crate::ledger::Consistency;
use crate::runtime::clients::StepError;

/// Returns the decision to end the pages in time for the users that are queued. The counts are read
/// only if the time is short even for all patches of the generation.
pub(super) async fn end_in_time(turn: &LeasedTurn<'_>, cursor: &Cursor) -> Result<Option<Decision>, StepError> {
    let LeasedTurn { clients, run, at, .. } = *turn;
    if run.limits.dry_run || !run.keeps_parts() {
        return Ok(None);
    }
    let (speed, patches) = (run.speed(clients.limiter.quota(at.clock).await?.cap()), cursor.tally.patches);
    if after_reading_time(cursor, patches, speed, &turn.facts()).is_none() {
        return Ok(None);
    }
    let sent = clients.ledger.accounts_counted(run, cursor, Consistency::Strong).await?.sent_now;
    Ok(after_reading_time(cursor, patches.saturating_sub(sent), speed, &turn.facts()))
}
