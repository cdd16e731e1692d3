//! Decides if a request for one user may begin: its permit, its run and its time.

use super::Round;
use super::batch::FOR_A_JOB_MS;
use super::leased::LeasedParts;
use super::permits::Permits;
use super::send::{PAYMENTS_MAX, Stop};
use super::writes::AT_ONCE;
use crate::domain::api::BulkCharge;
use crate::domain::run::{Run, State};
use crate::rate_limit::{Lane, Permit, PermitRequest, RunPace, window_end_ms};
use crate::runtime::clients::StepError;

/// The shortest time of an answer that permits are acquired for, in milliseconds. Intercom's median is
/// 110 ms.
const ANSWER_LEAST_MS: i64 = 50;

/// The answer to the question if a request may begin.
pub(super) enum MayBegin {
    Yes,
    /// Not before this time (Unix milliseconds), when the rate limit may have permits.
    At(i64),
    No(Stop),
}

impl LeasedParts {
    /// Returns whether the next request may begin, and acquires its permit.
    pub(super) async fn may_begin(
        &mut self,
        round: &mut Round<'_>,
        run: &mut Run,
        waiting: usize,
    ) -> Result<MayBegin, StepError> {
        for _ in 0..PAYMENTS_MAX {
            let now_ms = round.at.clock.now_ms();
            if round.at.is_stopping() {
                return Ok(MayBegin::No(Stop::Later(now_ms)));
            }
            if self.permits.items == 0 || now_ms >= self.permits.usable_until_ms() || round.is_closed(now_ms) {
                round.give_back_minute(run, &mut self.permits);
                match round.try_pay(run, waiting).await? {
                    Permit::Granted { permits, end_ms } => self.permits = Permits::new(run, permits, end_ms),
                    Permit::Wait(at_ms) if at_ms > round.at.deadline_ms - FOR_A_JOB_MS => {
                        return Ok(MayBegin::No(Stop::Later(at_ms)));
                    }
                    Permit::Wait(at_ms) => return Ok(MayBegin::At(at_ms.max(round.at.clock.now_ms() + 1))),
                }
            }
            if let Some(stop) = round.may_not_write(run).await? {
                return Ok(MayBegin::No(stop));
            }
            // The read of the run may have outlasted the window, or the minute of a pace.
            let now_ms = round.at.clock.now_ms();
            if now_ms < self.permits.usable_until_ms() && !round.is_closed(now_ms) {
                return Ok(MayBegin::Yes);
            }
        }
        Ok(MayBegin::No(Stop::Later(round.at.clock.now_ms())))
    }
}

impl Round<'_> {
    /// Returns whether a 429 closed the budget. It may have arrived while its answer is not handled yet.
    fn is_closed(&self, now_ms: i64) -> bool {
        now_ms < self.clients.limiter.closed_until_ms()
    }

    /// Acquires permits for at most `waiting` requests of one user each, as many as can begin before the
    /// window's end. Does not wait for another window.
    async fn try_pay(&self, run: &Run, waiting: usize) -> Result<Permit, StepError> {
        let (limiter, clock) = (&self.clients.limiter, self.at.clock);
        let most = waiting.min(can_begin(window_end_ms(clock.now_ms()) - clock.now_ms())) as u32;
        let lane = Lane::Submit { reads: run.state == State::Running };
        let request = PermitRequest { lane, least: 1, most, ahead: most, charge: BulkCharge::Item };
        Ok(match RunPace::of(run) {
            Some(pace) => limiter.try_acquire_paced(&pace, request, clock).await?,
            None => limiter.try_acquire(request, clock).await?,
        })
    }
}

/// Returns the most requests that can begin within `ms` milliseconds. More permits would be taken from
/// other processes.
fn can_begin(ms: i64) -> usize {
    AT_ONCE * (1 + (ms.max(0) / ANSWER_LEAST_MS) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_acquired_for_the_rest_of_the_window() {
        for (ms, most) in [(-5, 32), (0, 32), (49, 32), (50, 64), (1_000, 672), (10_000, 6_432)] {
            assert_eq!(can_begin(ms), most, "{ms}");
        }
    }
}
