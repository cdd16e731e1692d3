//! What all functions know of the rate limit: one item beside the counters of its windows.

use serde::{Deserialize, Serialize};

use super::budget::Quota;
use super::error::conditional;
use super::items::{key, n};
use super::{Key, Ledger, LedgerError};

/// Operations in a window until a header says more: the limit of 2016 to 2018, 500 a minute.
const LIMIT_UNTIL_TOLD: u32 = 83;

/// What all functions know of the limit: one item, which each process reads once per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitItem {
    /// Operations that Intercom allows in a window.
    #[serde(default = "until_told")]
    pub limit: u32,
    /// A 429 asked not to come before this time, in Unix milliseconds.
    #[serde(default)]
    pub closed_until_ms: i64,
    /// Polls of jobs that are due.
    #[serde(default)]
    pub polls: u32,
    /// Until when operations are kept for that many, in Unix milliseconds.
    #[serde(default)]
    pub polls_until_ms: i64,
}

fn until_told() -> u32 {
    LIMIT_UNTIL_TOLD
}

impl Default for LimitItem {
    fn default() -> Self {
        Self { limit: LIMIT_UNTIL_TOLD, closed_until_ms: 0, polls: 0, polls_until_ms: 0 }
    }
}

impl LimitItem {
    /// The quota at a moment, of which `percent` of the limit is ours.
    pub fn quota(self, percent: u32, now_ms: i64) -> Quota {
        let polls = if now_ms < self.polls_until_ms { self.polls } else { 0 };
        Quota { limit: self.limit.max(1), percent, polls }
    }
}

fn limit_key() -> Key {
    key("BUDGET", "LIMIT")
}

impl Ledger {
    /// What is known of the limit.
    pub async fn limit(&self) -> Result<LimitItem, LedgerError> {
        Ok(self.get(&limit_key()).await?.unwrap_or_default())
    }

    /// The limit that Intercom last told, and the share of it that is ours.
    pub async fn quota(&self, percent: u32) -> Result<Quota, LedgerError> {
        Ok(self.limit().await?.quota(percent, i64::MAX))
    }

    /// Stores the limit that a header told.
    pub async fn told_limit(&self, limit: u32) -> Result<(), LedgerError> {
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(limit_key().attributes()))
            .update_expression("SET #limit = :limit")
            .expression_attribute_names("#limit", "limit")
            .expression_attribute_values(":limit", n(limit))
            .send()
            .await;
        sent.map(|_| ()).map_err(|e| LedgerError::call("UpdateItem", e))
    }

    /// Has all functions keep operations for so many polls of jobs in each window until then.
    pub async fn expect_polls(&self, polls: u32, until_ms: i64) -> Result<(), LedgerError> {
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(limit_key().attributes()))
            .update_expression("SET polls = :polls, polls_until_ms = :until")
            .expression_attribute_values(":polls", n(polls))
            .expression_attribute_values(":until", n(until_ms))
            .send()
            .await;
        sent.map(|_| ()).map_err(|e| LedgerError::call("UpdateItem", e))
    }

    /// No function asks Intercom before this time.
    pub(super) async fn store_closed_until(&self, until_ms: i64) -> Result<(), LedgerError> {
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(limit_key().attributes()))
            .update_expression("SET closed_until_ms = :until")
            .condition_expression("attribute_not_exists(closed_until_ms) OR closed_until_ms < :until")
            .expression_attribute_values(":until", n(until_ms))
            .send()
            .await;
        conditional("UpdateItem", sent).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_are_kept_for_a_while() {
        let item = LimitItem { polls: 45, polls_until_ms: 20_000, ..LimitItem::default() };
        assert_eq!([19_999, 20_000].map(|now_ms| item.quota(80, now_ms).polls), [45, 0]);
    }
}
