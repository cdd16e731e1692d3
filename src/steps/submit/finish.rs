//! The end of an invocation of writes: the results of the users that are held, and the ends of the parts.

use super::accused::keep_row;
use super::batch::{GAVE_UP, Rest, Tried, given_up};
use super::failing::rest_ms;
use super::leased::LeasedParts;
use super::send::Stop;
use super::writes::Writes;
use super::{Round, Work};
use crate::domain::run::Run;
use crate::runtime::clients::StepError;

/// A part with open users, after the last request of an invocation.
struct FailedPart<'a> {
    part: usize,
    why: &'a str,
    /// True if the last failed request was sent.
    sent: bool,
}

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
        let (why, sent) = match self.end_held(round, run, &mut writes, stop).await? {
            None => (writes.why.take().unwrap_or_else(|| "no answer".to_owned()), true),
            Some(Stop::Rest { why, sent }) => (why, sent),
            Some(stop) => {
                self.note_outlived(round, &writes).await?;
                return self.stop(round, run, stop).await;
            }
        };
        let open = (0..self.parts.len()).filter(|part| self.parts[*part].is_open());
        for part in open.collect::<Vec<_>>() {
            self.rest_part(round, run, &mut writes, &FailedPart { part, why: &why, sent }).await?;
        }
        Ok(Vec::new())
    }

    /// Returns a part to the queue, or gives up its users whose requests failed. Those that were not sent
    /// stay open: an outage, or other users of the part, may be the reason.
    async fn rest_part(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        writes: &mut Writes,
        FailedPart { part, why, sent }: &FailedPart<'_>,
    ) -> Result<(), StepError> {
        let failed = writes.failed_of(*part);
        let rest = Rest {
            why,
            tried: Tried::of(*sent, !failed.is_empty()),
            taken: writes.outlived.contains(part),
            settled: writes.settled.contains(part),
            ms: rest_ms(self.receives()),
        };
        let judged = round.judge(run, &self.parts[*part], &rest).await?;
        if !judged.gives_up {
            return round.return_to_rest(&self.parts[*part], &rest, judged, u32::from(!judged.counts)).await;
        }
        if failed.len() >= self.parts[*part].outcomes.left() {
            return round.give_up(&self.parts[*part], why).await;
        }
        // The attempts at the other users begin again. If the process dies after it, no user is given up.
        round.clients.ledger.begin_attempts(&self.parts[*part].work.part, &round.at.request_id).await?;
        let given_up_users = failed.len() as u64;
        for user in failed {
            let row = self.error_row(&user.item, GAVE_UP, given_up(why));
            self.refuse_user(writes, user, row);
        }
        self.record_results(round, run, writes).await?;
        // The record counts them as refused.
        round.outcome.refused -= given_up_users;
        round.outcome.users_given_up += given_up_users;
        round.return_to_rest(&self.parts[*part], &rest, judged, 1).await
    }

    /// Notes the parts for which a request failed before Intercom accepted another one, if they are tried
    /// again without a wait for failures.
    async fn note_outlived(&self, round: &Round<'_>, writes: &Writes) -> Result<(), StepError> {
        for part in writes.outlived.iter().map(|part| &self.parts[*part]).filter(|part| part.is_open()) {
            round.clients.ledger.note_others_taken(&part.work.part, &round.at.request_id).await?;
        }
        Ok(())
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
