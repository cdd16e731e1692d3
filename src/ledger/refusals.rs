//! The results of a run's writes that later invocations of submit continue to count. Only an invocation
//! that ends in refused users, or had no other users than those that are gone, reads or writes it.

use serde::{Deserialize, Serialize};

use super::attributes::{self, key, run_pk};
use super::{Key, Ledger, LedgerError};
use crate::domain::run::RunId;

/// Refusals in a row at the end of an invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedInARow {
    /// Intercom's code of each of them.
    #[serde(default)]
    pub code: String,
    /// The field that Intercom names, or else its message.
    #[serde(default, rename = "message")]
    pub about: String,
    /// The number of users.
    #[serde(default)]
    pub users: u64,
    /// The users that Intercom had accepted in the run by then. If it accepts one, the row is over.
    #[serde(default)]
    pub accepted: i64,
    /// The run paused because Intercom had none of its users. It does not pause for that again.
    #[serde(default)]
    pub paused_for_gone: bool,
}

fn refused_key(run: &RunId) -> Key {
    key(run_pk(run), "REFUSED")
}

impl Ledger {
    /// Returns the refusals in a row of a run.
    pub async fn refused_in_a_row(&self, run: &RunId) -> Result<RefusedInARow, LedgerError> {
        Ok(self.get(&refused_key(run)).await?.unwrap_or_default())
    }

    /// Stores the refusals in a row of a run. The last writer wins: concurrent invocations count their
    /// own users alone.
    pub async fn put_refused_in_a_row(&self, run: &RunId, row: &RefusedInARow, now_ms: i64) -> Result<(), LedgerError> {
        self.put_expiring(attributes::item(&refused_key(run), row)?, now_ms).await
    }
}
