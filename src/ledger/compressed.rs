//! Compressed items: one attribute `z` with JSON.

use std::io::{Read, Write as _};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::attributes::{n, readable};
use super::expiry::expires_at_s;
use super::{Key, Ledger, LedgerError, Write};

/// Bound on the uncompressed size, in bytes. A DynamoDB item holds 400 KB; what is written is far
/// below.
const INFLATED_MAX: u64 = 16 << 20;

impl Ledger {
    /// Writes a compressed item, which expires like the items of a run that ends now.
    pub(super) async fn put_compressed(
        &self,
        at: &Key,
        value: &impl Serialize,
        now_ms: i64,
    ) -> Result<(), LedgerError> {
        self.send(Self::compressed_write(at, value, now_ms)?).await.map(|_| ())
    }

    /// Returns the write of a compressed item, which expires like the items of a run that ends now.
    pub(super) fn compressed_write(at: &Key, value: &impl Serialize, now_ms: i64) -> Result<Write, LedgerError> {
        let compressed = |source| LedgerError::Compressed { key: at.sk.clone(), source };
        let json = serde_json::to_vec(value).map_err(|e| compressed(e.into()))?;
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&json).map_err(compressed)?;
        let bytes = encoder.finish().map_err(compressed)?;
        let mut item = at.attributes();
        item.insert("z".to_owned(), AttributeValue::B(Blob::new(bytes)));
        item.insert("expires_at".to_owned(), n(expires_at_s(now_ms)));
        Ok(Write::put(item))
    }

    /// Reads a compressed item.
    pub(super) async fn get_compressed<T: DeserializeOwned>(
        &self,
        at: &Key,
        what: &'static str,
    ) -> Result<T, LedgerError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let sent = request.set_key(Some(at.attributes())).send().await;
        let item = sent.map_err(|e| LedgerError::call("GetItem", e))?.item.unwrap_or_default();
        readable(&item, &at.sk)?;
        let blob = item.get("z").and_then(|value| value.as_b().ok());
        let blob = blob.ok_or_else(|| LedgerError::Missing { what, key: at.sk.clone() })?;
        let mut json = Vec::new();
        let compressed = |source| LedgerError::Compressed { key: at.sk.clone(), source };
        ZlibDecoder::new(blob.as_ref()).take(INFLATED_MAX).read_to_end(&mut json).map_err(compressed)?;
        serde_json::from_slice(&json).map_err(|e| compressed(e.into()))
    }
}
