//! Permits: from the prepaid ones of this process, or from the window's counter in the ledger.
//!
//! A process acquires permits for several requests at once if it expects them within the window,
//! and keeps the rest until the window ends. Most requests then cost no write. Unused permits
//! expire with their window: this may waste budget but never exceeds it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::deadline::Deadline;
use super::known::{Known, Usage};
use super::pace::RunPace;
use super::quota::{Lane, Quota};
use super::window::{EDGE_MS, WINDOW_MS, at_edge, lead_ms, window_end_ms};
use crate::domain::api::BulkCharge;
use crate::domain::clock::Clock;
use crate::ledger::{Ledger, LedgerError, LimitItem, Take, Taken};

/// Windows that may end during one call of the ledger before the caller must retry.
const TRIES: u32 = 3;

/// A request for permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermitRequest {
    /// The kind of request.
    pub lane: Lane,
    /// The fewest useful permits.
    pub least: u32,
    /// The most permits that can be used now.
    pub most: u32,
    /// Permits that are expected to be used within the window, including `most`.
    pub ahead: u32,
    /// The cost of a request: one operation for each permit, or one operation.
    pub charge: BulkCharge,
}

impl PermitRequest {
    /// Requests exactly this many permits.
    pub fn exactly(lane: Lane, permits: u32) -> Self {
        Self { lane, least: permits, most: permits, ahead: permits, charge: BulkCharge::Item }
    }

    /// Requests one permit.
    pub fn one(lane: Lane) -> Self {
        Self::exactly(lane, 1)
    }

    /// Returns the request in operations.
    fn in_operations(self) -> Self {
        match self.charge {
            BulkCharge::Item => self,
            BulkCharge::Request => Self { least: 1, most: 1, ahead: self.ahead.div_ceil(self.most.max(1)), ..self },
        }
    }

    /// Returns the permits for so many operations.
    fn permits(self, operations: u32) -> u32 {
        match self.charge {
            BulkCharge::Item => operations,
            BulkCharge::Request => self.most,
        }
    }

    /// Returns the operations that so many granted permits cost.
    pub(super) fn operations(self, permits: u32) -> u32 {
        match self.charge {
            BulkCharge::Item => permits,
            BulkCharge::Request => permits.min(1),
        }
    }
}

/// The limiter's answer to a request for permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// The caller may perform operations.
    Granted {
        /// The number of operations.
        permits: u32,
        /// The end of the last window that is charged for them, in Unix milliseconds. A request that
        /// begins in the edge of that window may be counted in the next one.
        end_ms: i64,
    },
    /// Fewer permits are left than requested; retry at this time (Unix milliseconds).
    Wait(i64),
}

/// One process's access to the shared budget. Clones share it.
#[derive(Clone, Debug)]
pub struct RateLimiter {
    pub(super) ledger: Ledger,
    percent: u32,
    known: Arc<Mutex<Known>>,
}

impl RateLimiter {
    /// Creates a limiter that uses at most `percent` of Intercom's limit.
    pub fn new(ledger: Ledger, percent: u32) -> Self {
        Self { ledger, percent, known: Arc::default() }
    }

    pub(super) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acquires permits. Waits for a window that has them, as long as the deadline allows.
    /// [`Permit::Wait`] means that this would take too long, or that the caller must stop.
    pub async fn acquire(&self, request: PermitRequest, deadline: &Deadline) -> Result<Permit, LedgerError> {
        self.acquire_at(None, request, deadline).await
    }

    /// Acquires permits like [`Self::acquire`], at a run's pace if it has one.
    pub(super) async fn acquire_at(
        &self,
        pace: Option<&RunPace>,
        request: PermitRequest,
        deadline: &Deadline,
    ) -> Result<Permit, LedgerError> {
        loop {
            if deadline.is_over() {
                return Ok(Permit::Wait(deadline.clock.now_ms()));
            }
            let tried = match pace {
                Some(pace) => self.try_acquire_paced(pace, request, deadline.clock).await?,
                None => self.try_acquire(request, deadline.clock).await?,
            };
            let until_ms = match tried {
                Permit::Wait(until_ms) => until_ms,
                granted @ Permit::Granted { .. } => return Ok(granted),
            };
            let now_ms = deadline.clock.now_ms();
            let wait_ms = (until_ms - now_ms).max(1);
            if now_ms + wait_ms > deadline.until_ms {
                return Ok(Permit::Wait(until_ms));
            }
            deadline.rest(wait_ms).await;
        }
    }

    /// Acquires permits without waiting for another window. Permits of a window that ended during
    /// the ledger's answer are useless in the next one; the limiter tries again.
    pub async fn try_acquire(&self, asked: PermitRequest, clock: Clock) -> Result<Permit, LedgerError> {
        let request = asked.in_operations();
        for _ in 0..TRIES {
            // Wait out a window's first moments: all waiting processes start then.
            let lead_ms = lead_ms(clock.now_ms());
            if lead_ms > 0 {
                tokio::time::sleep(Duration::from_millis(lead_ms.unsigned_abs())).await;
            }
            let now_ms = clock.now_ms();
            let (end_ms, edge) = (window_end_ms(now_ms), at_edge(now_ms));
            {
                let mut known = self.known();
                known.clock = Some(clock);
                if now_ms < known.closed_until_ms {
                    return Ok(Permit::Wait(known.closed_until_ms));
                }
                if !edge && let Some(permits) = known.use_prepaid(request, end_ms) {
                    return Ok(Permit::Granted { permits: asked.permits(permits), end_ms });
                }
            }
            let item = self.limit(clock).await?;
            if now_ms < item.closed_until_ms {
                return Ok(Permit::Wait(item.closed_until_ms));
            }
            let quota = Quota::of(&item, self.percent, now_ms);
            let taken = match self.charge(quota, request, now_ms).await? {
                Ok(taken) => taken,
                Err(until_ms) => return Ok(Permit::Wait(until_ms)),
            };
            // At the edge the next window is charged, too. If the edge of the last charged window
            // began during the ledger's answer, the window after it would have to be charged.
            let charged_to_ms = if edge { end_ms + WINDOW_MS } else { end_ms };
            if clock.now_ms() < charged_to_ms - EDGE_MS {
                let permits = asked.permits(self.keep(request, end_ms, taken, quota));
                return Ok(Permit::Granted { permits, end_ms: charged_to_ms });
            }
        }
        Ok(Permit::Wait(window_end_ms(clock.now_ms())))
    }

    /// Charges the window of this moment, or returns when to retry.
    async fn charge(
        &self,
        quota: Quota,
        request: PermitRequest,
        now_ms: i64,
    ) -> Result<Result<Taken, i64>, LedgerError> {
        let PermitRequest { lane, least, most, ahead, charge: _ } = request;
        let (reach, end_ms, edge) = (quota.reach(lane), window_end_ms(now_ms), at_edge(now_ms));
        let next_ms = end_ms + WINDOW_MS;
        let least = least.min(reach).max(1);
        let reach_of = |end_ms| reach.saturating_sub(self.known().unstored(end_ms));
        if reach_of(end_ms) < least {
            return Ok(Err(end_ms));
        }
        if edge {
            // At the edge a request may be counted in the next window. Charge a single one to both
            // windows; more must wait.
            if most > 1 {
                return Ok(Err(end_ms));
            }
            let one = Take { least: 1, most: 1 };
            let Some(taken) = self.ledger.take(next_ms, one, || reach_of(next_ms)).await? else {
                return Ok(Err(next_ms));
            };
            self.known().took(next_ms, taken.operations);
        }
        let most = if edge { most } else { most.max(ahead) };
        let take = Take { least, most: most.max(least) };
        let taken = self.ledger.take(end_ms, take, || reach_of(end_ms)).await?;
        Ok(taken.ok_or(end_ms))
    }

    /// Grants what was requested, and keeps the rest as prepaid permits.
    fn keep(&self, request: PermitRequest, end_ms: i64, taken: Taken, quota: Quota) -> u32 {
        let Taken { operations, spent } = taken;
        let rest = operations.saturating_sub(request.most);
        let used_percent = u64::from(spent) * 100 / u64::from(quota.cap());
        let mut known = self.known();
        known.sees(end_ms, spent);
        known.took(end_ms, operations);
        known.usage.quota_used_percent = known.usage.quota_used_percent.max(used_percent);
        known.keep(request.lane, end_ms, rest);
        operations - rest
    }

    /// Keeps permits of the window that ends at `end_ms` for later requests of this process.
    pub fn give_back(&self, lane: Lane, end_ms: i64, permits: u32) {
        self.known().keep(lane, end_ms, permits);
    }

    /// Returns the quota in force.
    pub async fn quota(&self, clock: Clock) -> Result<Quota, LedgerError> {
        let item = self.limit(clock).await?;
        Ok(Quota::of(&item, self.percent, clock.now_ms()))
    }

    /// Returns the shared knowledge about the limit. It is read once per window.
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

    /// Reserves operations for this many polls of jobs in this window and the next two.
    pub async fn expect_polls(&self, polls: u32, clock: Clock) -> Result<(), LedgerError> {
        let now_ms = clock.now_ms();
        let item = self.limit(clock).await?;
        let end_ms = window_end_ms(now_ms);
        let kept = item.polls_until_ms > end_ms && item.polls >= polls;
        if kept || polls <= Quota::of(&item, self.percent, i64::MAX).polls_kept() {
            return Ok(());
        }
        let polls_until_ms = end_ms + 2 * WINDOW_MS;
        self.ledger.expect_polls(polls, polls_until_ms).await?;
        self.known().limit = Some((end_ms, LimitItem { polls, polls_until_ms, ..item }));
        Ok(())
    }

    /// Returns the time until which a 429 closed the budget for this process, in Unix milliseconds;
    /// in the past or 0 if none did.
    pub fn closed_until_ms(&self) -> i64 {
        self.known().closed_until_ms
    }

    /// Returns and resets the counts for the invocation's metrics. Lambda gives a process one
    /// invocation at a time.
    pub fn take_usage(&self) -> Usage {
        std::mem::take(&mut self.known().usage)
    }
}
