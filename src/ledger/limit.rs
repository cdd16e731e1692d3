//! The rate limit as all functions know it: one item beside the counters of its windows.

use serde::{Deserialize, Serialize};

use super::attributes::{key, n};
use super::{Key, Ledger, LedgerError, Write};

/// Operations per window until a header reports the limit: the limit of 2016 to 2018, 500 a minute.
const DEFAULT_LIMIT: u32 = 83;

/// The shared knowledge about the rate limit. Each process reads it once per window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitItem {
    /// Operations per window that Intercom allows.
    #[serde(default = "default_limit")]
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

fn default_limit() -> u32 {
    DEFAULT_LIMIT
}

impl Default for LimitItem {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, closed_until_ms: 0, polls: 0, polls_until_ms: 0 }
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
    pub async fn store_limit(&self, limit: u32) -> Result<(), LedgerError> {
        self.send(Write::update(&limit_key(), "SET #limit = :limit").with(":limit", n(limit))).await.map(|_| ())
    }

    /// Reserves operations for this many polls of jobs in each window until `until_ms`.
    pub async fn expect_polls(&self, polls: u32, until_ms: i64) -> Result<(), LedgerError> {
        let write = Write::update(&limit_key(), "SET polls = :polls, polls_until_ms = :until")
            .with(":polls", n(polls))
            .with(":until", n(until_ms));
        self.send(write).await.map(|_| ())
    }

    /// Stores the time before which no function may call Intercom.
    pub async fn store_closed_until(&self, until_ms: i64) -> Result<(), LedgerError> {
        let write = Write::update(&limit_key(), "SET closed_until_ms = :until")
            .when("attribute_not_exists(closed_until_ms) OR closed_until_ms < :until")
            .with(":until", n(until_ms));
        self.send(write).await.map(|_| ())
    }
}
