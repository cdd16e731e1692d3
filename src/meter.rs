//! The meter between a step and Intercom: asks the shared budget before each call, and tells it what the answer's
//! headers say after.

use crate::intercom::Rate;
use crate::invocation::Invocation;
use crate::ledger::{Grant, Ledger, LedgerError, Quota, Share, WINDOW_MS, window_end_ms};

/// A header that names a window further away than this is not believed.
const RESET_AHEAD_MAX_MS: i64 = 6 * WINDOW_MS;

/// One invocation's view of the budget.
#[derive(Clone, Debug)]
pub struct Meter {
    ledger: Ledger,
    quota: Quota,
    /// End of the window last taken from, and what it had spent then.
    seen: Option<(i64, u32)>,
    /// Answers that said 429, and how much of our quota the fullest window had spent, in percent.
    told: (u64, u64),
}

impl Meter {
    /// Reads the limit that Intercom last told.
    pub async fn read(ledger: &Ledger, percent: u32) -> Result<Self, LedgerError> {
        Ok(Self { ledger: ledger.clone(), quota: ledger.quota(percent).await?, seen: None, told: (0, 0) })
    }

    /// The quota in force.
    pub fn quota(&self) -> Quota {
        self.quota
    }

    /// For the invocation's metrics: answers that said 429, and how much of our quota (in percent) the fullest window that
    /// we took from had spent.
    pub fn told(&self) -> (u64, u64) {
        self.told
    }

    /// Takes between `least` and `most` operations, or says when to ask again.
    pub async fn take(&mut self, share: Share, least: u32, most: u32, at: &Invocation) -> Result<Grant, LedgerError> {
        let now_ms = at.clock.now_ms();
        let grant = self.ledger.take(self.quota, share, least, most, now_ms).await?;
        if let Grant::Granted { spent, .. } = grant {
            self.seen = Some((window_end_ms(now_ms), spent));
            self.told.1 = self.told.1.max(u64::from(spent) * 100 / u64::from(self.quota.cap()));
        }
        Ok(grant)
    }

    /// Learns from an answer's headers: the limit, and that others spend of the window too. A header may only lower what
    /// a window has left.
    pub async fn learn(&mut self, rate: Option<Rate>, at: &Invocation) -> Result<(), LedgerError> {
        let Some(rate) = rate else { return Ok(()) };
        if rate.limit != self.quota.limit {
            self.ledger.told_limit(rate.limit).await?;
            self.quota.limit = rate.limit;
        }
        let end_ms = rate.reset_at_s.saturating_mul(1000);
        let Some((window_ms, spent)) = self.seen else { return Ok(()) };
        let told = rate.limit.saturating_sub(rate.remaining);
        // What others of our functions took since is not news; a real stranger shows by more than that.
        let slack = rate.limit / 20 + 2;
        let near = end_ms > at.clock.now_ms() && end_ms == window_ms;
        if near && told > spent.saturating_add(slack) {
            self.ledger.raise(end_ms, told).await?;
            self.seen = Some((window_ms, told));
        }
        Ok(())
    }

    /// After a 429: marks the windows as spent. Returns when to go on, in Unix milliseconds.
    pub async fn limited(&mut self, wait_s: Option<u64>, at: &Invocation) -> Result<i64, LedgerError> {
        self.told.0 += 1;
        let now_ms = at.clock.now_ms();
        let rest_ms = wait_s.and_then(|s| i64::try_from(s).ok()).map_or(WINDOW_MS, |s| s.saturating_mul(1000));
        let until_ms = now_ms.saturating_add(rest_ms.clamp(1, RESET_AHEAD_MAX_MS));
        // The window that `until` lies in stays open, unless it is the present one.
        self.ledger.spent(now_ms, until_ms.saturating_sub(WINDOW_MS - 1)).await?;
        Ok(window_end_ms(now_ms).max(until_ms))
    }
}
