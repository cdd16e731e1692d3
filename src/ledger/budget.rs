//! The budget: one conditional counter per 10-second window of the rate limit, shared by all
//! functions, and one per minute of a run with a pace.

use aws_sdk_dynamodb::types::ReturnValue;
use serde::{Deserialize, Serialize};

use super::attributes::{key, n, number};
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::run::RunId;

/// Time to live of a counter, in seconds after the end of its window or minute.
const KEPT_S: i64 = 3600;
/// Counter of a spent window: more than any limit.
const SPENT: u32 = 1_000_000_000;

/// Permits taken of a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Number of operations, or of users.
    pub operations: u32,
    /// The counter, including these.
    pub spent: u32,
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

fn window_key(end_ms: i64) -> Key {
    key("BUDGET", format!("WINDOW#{end_ms}"))
}

fn minute_key(run: &RunId, end_ms: i64) -> Key {
    key("BUDGET", format!("MINUTE#{end_ms}#{run}"))
}

/// A counter, and the end of its window or minute in Unix milliseconds.
struct Counter {
    at: Key,
    end_ms: i64,
}

/// An amount to take of a counter.
#[derive(Clone, Copy, Debug)]
pub struct Take {
    /// The fewest useful permits.
    pub least: u32,
    /// The most useful permits.
    pub most: u32,
}

impl Ledger {
    /// Takes operations of the window that ends at `end_ms`, unless its counter would exceed `reach`. `None` if
    /// fewer than the least are left. Each try asks for `reach`: an answer's headers may lower it meanwhile.
    pub async fn take(&self, end_ms: i64, take: Take, reach: impl Fn() -> u32) -> Result<Option<Taken>, LedgerError> {
        self.take_of(&Counter { at: window_key(end_ms), end_ms }, take, reach).await
    }

    /// Takes users of the minute of a run that ends at `end_ms`, in the same way.
    pub async fn take_of_minute(
        &self,
        run: &RunId,
        end_ms: i64,
        take: Take,
        reach: u32,
    ) -> Result<Option<Taken>, LedgerError> {
        self.take_of(&Counter { at: minute_key(run, end_ms), end_ms }, take, || reach).await
    }

    async fn take_of(
        &self,
        counter: &Counter,
        Take { least, most }: Take,
        reach: impl Fn() -> u32,
    ) -> Result<Option<Taken>, LedgerError> {
        let mut spent = 0;
        // Other processes may take permits in between. Each refusal shows the rest, so a few tries
        // are enough.
        for _ in 0..5 {
            let reach = reach();
            let wanted = reach.saturating_sub(spent).min(most);
            if wanted < least {
                return Ok(None);
            }
            if let Some(spent) = self.spend(counter, wanted, reach - wanted).await? {
                return Ok(Some(Taken { operations: wanted, spent }));
            }
            let now: Budget = self.get(&counter.at).await?.unwrap_or_default();
            spent = now.spent;
        }
        Ok(None)
    }

    async fn spend(&self, counter: &Counter, operations: u32, spent_max: u32) -> Result<Option<u32>, LedgerError> {
        let Counter { at, end_ms } = counter;
        let write = Write::update(at, "SET expires_at = :expires ADD spent :operations")
            .when("attribute_not_exists(spent) OR spent <= :most")
            .with(":operations", n(operations))
            .with(":most", n(spent_max))
            .with(":expires", n(end_ms / 1000 + KEPT_S));
        let Some(now) = self.send_for(write, Some(ReturnValue::UpdatedNew)).await? else { return Ok(None) };
        let missing = || LedgerError::Missing { what: "counter", key: at.sk.clone() };
        number(&now, "spent").ok_or_else(missing).map(Some)
    }

    /// Returns the counter of the window that ends at `end_ms`.
    pub async fn window(&self, end_ms: i64) -> Result<Budget, LedgerError> {
        Ok(self.get(&window_key(end_ms)).await?.unwrap_or_default())
    }

    /// Marks the window that ends at `end_ms` as spent.
    pub async fn mark_spent(&self, end_ms: i64) -> Result<(), LedgerError> {
        let write = Write::update(&window_key(end_ms), "SET spent = :spent, expires_at = :expires")
            .when("attribute_not_exists(spent) OR spent < :spent")
            .with(":spent", n(SPENT))
            .with(":expires", n(end_ms / 1000 + KEPT_S));
        self.send(write).await.map(|_| ())
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
        let update = "SET spent_by_others = :others, expires_at = :expires ADD spent :more";
        let write = Write::update(&window_key(end_ms), update)
            // Another process may have added the same in between. The next answer shows the rest.
            .when("attribute_not_exists(spent_by_others) OR spent_by_others = :before")
            .with(":others", n(by_others))
            .with(":more", n(more))
            .with(":before", n(window.spent_by_others))
            .with(":expires", n(end_ms / 1000 + KEPT_S));
        if self.send(write).await? {
            return Ok(window.spent.saturating_add(more));
        }
        Ok(self.window(end_ms).await?.spent)
    }
}
