//! The newest format that each step reads, as its own function reported it.

use serde::{Deserialize, Serialize};

use super::attributes::key;
use super::{Ledger, LedgerError};

/// The partition of these items.
const PARTITION: &str = "FORMATS";

/// The newest format that a step reads.
#[derive(Serialize, Deserialize)]
struct Reads {
    format: u32,
}

impl Ledger {
    /// Records the newest format that a step reads.
    pub async fn note_format(&self, step: &str, format: u32) -> Result<(), LedgerError> {
        self.put(&key(PARTITION, step), &Reads { format }).await
    }

    /// Returns the newest format that a step reads; 1 if its function reported none.
    pub async fn format_of(&self, step: &str) -> Result<u32, LedgerError> {
        let found: Option<Reads> = self.get(&key(PARTITION, step)).await?;
        Ok(found.map_or(1, |reads| reads.format))
    }
}
