//! The meter between the steps and Intercom: asks the shared budget before each call, and tells it what the answer's
//! headers say after.
//!
//! A process takes for several calls at once where it expects them within the window, and keeps the rest in a purse until
//! the window ends: most calls then cost no write. What a purse loses at the window's end was spent for nothing, never too
//! little.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::intercom::Rate;
use crate::invocation::Invocation;
use crate::ledger::{EDGE_MS, Grant, Ledger, LedgerError, Quota, Share, WINDOW_MS, at_edge, lead_ms, window_end_ms};

/// A header that names a window further away than this is not believed.
const RESET_AHEAD_MAX_MS: i64 = 6 * WINDOW_MS;

/// Windows that may end while one call of the budget is answered, before the caller is told to come back.
const TRIES: u32 = 3;

/// What a caller wants of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// For what.
    pub share: Share,
    /// Operations without which nothing can be done.
    pub least: u32,
    /// Operations that can be done now.
    pub most: u32,
    /// Operations that are expected within the window, these among them.
    pub ahead: u32,
}

impl Ask {
    /// One operation.
    pub fn one(share: Share) -> Self {
        Self { share, least: 1, most: 1, ahead: 1 }
    }
}

/// One process's view of the budget; clones share it.
#[derive(Clone, Debug)]
pub struct Meter {
    ledger: Ledger,
    percent: u32,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The limit as last read or told, and the end of the window in which that was.
    limit: Option<(i64, u32)>,
    /// End of the window last taken from, and what it had spent then.
    seen: Option<(i64, u32)>,
    /// Answers that said 429, and how much of our quota the fullest window had spent, in percent.
    told: (u64, u64),
    /// What is paid for and not used, of pages, submissions and looks.
    purses: [Purse; 3],
    /// Until then a 429 said to wait.
    spent_until_ms: i64,
}

/// Operations that are paid for, and the window that they are of.
#[derive(Clone, Copy, Debug, Default)]
struct Purse {
    end_ms: i64,
    left: u32,
}

impl Known {
    fn purse(&mut self, share: Share) -> &mut Purse {
        match share {
            Share::Page => &mut self.purses[0],
            Share::Submit { .. } => &mut self.purses[1],
            Share::Check => &mut self.purses[2],
        }
    }

    /// What the purses hold of a window.
    fn unused(&self, end_ms: i64) -> u32 {
        self.purses.iter().filter(|purse| purse.end_ms == end_ms).map(|purse| purse.left).sum()
    }
}

impl Meter {
    /// A meter of which `percent` of Intercom's limit may be used.
    pub fn new(ledger: Ledger, percent: u32) -> Self {
        Self { ledger, percent, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The quota in force; read anew in each window.
    pub async fn quota(&self, at: &Invocation) -> Result<Quota, LedgerError> {
        let end_ms = window_end_ms(at.clock.now_ms());
        let known = self.known().limit.filter(|(of, _)| *of == end_ms);
        if let Some((_, limit)) = known {
            return Ok(Quota { limit, percent: self.percent });
        }
        let quota = self.ledger.quota(self.percent).await?;
        self.known().limit = Some((end_ms, quota.limit));
        Ok(quota)
    }

    /// For the invocation's metrics: answers that said 429 since this was last asked, and how much of our quota (in percent)
    /// the fullest window that we took from had spent. Lambda gives a process one invocation at a time.
    pub fn told(&self) -> (u64, u64) {
        std::mem::take(&mut self.known().told)
    }

    /// Takes between `least` and `most` operations, or says when to ask again. What was granted of a window that ended
    /// while `DynamoDB` answered is no use in the next, and is asked for anew.
    pub async fn take(&self, ask: Ask, at: &Invocation) -> Result<Grant, LedgerError> {
        for _ in 0..TRIES {
            // A window's first moments are waited out: whoever waited for it comes all at once.
            let lead_ms = lead_ms(at.clock.now_ms());
            if lead_ms > 0 {
                tokio::time::sleep(Duration::from_millis(lead_ms.unsigned_abs())).await;
            }
            let now_ms = at.clock.now_ms();
            let spent_until_ms = self.known().spent_until_ms;
            if now_ms < spent_until_ms {
                return Ok(Grant::Wait(spent_until_ms));
            }
            let end_ms = window_end_ms(now_ms);
            let edge = at_edge(now_ms);
            if !edge && let Some(operations) = self.paid(ask, end_ms) {
                return Ok(Grant::Granted { operations, spent: 0 });
            }
            let quota = self.quota(at).await?;
            let most = if edge { ask.most } else { ask.most.max(ask.ahead) };
            let grant = self.ledger.take(quota, ask.share, ask.least, most, now_ms).await?;
            let Grant::Granted { operations, spent } = grant else { return Ok(grant) };
            // At the edge the next window is charged, too. Who came to the edge of the last that is charged while DynamoDB
            // answered must charge the one behind it.
            let charged_to_ms = if edge { end_ms + WINDOW_MS } else { end_ms };
            if at.clock.now_ms() < charged_to_ms - EDGE_MS {
                return Ok(self.keep(ask, end_ms, (operations, spent), quota));
            }
        }
        Ok(Grant::Wait(window_end_ms(at.clock.now_ms())))
    }

    /// Keeps what was granted beyond what was asked for now.
    fn keep(&self, ask: Ask, end_ms: i64, (operations, spent): (u32, u32), quota: Quota) -> Grant {
        let mut known = self.known();
        known.seen = Some((end_ms, spent));
        known.told.1 = known.told.1.max(u64::from(spent) * 100 / u64::from(quota.cap()));
        let rest = operations.saturating_sub(ask.most);
        let purse = known.purse(ask.share);
        let left = if purse.end_ms == end_ms { purse.left } else { 0 };
        *purse = Purse { end_ms, left: left + rest };
        Grant::Granted { operations: operations - rest, spent }
    }

    /// What the purse pays for, if that is enough.
    fn paid(&self, ask: Ask, end_ms: i64) -> Option<u32> {
        let mut known = self.known();
        let purse = known.purse(ask.share);
        let operations = purse.left.min(ask.most);
        if purse.end_ms != end_ms || operations < ask.least.max(1) {
            return None;
        }
        purse.left -= operations;
        Some(operations)
    }

    /// Learns from an answer's headers: the limit, and that others spend of the window too. A header may only lower what
    /// a window has left. It is advice: what came with it, a page or a job's id, is worth more than the ledger's answer.
    pub async fn learn(&self, rate: Option<Rate>, at: &Invocation) {
        let Some(rate) = rate else { return };
        if let Err(error) = self.tell(rate, at).await {
            tracing::warn!(%error, "what an answer's headers say of the limit is not in the ledger");
        }
    }

    async fn tell(&self, rate: Rate, at: &Invocation) -> Result<(), LedgerError> {
        let now_ms = at.clock.now_ms();
        if rate.limit != self.quota(at).await?.limit {
            self.ledger.told_limit(rate.limit).await?;
            self.known().limit = Some((window_end_ms(now_ms), rate.limit));
        }
        let end_ms = rate.reset_at_s.saturating_mul(1000);
        let (seen, unused) = {
            let known = self.known();
            (known.seen, known.unused(end_ms))
        };
        let Some((window_ms, spent)) = seen else { return Ok(()) };
        // What is in our purses Intercom has not seen yet.
        let told = rate.limit.saturating_sub(rate.remaining).saturating_add(unused);
        // What others of our functions took since is not news; a real stranger shows by more than that.
        let slack = rate.limit / 20 + 2;
        let near = end_ms > now_ms && end_ms == window_ms;
        if near && told > spent.saturating_add(slack) {
            self.ledger.raise(end_ms, told).await?;
            self.known().seen = Some((window_ms, told));
        }
        Ok(())
    }

    /// After a 429: marks the windows as spent. Returns when to go on, in Unix milliseconds; this process keeps to that
    /// even where the ledger could not be told.
    pub async fn limited(&self, wait_s: Option<u64>, at: &Invocation) -> i64 {
        let now_ms = at.clock.now_ms();
        let rest_ms = wait_s.and_then(|s| i64::try_from(s).ok()).map_or(WINDOW_MS, |s| s.saturating_mul(1000));
        let until_ms = now_ms.saturating_add(rest_ms.clamp(1, RESET_AHEAD_MAX_MS));
        let go_on_ms = window_end_ms(now_ms).max(until_ms);
        {
            let mut known = self.known();
            known.purses = [Purse::default(); 3];
            known.told.0 += 1;
            known.spent_until_ms = go_on_ms;
        }
        // The window that `until` lies in stays open, unless it is the present one.
        if let Err(error) = self.ledger.spent(now_ms, until_ms.saturating_sub(WINDOW_MS - 1)).await {
            tracing::warn!(%error, "other functions are not told of a 429");
        }
        go_on_ms
    }
}
