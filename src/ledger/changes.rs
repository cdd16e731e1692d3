//! The patches of a job in one compressed item. Check reads it to send refused items again, and an
//! undo can read it.

use std::io::{Read, Write as _};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::{Deserialize, Serialize};

use super::attributes::{key, readable, run_pk};
use super::{Ledger, LedgerError};
use crate::domain::part::PartId;
use crate::domain::patch::Patch;
use crate::domain::run::RunId;

/// Bound on the uncompressed size, in bytes. A DynamoDB item holds 400 KB; what is written is far
/// below.
const INFLATED_MAX: u64 = 16 << 20;

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
    /// Writes a job's changes; called before the job is created.
    pub async fn put_changes(&self, run: &RunId, sk: &str, changes: &Changes, now_ms: i64) -> Result<(), LedgerError> {
        let compressed = |source| LedgerError::Compressed { key: sk.to_owned(), source };
        let json = serde_json::to_vec(changes).map_err(|e| compressed(e.into()))?;
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&json).map_err(compressed)?;
        let bytes = encoder.finish().map_err(compressed)?;
        let mut item = key(run_pk(run), sk).attributes();
        item.insert("z".to_owned(), AttributeValue::B(Blob::new(bytes)));
        self.put_expiring(item, now_ms).await
    }

    /// Returns a job's changes.
    pub async fn changes(&self, run: &RunId, sk: &str) -> Result<Changes, LedgerError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let sent = request.set_key(Some(key(run_pk(run), sk).attributes())).send().await;
        let item = sent.map_err(|e| LedgerError::call("GetItem", e))?.item.unwrap_or_default();
        readable(&item, sk)?;
        let blob = item.get("z").and_then(|value| value.as_b().ok());
        let blob = blob.ok_or_else(|| LedgerError::Missing { what: "changes", key: sk.to_owned() })?;
        let mut json = Vec::new();
        let compressed = |source| LedgerError::Compressed { key: sk.to_owned(), source };
        ZlibDecoder::new(blob.as_ref()).take(INFLATED_MAX).read_to_end(&mut json).map_err(compressed)?;
        serde_json::from_slice(&json).map_err(|e| compressed(e.into()))
    }
}
