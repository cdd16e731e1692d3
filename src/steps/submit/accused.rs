//! Results that accuse the run, over several invocations of submit: a run with a slow pace, or with
//! small parts, has few users in each.

use super::Round;
use super::leased::LeasedParts;
use super::send::Accusation;
use super::streak::{Row, Streaks};
use super::writes::Writes;
use crate::domain::part::UserOutcome;
use crate::domain::run::{Counts, Run};
use crate::ledger::{Consistency, RefusedInARow};
use crate::runtime::clients::StepError;

impl LeasedParts {
    /// Creates the rows of refusals of this invocation. A follow-up part holds only users whom a bulk job
    /// did not write. If the run has written others, refusals of these users do not accuse it.
    pub(super) async fn streaks(&self, round: &Round<'_>, run: &Run) -> Result<Streaks, StepError> {
        let follows = |index: &usize| self.parts[*index].work.part.id.attempt() > 1;
        let follow_ups: Vec<usize> = (0..self.parts.len()).filter(follows).collect();
        if follow_ups.is_empty() || Before::read(round, run).await?.counts.written <= 0 {
            return Ok(Streaks::default());
        }
        Ok(Streaks::without(follow_ups))
    }

    /// Returns why the run pauses, by the results of this invocation and of those before it. They are
    /// read only if this one had nothing but users that are gone, or that are refused alike.
    pub(super) async fn fault_of_run(
        &mut self,
        round: &Round<'_>,
        run: &Run,
        writes: &mut Writes,
    ) -> Result<Option<Accusation>, StepError> {
        let row = writes.streaks.row().filter(|row| row.is_all);
        if row.is_none() && !writes.gone.is_all() {
            return Ok(None);
        }
        let Before { row: before, counts } = Before::read(round, run).await?;
        if let Some(reason) = writes.gone.accuses(&counts).filter(|_| !before.paused_for_gone) {
            return Ok(Some(Accusation { reason, all_gone: true }));
        }
        let reason = row.and_then(|row| writes.streaks.fill(&row.after(&before, counts.written)));
        Ok(reason.map(|reason| Accusation { reason, all_gone: false }))
    }

    /// Notes that the run has other users than those that are gone, which get their outcome.
    pub(super) fn note_gone(&mut self, writes: &mut Writes) {
        for user in writes.gone.end() {
            self.settle(writes, user, UserOutcome::Gone);
        }
    }
}

/// Notes that the run has paused because Intercom has none of its users. If the process dies before, the
/// run pauses for that once more after a resume. An invocation that reads the note reads the pause after
/// it.
pub(super) async fn note_pause_for_gone(round: &Round<'_>, run: &Run) -> Result<(), StepError> {
    let ledger = &round.clients.ledger;
    let row = RefusedInARow { paused_for_gone: true, ..ledger.refused_in_a_row(&run.id).await? };
    Ok(ledger.put_refused_in_a_row(&run.id, &row, round.at.clock.now_ms()).await?)
}

/// Stores a row for later invocations, after the results of this one are recorded.
pub(super) async fn keep_row(round: &Round<'_>, run: &Run, row: &Row) -> Result<(), StepError> {
    let Before { row: before, counts } = Before::read(round, run).await?;
    let row = row.after(&before, counts.written);
    Ok(round.clients.ledger.put_refused_in_a_row(&run.id, &row, round.at.clock.now_ms()).await?)
}

/// The results of a run so far.
struct Before {
    row: RefusedInARow,
    counts: Counts,
}

impl Before {
    async fn read(round: &Round<'_>, run: &Run) -> Result<Self, StepError> {
        let ledger = &round.clients.ledger;
        let row = ledger.refused_in_a_row(&run.id).await?;
        let mut counts = Counts::default();
        for of_bucket in ledger.counts(&run.id, Consistency::Strong).await? {
            counts.items += of_bucket.counts.items;
            counts.gone += of_bucket.counts.gone;
            counts.written += of_bucket.counts.written;
        }
        Ok(Self { row, counts })
    }
}
