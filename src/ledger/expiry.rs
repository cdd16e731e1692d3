//! Time to live: set on a run's items when it has ended, never before, some at a time by check's ticks.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::active::built;
use super::error::conditional;
use super::items::{self, key, n, run_pk, s};
use super::{Key, Ledger, LedgerError};
use crate::bucket::Bucket;
use crate::run::RunId;

/// How long a run is told of after its end.
const KEPT_S: i64 = 90 * 24 * 3600;
const PARTITION: &str = "EXPIRY";

/// A run that has ended and whose items do not all expire yet.
#[derive(Serialize, Deserialize)]
struct Expiring {
    run: RunId,
    expires_s: i64,
    /// The sort key up to which the run's items are done.
    after: String,
}

impl Ledger {
    /// The write that queues a run for expiry, for the transaction that ends it.
    pub(super) fn queue_expiry(&self, run: &RunId, ended_ms: i64) -> Result<TransactWriteItem, LedgerError> {
        let expiring = Expiring { run: run.clone(), expires_s: ended_ms / 1000 + KEPT_S, after: " ".to_owned() };
        let item = items::write(&key(PARTITION, run.as_str()), &expiring)?;
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        Ok(TransactWriteItem::builder().put(built(put.build())?).build())
    }

    /// Sets the time to live on up to `most` items of a run that has ended. Returns how many it set.
    pub async fn expire(&self, most: i32) -> Result<u64, LedgerError> {
        let Some(first) = self.query(PARTITION, "", 1).await?.pop() else { return Ok(0) };
        let mut expiring: Expiring = items::read(first, PARTITION)?;
        let request = self.client.query().table_name(&self.table).consistent_read(true).limit(most);
        let found = request
            .key_condition_expression("pk = :pk AND sk > :after")
            .expression_attribute_values(":pk", s(run_pk(&expiring.run)))
            .expression_attribute_values(":after", s(&expiring.after))
            .projection_expression("pk, sk")
            .send()
            .await
            .map_err(|e| LedgerError::call("Query", e))?;
        let mut set = 0;
        for item in found.items.unwrap_or_default() {
            let sk = item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
            if let Some(bucket) = sk.strip_prefix("BUCKETS#").and_then(Bucket::parse) {
                set += self.expire_jobs(&expiring, &bucket).await?;
            }
            self.expire_item(&key(run_pk(&expiring.run), &sk), expiring.expires_s).await?;
            expiring.after = sk;
            set += 1;
        }
        let at = key(PARTITION, expiring.run.as_str());
        if found.last_evaluated_key.is_some() {
            self.put(&at, &expiring).await?;
        } else {
            let request = self.client.delete_item().table_name(&self.table).set_key(Some(at.attributes()));
            request.send().await.map_err(|e| LedgerError::call("DeleteItem", e))?;
        }
        Ok(set)
    }

    async fn expire_jobs(&self, expiring: &Expiring, bucket: &Bucket) -> Result<u64, LedgerError> {
        let mut set = 0;
        // A job that is still open is looked at for hours after a run that failed: it is kept as long as the others.
        for job in self.jobs(bucket).await?.into_iter().filter(|job| job.run == expiring.run) {
            self.expire_item(&key(format!("BUCKET#{bucket}"), format!("JOB#{}", job.job)), expiring.expires_s).await?;
            set += 1;
        }
        Ok(set)
    }

    async fn expire_item(&self, at: &Key, expires_s: i64) -> Result<(), LedgerError> {
        let request = self.client.update_item().table_name(&self.table).set_key(Some(at.attributes()));
        let sent = request
            .update_expression("SET expires_at = :at")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":at", n(expires_s))
            .send()
            .await;
        conditional("UpdateItem", sent).map(|_| ())
    }
}
