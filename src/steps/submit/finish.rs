//! The end of an invocation of writes: the results of the users that are held, and the ends of the parts.

use super::accused::keep_row;
use super::batch::Rest;
use super::failing::rest_ms;
use super::leased::LeasedParts;
use super::send::Stop;
use super::writes::Writes;
use super::{Round, Work};
use crate::domain::run::Run;
use crate::runtime::clients::StepError;

impl LeasedParts {
    /// Records all results, and ends the parts or returns them to the queue.
    pub(super) async fn finish(
        mut self,
        round: &mut Round<'_>,
        run: &Run,
        mut writes: Writes,
        stop: Option<Stop>,
    ) -> Result<Vec<Work>, StepError> {
        round.give_back_minute(run, &mut self.permits);
        self.record_lost(round).await?;
        self.record_results(round, run, &mut writes).await?;
        if let Some(stop) = self.end_held(round, run, &mut writes, stop).await? {
            return self.stop(round, run, stop).await;
        }
        let why = writes.why.unwrap_or_else(|| "no answer".to_owned());
        let (ms, taken) = (rest_ms(self.receives()), self.taken());
        for part in self.into_open() {
            round.rest(run, &part, &Rest { why: &why, sent: true, taken, ms }).await?;
        }
        Ok(Vec::new())
    }

    /// Decides about the users whose results accuse the run. Either it pauses, and they stay open, or
    /// they get their results.
    async fn end_held(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        writes: &mut Writes,
        stop: Option<Stop>,
    ) -> Result<Option<Stop>, StepError> {
        match stop {
            // The users of a full row stay open.
            Some(Stop::Pause(_)) => return Ok(stop),
            // No other user of the run is sent.
            Some(Stop::Fault(_)) => {}
            _ => {
                if let Some(accusation) = self.fault_of_run(round, run, writes).await? {
                    return Ok(Some(Stop::Pause(accusation)));
                }
                // Another invocation may have paused the run for the same reason: its users are sent again.
                let is_over = matches!(stop, Some(Stop::Over));
                if writes.holds_users() && (is_over || !round.submits_since(run).await?) {
                    return Ok(Some(Stop::Over));
                }
            }
        }
        self.note_gone(writes);
        let row = writes.streaks.row();
        let ended = writes.streaks.end();
        self.refuse_users(writes, ended);
        self.record_results(round, run, writes).await?;
        if let Some(row) = row {
            keep_row(round, run, &row).await?;
        }
        Ok(stop)
    }
}

impl Round<'_> {
    /// Returns whether the run has submitted without a pause since it was read as `run`.
    async fn submits_since(&self, run: &Run) -> Result<bool, StepError> {
        let now = self.clients.ledger.run(&run.id).await?;
        let same = |now: &Run| (now.generation, now.resumed_ms) == (run.generation, run.resumed_ms);
        Ok(now.is_some_and(|now| now.submits() && same(&now)))
    }
}
