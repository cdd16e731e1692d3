//! The budget: operations that the rate limit leaves in the current 10-second window. All functions
//! share one conditional counter per window.

use super::error::conditional;
use super::items::{key, n};
use super::{Ledger, LedgerError};
use serde::{Deserialize, Serialize};

/// Length of Intercom's rate windows, aligned to Unix time (documentation of the rate headers).
pub const WINDOW_MS: i64 = 10_000;
/// Windows that are marked as spent after a 429, with one write each. A longer wait is stored in
/// the limit's item, which each process reads once per window.
const MARKED_MAX: i64 = 6;
/// Polls of jobs get at most a quarter of a window, so that submissions continue.
const POLLS_MAX_OF: u32 = 4;
/// Time to live of a window's counter, in seconds after the window's end.
const KEPT_S: i64 = 3600;
/// A request that starts this long before a window's end may be counted in either window.
pub const EDGE_MS: i64 = 250;
/// A request that starts this long after a window's start may be counted in the window before, if
/// our clock runs ahead of Intercom's. Amazon Time Sync keeps functions' clocks within 1 ms, NTP a
/// laptop's within tens of ms.
const LEAD_MS: i64 = 50;
/// Counter of a spent window: more than any limit.
const SPENT: u32 = 1_000_000_000;

/// The kind of request. Each window reserves operations for the other lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// A page, which must be requested before the scroll expires.
    Page,
    /// Bulk items. `scroll_open` reserves operations for pages.
    Submit {
        /// True while a scroll is open.
        scroll_open: bool,
    },
    /// A poll of a job.
    Check,
}

/// The part of Intercom's limit that we may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Operations per window that Intercom last reported.
    pub limit: u32,
    /// `INTERCOM_QUOTA_PERCENT`.
    pub percent: u32,
    /// Due polls of jobs, as check last counted them.
    pub polls: u32,
}

impl Quota {
    /// Returns the operations per window that we may use.
    pub fn cap(self) -> u32 {
        (u64::from(self.limit) * u64::from(self.percent.min(100)) / 100).max(1) as u32
    }

    /// Returns the operations per window that are reserved for polls of jobs: the due polls, at
    /// least the number of jobs that a window can create, at most a quarter of the window.
    pub fn polls_kept(self) -> u32 {
        let cap = self.cap();
        self.polls.min(cap / POLLS_MAX_OF).max(cap / 80).max(2)
    }

    /// Returns the operations of a window that this lane may use.
    pub fn reach(self, share: Lane) -> u32 {
        let cap = self.cap();
        // A small window reserves two operations for pages, a large one a share that pages never
        // fill.
        let (pages, polls) = ((cap / 66).max(2), self.polls_kept());
        let kept = match share {
            Lane::Submit { scroll_open: true } => pages + polls,
            Lane::Page | Lane::Submit { scroll_open: false } => polls,
            Lane::Check => 0,
        };
        cap.saturating_sub(kept).max(1)
    }
}

/// The budget's answer to a request for operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// The caller may perform this many operations now.
    Granted {
        /// Number of operations.
        operations: u32,
        /// The window's counter, including these operations.
        spent: u32,
    },
    /// Fewer operations are left than requested; retry at this time (Unix milliseconds).
    Wait(i64),
}

/// The counter of a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Operations spent by us and, as far as headers show, by other programs.
    #[serde(default)]
    pub spent: u32,
    /// Operations of `spent` that other programs used.
    #[serde(default)]
    pub spent_by_others: u32,
}

/// Returns whether a request at this time may be counted in the next window.
pub fn at_edge(now_ms: i64) -> bool {
    window_end_ms(now_ms) - now_ms <= EDGE_MS
}

/// Returns how long a request at this time may still be counted in the window before, in
/// milliseconds.
pub fn lead_ms(now_ms: i64) -> i64 {
    (LEAD_MS - now_ms.rem_euclid(WINDOW_MS)).max(0)
}

/// Returns the end of the window that contains this time.
pub fn window_end_ms(now_ms: i64) -> i64 {
    (now_ms.div_euclid(WINDOW_MS) + 1) * WINDOW_MS
}

fn window_key(end_ms: i64) -> super::Key {
    key("BUDGET", format!("WINDOW#{end_ms}"))
}

impl Ledger {
    /// Takes between `least` and `most` operations of the current window.
    pub async fn take(
        &self,
        quota: Quota,
        share: Lane,
        least: u32,
        most: u32,
        now_ms: i64,
    ) -> Result<Permit, LedgerError> {
        let reach = quota.reach(share);
        let end_ms = window_end_ms(now_ms);
        if at_edge(now_ms) {
            // At the edge a request may be counted in the next window. Charge a single one to both
            // windows; more must wait.
            if most > 1 {
                return Ok(Permit::Wait(end_ms));
            }
            let next = self.take_of(end_ms + WINDOW_MS, reach, 1, 1).await?;
            if next.is_none() {
                return Ok(Permit::Wait(end_ms + WINDOW_MS));
            }
        }
        let least = least.min(reach).max(1);
        let granted = self.take_of(end_ms, reach, least, most.max(least)).await?;
        Ok(granted.map_or(Permit::Wait(end_ms), |(operations, spent)| Permit::Granted { operations, spent }))
    }

    async fn take_of(&self, end_ms: i64, reach: u32, least: u32, most: u32) -> Result<Option<(u32, u32)>, LedgerError> {
        let mut wanted = most.min(reach);
        // Other processes may take permits in between. Each refusal shows the rest, so a few tries
        // are enough.
        for _ in 0..5 {
            if let Some(spent) = self.spend(end_ms, wanted, reach - wanted).await? {
                return Ok(Some((wanted, spent)));
            }
            let left = reach.saturating_sub(self.window(end_ms).await?.spent);
            if left < least {
                return Ok(None);
            }
            wanted = left.min(most);
        }
        Ok(None)
    }

    async fn spend(&self, end_ms: i64, operations: u32, spent_max: u32) -> Result<Option<u32>, LedgerError> {
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(window_key(end_ms).attributes()))
            .update_expression("SET expires_at = :expires ADD spent :operations")
            .condition_expression("attribute_not_exists(spent) OR spent <= :most")
            .expression_attribute_values(":operations", n(operations))
            .expression_attribute_values(":most", n(spent_max))
            .expression_attribute_values(":expires", n(end_ms / 1000 + KEPT_S))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::UpdatedNew)
            .send()
            .await;
        let done = conditional("UpdateItem", sent)?;
        done.map(|done| {
            let counter = done.attributes.and_then(|found| found.get("spent")?.as_n().ok()?.parse().ok());
            counter.ok_or_else(|| LedgerError::Missing { what: "counter", key: format!("window {end_ms}") })
        })
        .transpose()
    }

    /// Returns the counter of the window that ends at `end_ms`.
    pub async fn window(&self, end_ms: i64) -> Result<Budget, LedgerError> {
        Ok(self.get(&window_key(end_ms)).await?.unwrap_or_default())
    }

    /// Closes the budget until `until_ms` after a 429. The window that contains `until_ms` stays
    /// open, unless it is the present one.
    pub async fn close_until(&self, now_ms: i64, until_ms: i64) -> Result<(), LedgerError> {
        let present_ms = window_end_ms(now_ms);
        if until_ms - now_ms > MARKED_MAX * WINDOW_MS {
            self.store_closed_until(until_ms).await?;
        }
        for window in 0..MARKED_MAX {
            let end_ms = present_ms + window * WINDOW_MS;
            if window > 0 && end_ms > until_ms {
                break;
            }
            self.mark_spent(end_ms).await?;
        }
        Ok(())
    }

    async fn mark_spent(&self, end_ms: i64) -> Result<(), LedgerError> {
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(window_key(end_ms).attributes()))
            .update_expression("SET spent = :spent, expires_at = :expires")
            .condition_expression("attribute_not_exists(spent) OR spent < :spent")
            .expression_attribute_values(":spent", n(SPENT))
            .expression_attribute_values(":expires", n(end_ms / 1000 + KEPT_S))
            .send()
            .await;
        conditional("UpdateItem", sent).map(|_| ())
    }

    /// Raises a window's counter to what a header shows (`counted`), and returns the counter.
    /// Operations that we did not take were spent by other programs.
    pub async fn counted(&self, end_ms: i64, counted: u32) -> Result<u32, LedgerError> {
        let window = self.window(end_ms).await?;
        let ours = window.spent.saturating_sub(window.spent_by_others);
        let by_others = counted.saturating_sub(ours);
        if by_others <= window.spent_by_others {
            return Ok(window.spent);
        }
        let more = by_others - window.spent_by_others;
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(window_key(end_ms).attributes()))
            .update_expression("SET spent_by_others = :others, expires_at = :expires ADD spent :more")
            // Another process may have added the same in between. The next answer shows the rest.
            .condition_expression("attribute_not_exists(spent_by_others) OR spent_by_others = :before")
            .expression_attribute_values(":others", n(by_others))
            .expression_attribute_values(":more", n(more))
            .expression_attribute_values(":before", n(window.spent_by_others))
            .expression_attribute_values(":expires", n(end_ms / 1000 + KEPT_S))
            .send()
            .await;
        let added = conditional("UpdateItem", sent)?.is_some();
        Ok(if added { window.spent.saturating_add(more) } else { window.spent })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_leave_room_for_each_other() {
        let small = Quota { limit: 83, percent: 100, polls: 0 };
        assert_eq!((small.cap(), small.reach(Lane::Submit { scroll_open: true })), (83, 79));
        let large = Quota { limit: 1667, percent: 100, polls: 0 };
        let used = large.reach(Lane::Submit { scroll_open: true });
        assert!(f64::from(used) >= 0.95 * 1667.0, "{used}");
        let tiny = Quota { limit: 1, percent: 1, polls: 9 };
        assert_eq!(tiny.reach(Lane::Submit { scroll_open: true }), 1, "a tiny limit still lets one through");
    }

    #[test]
    fn reserved_polls_grow_with_due_polls() {
        for (limit, polls, kept) in
            [(1667, 0, 16), (1667, 45, 45), (1667, 900, 333), (83, 1, 2), (83, 9, 9), (83, 60, 16)]
        {
            assert_eq!(Quota { limit, percent: 80, polls }.polls_kept(), kept, "{limit} {polls}");
        }
    }

    #[test]
    fn a_windows_first_moments_may_count_in_the_previous_one() {
        assert_eq!([lead_ms(10_000), lead_ms(10_049), lead_ms(10_050), lead_ms(19_999)], [50, 1, 0, 0]);
    }

    #[test]
    fn windows_are_aligned() {
        assert_eq!((window_end_ms(0), window_end_ms(9_999), window_end_ms(10_000)), (10_000, 10_000, 20_000));
    }
}
