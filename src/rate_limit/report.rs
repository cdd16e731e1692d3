//! The effect of an answer on the limiter: its rate headers, and a 429.

use super::after_429::wait_after_429;
use super::limiter::RateLimiter;
use super::window::{WINDOW_MS, window_end_ms};
use crate::domain::clock::Clock;
use crate::intercom::{Rate, RateReport};
use crate::ledger::{LedgerError, LimitItem};

impl RateLimiter {
    /// Applies the answer to a request of `operations` to the limiter: its rate headers and a 429.
    /// A failed write to the ledger is only a warning, so that the answer's page or job id is not
    /// lost.
    ///
    /// Does nothing before the limiter's first permit, because a process without permits, such as
    /// a preview, does not use the report.
    pub async fn report(&self, report: RateReport, operations: u32) {
        let Some(clock) = self.known().clock else { return };
        let limited = report.limited.map(|limited| wait_after_429(limited.retry_after_s, report.rate, clock.now_s()));
        if let Some(rate) = report.rate
            && let Err(error) = self.learn(rate, operations, clock).await
        {
            tracing::warn!(%error, "cannot store an answer's rate headers in the ledger");
        }
        if let Some(wait_s) = limited
            && let Err(error) = self.close(wait_s, clock).await
        {
            tracing::warn!(%error, "cannot store a 429 in the ledger: other functions may get one too");
        }
    }

    /// Learns from headers: the limit, and that other programs use the window too. Headers can only
    /// reduce what a window has left.
    async fn learn(&self, rate: Rate, operations: u32, clock: Clock) -> Result<(), LedgerError> {
        let now_ms = clock.now_ms();
        if rate.limit != self.quota(clock).await?.limit {
            self.ledger.store_limit(rate.limit).await?;
            let end_ms = window_end_ms(now_ms);
            let mut known = self.known();
            let item = known.limit.map_or_else(LimitItem::default, |(_, item)| item);
            known.limit = Some((end_ms, LimitItem { limit: rate.limit, ..item }));
        }
        let end_ms = rate.window_end_s().saturating_mul(1000);
        // A past window has nothing left to reduce. A window further ahead means that the clocks
        // disagree.
        if end_ms <= now_ms || end_ms > window_end_ms(now_ms) + WINDOW_MS {
            return Ok(());
        }
        let counted = {
            let mut known = self.known();
            let Some(counted) = known.news(rate, operations, end_ms) else { return Ok(()) };
            known.reports(end_ms, counted);
            counted
        };
        let spent = self.ledger.counted(end_ms, counted).await?;
        self.known().stored(end_ms, counted, spent);
        Ok(())
    }
}
