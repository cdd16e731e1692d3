//! The pace of a run: a maximum of users written per minute, over all processes. Each write may trigger
//! webhooks and messages, which other systems must keep up with.
//!
//! Minutes are aligned to Unix time, so each minute ends with a window of the rate limit. A request
//! needs permits of both, and both expire together.

use crate::domain::clock::Clock;
use crate::domain::run::{Run, RunId};
use crate::ledger::{LedgerError, Take};

use super::deadline::Deadline;
use super::limiter::{Permit, PermitRequest, RateLimiter};
use super::window::EDGE_MS;

/// Length of a minute, in milliseconds.
pub const MINUTE_MS: i64 = 60_000;
/// A request may leave less than this part of a minute unused, so that small jobs are rare.
const WASTE_PART: u32 = 10;

/// The pace of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPace {
    /// The run.
    pub run: RunId,
    /// The most users per minute, at least 1.
    pub per_minute: u32,
}

/// Permits of a run's minute that were taken and are not used.
#[derive(Debug)]
pub(super) struct PrepaidMinute {
    run: RunId,
    end_ms: i64,
    left: u32,
}

impl RunPace {
    /// Returns the pace of a run, if it has one.
    pub fn of(run: &Run) -> Option<Self> {
        run.limits.max_per_minute.map(|pace| Self { run: run.id.clone(), per_minute: pace.get() })
    }

    /// Returns the fewest useful users of a minute, for a request of at least `least`.
    fn least(&self, least: u32) -> u32 {
        least.min(self.per_minute / WASTE_PART).max(1)
    }
}

/// Returns the end of the minute that contains this time.
pub fn minute_end_ms(now_ms: i64) -> i64 {
    (now_ms.div_euclid(MINUTE_MS) + 1) * MINUTE_MS
}

impl RateLimiter {
    /// Acquires permits like [`RateLimiter::acquire`], for at most so many users as the run's minute
    /// has left.
    pub async fn acquire_paced(
        &self,
        pace: &RunPace,
        request: PermitRequest,
        deadline: &Deadline,
    ) -> Result<Permit, LedgerError> {
        self.acquire_at(Some(pace), request, deadline).await
    }

    /// Acquires permits in the same way, without waiting for another window or minute.
    pub async fn try_acquire_paced(
        &self,
        pace: &RunPace,
        request: PermitRequest,
        clock: Clock,
    ) -> Result<Permit, LedgerError> {
        let now_ms = clock.now_ms();
        let end_ms = minute_end_ms(now_ms);
        // A request at the edge may be counted in the next minute.
        if end_ms - now_ms <= EDGE_MS {
            return Ok(Permit::Wait(end_ms));
        }
        let Some(users) = self.take_minute(pace, request, end_ms).await? else { return Ok(Permit::Wait(end_ms)) };
        let request = PermitRequest { least: request.least.min(users), most: users, ahead: users, ..request };
        let permit = self.try_acquire(request, clock).await?;
        let now_ms = clock.now_ms();
        let (granted, charged_to_ms) = match permit {
            Permit::Granted { permits, end_ms } => (permits, end_ms),
            Permit::Wait(_) => (0, 0),
        };
        if now_ms >= end_ms - EDGE_MS {
            // The minute ended during these calls, and its permits with it.
            self.give_back(request.lane, charged_to_ms, request.operations(granted));
            return Ok(Permit::Wait(now_ms.max(end_ms)));
        }
        self.give_back_minute(pace, end_ms, users.saturating_sub(granted));
        Ok(permit)
    }

    /// Takes users of a run's minute: those that this process has taken before, and more from the
    /// ledger. `None` if too few are left.
    async fn take_minute(
        &self,
        pace: &RunPace,
        request: PermitRequest,
        end_ms: i64,
    ) -> Result<Option<u32>, LedgerError> {
        let least = pace.least(request.least);
        let had = self.known().take_minute(&pace.run, end_ms);
        let users = had.min(request.most);
        self.give_back_minute(pace, end_ms, had - users);
        if users >= request.most {
            return Ok(Some(users));
        }
        let take = Take { least: least.saturating_sub(users).max(1), most: request.most - users };
        let taken = match self.ledger.take_of_minute(&pace.run, end_ms, take, pace.per_minute).await {
            Ok(taken) => taken.map_or(0, |taken| taken.operations),
            Err(error) => {
                self.give_back_minute(pace, end_ms, users);
                return Err(error);
            }
        };
        if users + taken < least {
            self.give_back_minute(pace, end_ms, users + taken);
            return Ok(None);
        }
        Ok(Some(users + taken))
    }

    /// Keeps users of a run's minute for later requests of this process.
    pub fn give_back_minute(&self, pace: &RunPace, end_ms: i64, users: u32) {
        if users > 0 {
            self.known().keep_minute(PrepaidMinute { run: pace.run.clone(), end_ms, left: users });
        }
    }
}

impl PrepaidMinute {
    /// Removes the permits of this run and minute.
    pub(super) fn take(kept: &mut Option<Self>, run: &RunId, end_ms: i64) -> u32 {
        kept.take_if(|kept| kept.run == *run && kept.end_ms == end_ms).map_or(0, |kept| kept.left)
    }

    /// Adds permits. Those of an earlier minute are dropped.
    pub(super) fn keep(kept: &mut Option<Self>, mut more: Self) {
        if kept.as_ref().is_some_and(|kept| kept.end_ms > more.end_ms) {
            return;
        }
        more.left += Self::take(kept, &more.run, more.end_ms);
        *kept = Some(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate_limit::window::window_end_ms;

    #[test]
    fn minutes_end_with_a_window_of_the_rate_limit() {
        assert_eq!([0, 59_999, 60_000].map(minute_end_ms), [60_000, 60_000, 120_000]);
        assert_eq!(window_end_ms(59_999), minute_end_ms(59_999));
    }

    #[test]
    fn a_tenth_of_a_minute_may_stay_unused() {
        let least = |per_minute, least| RunPace { run: RunId::of("p", 0), per_minute }.least(least);
        assert_eq!((least(1, 10), least(9, 10), least(60, 30), least(1_000, 50)), (1, 1, 6, 50));
        assert_eq!(least(1_000, 0), 1);
    }

    #[test]
    fn unused_permits_are_of_their_run_and_minute() {
        let (first, second) = (RunId::of("p", 0), RunId::of("q", 0));
        let mut kept = None;
        let of = |run: &RunId, end_ms, left| PrepaidMinute { run: run.clone(), end_ms, left };
        PrepaidMinute::keep(&mut kept, of(&first, 60_000, 3));
        PrepaidMinute::keep(&mut kept, of(&first, 60_000, 4));
        assert_eq!(PrepaidMinute::take(&mut kept, &second, 60_000), 0);
        assert_eq!(PrepaidMinute::take(&mut kept, &first, 120_000), 0);
        assert_eq!(PrepaidMinute::take(&mut kept, &first, 60_000), 7);
        PrepaidMinute::keep(&mut kept, of(&first, 120_000, 2));
        PrepaidMinute::keep(&mut kept, of(&first, 60_000, 4));
        assert_eq!(PrepaidMinute::take(&mut kept, &first, 120_000), 2, "a later minute");
    }
}
