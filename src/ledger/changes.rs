//! The patches of a job of format 1, and the sample of a dry run, each in one compressed item.

use serde::{Deserialize, Serialize};

use super::attributes::{key, run_pk};
use super::{Ledger, LedgerError};
use crate::domain::part::PartId;
use crate::domain::patch::Patch;
use crate::domain::run::RunId;

/// Sort key of the sample of changes that a dry run stores.
pub const SAMPLE: &str = "SAMPLE";

/// The patches of a job, grouped by part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// The parts.
    pub parts: Vec<ChangesOfPart>,
}

/// The patches of one part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangesOfPart {
    /// The part.
    pub part: PartId,
    /// Its patches.
    pub patches: Vec<Patch>,
}

impl Ledger {
    /// Writes the changes of a job of format 1, before the job is created, or of a dry run.
    pub async fn put_changes(&self, run: &RunId, sk: &str, changes: &Changes, now_ms: i64) -> Result<(), LedgerError> {
        self.put_compressed(&key(run_pk(run), sk), changes, now_ms).await
    }

    /// Returns the changes under this sort key.
    pub async fn changes(&self, run: &RunId, sk: &str) -> Result<Changes, LedgerError> {
        self.get_compressed(&key(run_pk(run), sk), "changes").await
    }
}
