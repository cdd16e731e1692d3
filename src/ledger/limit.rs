//! The rate limit as all functions know it: one item beside the counters of its windows.

use serde::{Deserialize, Serialize};

use super::budget::Quota;
use super::error::conditional;
use super::items::{key, n};
use super::{Key, Ledger, LedgerError};

/// Operations per window until a header reports the limit: the limit of 2016 to 2018, 500 a minute.
const LIMIT_UNTIL_TOLD: u32 = 83;

/// The shared knowledge about the rate limit. Each process reads it once per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitItem {
    /// Operations per window that Intercom allows.
    #[serde(default = "until_told")]
    pub limit: u32,
    /// No request before this time in Unix milliseconds, because of a 429.
    #[serde(default)]
    pub closed_until_ms: i64,
    /// Due polls of jobs.
    #[serde(default)]
    pub polls: u32,
    /// End of the reservation for `polls`, in Unix milliseconds.
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
    /// Returns the quota at `now_ms`; `percent` of the limit is ours.
    pub fn quota(self, percent: u32, now_ms: i64) -> Quota {
        let polls = if now_ms < self.polls_until_ms { self.polls } else { 0 };
        Quota { limit: self.limit.max(1), percent, polls }
    }
}

fn limit_key() -> Key {
    key("BUDGET", "LIMIT")
}

impl Ledger {
    /// Returns the limit's item, or its defaults.
    pub async fn limit(&self) -> Result<LimitItem, LedgerError> {
        Ok(self.get(&limit_key()).await?.unwrap_or_default())
    }

    /// Returns the last reported limit and our share of it.
    pub async fn quota(&self, percent: u32) -> Result<Quota, LedgerError> {
        Ok(self.limit().await?.quota(percent, i64::MAX))
    }

    /// Stores the limit that a header reported.
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

    /// Reserves operations for this many polls of jobs in each window until `until_ms`.
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

    /// Stores the time before which no function may call Intercom.
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
    fn the_reservation_for_polls_expires() {
        let item = LimitItem { polls: 45, polls_until_ms: 20_000, ..LimitItem::default() };
        assert_eq!([19_999, 20_000].map(|now_ms| item.quota(80, now_ms).polls), [45, 0]);
    }
}
