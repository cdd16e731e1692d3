//! The rate limit as all functions know it: one item beside the counters of its windows.

use serde::{Deserialize, Serialize};

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

fn limit_key() -> Key {
    key("BUDGET", "LIMIT")
}

impl Ledger {
    /// Returns the limit's item, or its defaults.
    pub async fn limit(&self) -> Result<LimitItem, LedgerError> {
        Ok(self.get(&limit_key()).await?.unwrap_or_default())
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
    pub async fn store_closed_until(&self, until_ms: i64) -> Result<(), LedgerError> {
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
