//! The effect of an answer on the limiter: its rate headers, and a 429.

use std::future::Future;

use super::after_429::{Closing, wait_after_429};
use super::limiter::RateLimiter;
use super::window::{WINDOW_MS, window_end_ms};
use crate::domain::clock::Clock;
use crate::intercom::{Rate, RateReport};
use crate::ledger::{LedgerError, LimitItem};

/// The part of an answer that other processes need.
struct Heard {
    clock: Clock,
    rate: Option<Rate>,
    /// The end of the window whose headers show more use than is known, in Unix milliseconds.
    news_of_ms: Option<i64>,
    closing: Option<Closing>,
}

impl RateLimiter {
    /// Applies the answer to a request of `operations` to the limiter: its rate headers and a 429. This
    /// process heeds them at once; the future stores them in the ledger. A failed write to the ledger is only
    /// a warning, so that the answer's page or job id is not lost.
    ///
    /// Does nothing before the limiter's first permit, because a process without permits, such as
    /// a preview, does not use the report.
    pub fn report(&self, report: RateReport, operations: u32) -> impl Future<Output = ()> + Send + 'static {
        let heard = self.hear(report, operations);
        let limiter = self.clone();
        async move {
            if let Some(heard) = heard {
                limiter.store(heard).await;
            }
        }
    }

    fn hear(&self, report: RateReport, operations: u32) -> Option<Heard> {
        let clock = self.known().clock?;
        let RateReport { rate, limited } = report;
        let news_of_ms = rate.and_then(|rate| self.hear_use(rate, operations, clock.now_ms()));
        let closing = limited.map(|limited| {
            let wait_s = wait_after_429(limited.retry_after_s, rate, clock.now_s());
            self.close(wait_s, clock.now_ms())
        });
        Some(Heard { clock, rate, news_of_ms, closing })
    }

    /// Learns from headers that other programs use the window, too. Headers can only reduce what a window has
    /// left. Returns the window's end if the ledger must know it.
    fn hear_use(&self, rate: Rate, operations: u32, now_ms: i64) -> Option<i64> {
        let end_ms = rate.window_end_s().saturating_mul(1000);
        // A past window has nothing left to reduce. A window further ahead means that the clocks
        // disagree.
        if end_ms <= now_ms || end_ms > window_end_ms(now_ms) + WINDOW_MS {
            return None;
        }
        let mut known = self.known();
        let counted = known.news(rate, operations, end_ms)?;
        known.reports(end_ms, counted);
        Some(end_ms)
    }

    async fn store(&self, heard: Heard) {
        let Heard { clock, rate, news_of_ms, closing } = heard;
        if let Some(rate) = rate
            && let Err(error) = self.learn(rate, news_of_ms, clock).await
        {
            tracing::warn!(%error, "cannot store an answer's rate headers in the ledger");
        }
        if let Some(closing) = closing
            && let Err(error) = self.store_closing(closing).await
        {
            tracing::warn!(%error, "cannot store a 429 in the ledger: other functions may get one too");
        }
    }

    /// Stores a new limit, and the use of a window.
    async fn learn(&self, rate: Rate, news_of_ms: Option<i64>, clock: Clock) -> Result<(), LedgerError> {
        if rate.limit != self.quota(clock).await?.limit {
            self.ledger.store_limit(rate.limit).await?;
            let end_ms = window_end_ms(clock.now_ms());
            let mut known = self.known();
            let item = known.limit.map_or_else(LimitItem::default, |(_, item)| item);
            known.limit = Some((end_ms, LimitItem { limit: rate.limit, ..item }));
        }
        let Some(end_ms) = news_of_ms else { return Ok(()) };
        let least = self.known().least_use(end_ms);
        let spent = self.ledger.counted(end_ms, least).await?;
        self.known().sees(end_ms, spent);
        Ok(())
    }
}
