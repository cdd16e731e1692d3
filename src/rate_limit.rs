//! The rate limiter between the steps and Intercom: it asks the shared budget before each call, and learns from the headers
//! of each answer.
//!
//! A process takes permits for several calls at once where it expects them within the window, and keeps the rest until the
//! window ends: most calls then cost no write. Unused permits expire with their window: this may waste budget but never
//! exceeds it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::domain::clock::Clock;
use crate::intercom::{RETRY_AFTER_MAX_S, Rate};
use crate::ledger::{
    EDGE_MS, Lane, Ledger, LedgerError, LimitItem, Permit, Quota, WINDOW_MS, at_edge, lead_ms, window_end_ms,
};

/// The longest wait after a 429, in milliseconds.
const LIMITED_MAX_MS: i64 = RETRY_AFTER_MAX_S as i64 * 1000;

/// Windows that may end while one call of the budget is answered, before the caller is told to come back.
const TRIES: u32 = 3;

/// What a caller wants of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitRequest {
    /// For what.
    pub share: Lane,
    /// Operations without which nothing can be done.
    pub least: u32,
    /// Operations that can be done now.
    pub most: u32,
    /// Operations that are expected within the window, these among them.
    pub ahead: u32,
}

impl PermitRequest {
    /// One operation.
    pub fn one(share: Lane) -> Self {
        Self { share, least: 1, most: 1, ahead: 1 }
    }
}

/// One process's view of the budget; clones share it.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    ledger: Ledger,
    percent: u32,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The limit as last read or told, and the end of the window in which that was.
    limit: Option<(i64, LimitItem)>,
    /// End of the window last taken from, and its counter as last seen.
    seen: Option<(i64, u32)>,
    /// Whether an answer showed that `X-RateLimit-Remaining` leaves out the request that it answers.
    leaves_out_own: bool,
    /// Answers that said 429, and how much of our quota the fullest window had spent, in percent.
    told: (u64, u64),
    /// What is paid for and not used, of pages, submissions and looks.
    prepaid: [Prepaid; 3],
    /// Until then a 429 said to wait.
    spent_until_ms: i64,
}

/// Operations that are paid for, and the window that they are of.
#[derive(Clone, Copy, Debug, Default)]
struct Prepaid {
    end_ms: i64,
    left: u32,
}

impl Known {
    fn prepaid(&mut self, share: Lane) -> &mut Prepaid {
        match share {
            Lane::Page => &mut self.prepaid[0],
            Lane::Submit { .. } => &mut self.prepaid[1],
            Lane::Check => &mut self.prepaid[2],
        }
    }

    /// What the prepaid permits hold of a window.
    fn unused(&self, end_ms: i64) -> u32 {
        self.prepaid.iter().filter(|prepaid| prepaid.end_ms == end_ms).map(|prepaid| prepaid.left).sum()
    }

    /// What a header says that a window's counter must be at least, where that is news.
    ///
    /// `X-RateLimit-Remaining` tells how much Intercom has counted: all of ours that it has seen, and what other programs
    /// spent. It has not seen what is paid for and not used yet, nor, in the recorded form, the request itself. Requests of
    /// this process that are under way are taken as seen: so a program that is not there is never inferred, and one that is
    /// shows with the next answer. What other processes of ours took since is no news, and is told apart by the ledger.
    fn news(&mut self, rate: Rate, operations: u32, end_ms: i64) -> Option<u32> {
        self.leaves_out_own |= rate.used() == 0;
        let own = if self.leaves_out_own { operations } else { 0 };
        let counted = rate.used().saturating_add(own).saturating_add(self.unused(end_ms));
        let seen = self.seen.filter(|(of, _)| *of == end_ms).map_or(0, |(_, spent)| spent);
        (counted > seen.saturating_add(slack(rate.limit))).then_some(counted)
    }
}

/// Operations by which a header may be ahead of what this process knows before the ledger is asked: a fiftieth of the
/// limit, so that a window costs 50 reads at most, and one for a request of which it is not known whether it is counted.
fn slack(limit: u32) -> u32 {
    limit / 50 + 1
}

impl RateLimiter {
    /// A rate limiter of which `percent` of Intercom's limit may be used.
    pub fn new(ledger: Ledger, percent: u32) -> Self {
        Self { ledger, percent, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The quota in force.
    pub async fn quota(&self, clock: Clock) -> Result<Quota, LedgerError> {
        let item = self.limit(clock).await?;
        Ok(item.quota(self.percent, clock.now_ms()))
    }

    /// What all functions know of the limit; read again in each window.
    async fn limit(&self, clock: Clock) -> Result<LimitItem, LedgerError> {
        let end_ms = window_end_ms(clock.now_ms());
        let known = self.known().limit.filter(|(of, _)| *of == end_ms);
        if let Some((_, item)) = known {
            return Ok(item);
        }
        let item = self.ledger.limit().await?;
        self.known().limit = Some((end_ms, item));
        Ok(item)
    }

    /// For the invocation's metrics: answers that said 429 since this was last asked, and how much of our quota (in percent)
    /// the fullest window that we took from had spent. Lambda gives a process one invocation at a time.
    pub fn told(&self) -> (u64, u64) {
        std::mem::take(&mut self.known().told)
    }

    /// Takes between `least` and `most` operations, or says when to ask again. What was granted of a window that ended
    /// while `DynamoDB` answered is no use in the next, and is asked for again.
    pub async fn take(&self, ask: PermitRequest, clock: Clock) -> Result<Permit, LedgerError> {
        for _ in 0..TRIES {
            // A window's first moments are waited out: all that waited for it come at once.
            let lead_ms = lead_ms(clock.now_ms());
            if lead_ms > 0 {
                tokio::time::sleep(Duration::from_millis(lead_ms.unsigned_abs())).await;
            }
            let now_ms = clock.now_ms();
            let spent_until_ms = self.known().spent_until_ms;
            if now_ms < spent_until_ms {
                return Ok(Permit::Wait(spent_until_ms));
            }
            let end_ms = window_end_ms(now_ms);
            let edge = at_edge(now_ms);
            if !edge && let Some(operations) = self.paid(ask, end_ms) {
                return Ok(Permit::Granted { operations, spent: 0 });
            }
            let item = self.limit(clock).await?;
            if now_ms < item.closed_until_ms {
                return Ok(Permit::Wait(item.closed_until_ms));
            }
            let quota = item.quota(self.percent, now_ms);
            let most = if edge { ask.most } else { ask.most.max(ask.ahead) };
            let grant = self.ledger.take(quota, ask.share, ask.least, most, now_ms).await?;
            let Permit::Granted { operations, spent } = grant else { return Ok(grant) };
            // At the edge the next window is charged, too. If the edge of the last window that is charged began while
            // DynamoDB answered, the window behind it must be charged.
            let charged_to_ms = if edge { end_ms + WINDOW_MS } else { end_ms };
            if clock.now_ms() < charged_to_ms - EDGE_MS {
                return Ok(self.keep(ask, end_ms, (operations, spent), quota));
            }
        }
        Ok(Permit::Wait(window_end_ms(clock.now_ms())))
    }

    /// Keeps what was granted beyond what was asked for now.
    fn keep(&self, ask: PermitRequest, end_ms: i64, (operations, spent): (u32, u32), quota: Quota) -> Permit {
        let mut known = self.known();
        known.seen = Some((end_ms, spent));
        known.told.1 = known.told.1.max(u64::from(spent) * 100 / u64::from(quota.cap()));
        let rest = operations.saturating_sub(ask.most);
        let prepaid = known.prepaid(ask.share);
        let left = if prepaid.end_ms == end_ms { prepaid.left } else { 0 };
        *prepaid = Prepaid { end_ms, left: left + rest };
        Permit::Granted { operations: operations - rest, spent }
    }

    /// What the prepaid permits pays for, if that is enough.
    fn paid(&self, ask: PermitRequest, end_ms: i64) -> Option<u32> {
        let mut known = self.known();
        let prepaid = known.prepaid(ask.share);
        let operations = prepaid.left.min(ask.most);
        if prepaid.end_ms != end_ms || operations < ask.least.max(1) {
            return None;
        }
        prepaid.left -= operations;
        Some(operations)
    }

    /// Learns from the headers of an answer to a request that cost one operation; see [`Self::learn_of`].
    pub async fn learn(&self, rate: Option<Rate>, clock: Clock) {
        self.learn_of(rate, 1, clock).await;
    }

    /// Learns from the headers of an answer to a request that cost so many operations: the limit, and that other programs
    /// spend of the window too. A header may only lower what a window has left. A ledger that cannot be written is a
    /// warning: the page or the job's id that came with the headers must not be lost for it.
    pub async fn learn_of(&self, rate: Option<Rate>, operations: u32, clock: Clock) {
        let Some(rate) = rate else { return };
        if let Err(error) = self.tell(rate, operations, clock).await {
            tracing::warn!(%error, "the ledger was not told what an answer's headers say of the rate limit");
        }
    }

    async fn tell(&self, rate: Rate, operations: u32, clock: Clock) -> Result<(), LedgerError> {
        let now_ms = clock.now_ms();
        if rate.limit != self.quota(clock).await?.limit {
            self.ledger.told_limit(rate.limit).await?;
            let end_ms = window_end_ms(now_ms);
            let mut known = self.known();
            let item = known.limit.map_or_else(LimitItem::default, |(_, item)| item);
            known.limit = Some((end_ms, LimitItem { limit: rate.limit, ..item }));
        }
        let end_ms = rate.window_end_s().saturating_mul(1000);
        // A window that is over has nothing left to lower; one that is further away shows that the clocks disagree.
        if end_ms <= now_ms || end_ms > window_end_ms(now_ms) + WINDOW_MS {
            return Ok(());
        }
        let Some(counted) = self.known().news(rate, operations, end_ms) else { return Ok(()) };
        let spent = self.ledger.counted(end_ms, counted).await?;
        self.known().seen = Some((end_ms, spent));
        Ok(())
    }

    /// After a 429: closes the budget until the wait is over. Returns when to go on, in Unix milliseconds; this process
    /// keeps to that even where the ledger cannot be written.
    pub async fn limited(&self, wait_s: Option<u64>, clock: Clock) -> i64 {
        let now_ms = clock.now_ms();
        let rest_ms = wait_s.and_then(|s| i64::try_from(s).ok()).map_or(WINDOW_MS, |s| s.saturating_mul(1000));
        let go_on_ms = window_end_ms(now_ms).max(now_ms.saturating_add(rest_ms.clamp(1, LIMITED_MAX_MS)));
        {
            let mut known = self.known();
            known.prepaid = [Prepaid::default(); 3];
            known.told.0 += 1;
            known.spent_until_ms = go_on_ms;
        }
        if let Err(error) = self.ledger.close_until(now_ms, go_on_ms).await {
            tracing::warn!(%error, "the ledger was not told of a 429: other functions may meet it too");
        }
        go_on_ms
    }

    /// Keeps so many operations of each window for polls of jobs, for this window and the next two.
    pub async fn expect_polls(&self, polls: u32, clock: Clock) -> Result<(), LedgerError> {
        let now_ms = clock.now_ms();
        let item = self.limit(clock).await?;
        let end_ms = window_end_ms(now_ms);
        let kept = item.polls_until_ms > end_ms && item.polls >= polls;
        if kept || polls <= item.quota(self.percent, i64::MAX).polls_kept() {
            return Ok(());
        }
        let polls_until_ms = end_ms + 2 * WINDOW_MS;
        self.ledger.expect_polls(polls, polls_until_ms).await?;
        self.known().limit = Some((end_ms, LimitItem { polls, polls_until_ms, ..item }));
        Ok(())
    }
}
