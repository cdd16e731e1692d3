//! The budget: one conditional counter per 10-second window of the rate limit, shared by all
//! functions.

use super::error::conditional;
use super::items::{key, n};
use super::{Ledger, LedgerError};
use serde::{Deserialize, Serialize};

/// Time to live of a window's counter, in seconds after the window's end.
const KEPT_S: i64 = 3600;
/// Counter of a spent window: more than any limit.
const SPENT: u32 = 1_000_000_000;

/// Operations taken of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Number of operations.
    pub operations: u32,
    /// The window's counter, including these operations.
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

fn window_key(end_ms: i64) -> super::Key {
    key("BUDGET", format!("WINDOW#{end_ms}"))
}

impl Ledger {
    /// Takes between `least` and `most` operations of the window that ends at `end_ms`, unless its
    /// counter would exceed `reach`. `None` if fewer than `least` are left.
    pub async fn take(&self, end_ms: i64, reach: u32, least: u32, most: u32) -> Result<Option<Taken>, LedgerError> {
        let mut wanted = most.min(reach);
        // Other processes may take permits in between. Each refusal shows the rest, so a few tries
        // are enough.
        for _ in 0..5 {
            if let Some(spent) = self.spend(end_ms, wanted, reach - wanted).await? {
                return Ok(Some(Taken { operations: wanted, spent }));
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

    /// Marks the window that ends at `end_ms` as spent.
    pub async fn mark_spent(&self, end_ms: i64) -> Result<(), LedgerError> {
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
