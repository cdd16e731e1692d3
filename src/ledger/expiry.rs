//! Time to live. Frequent rows (jobs, done parts, changes) get it when they are written, because a
//! second write would add a sixth to a run's cost. It is far behind the longest deadline of a run.
//! The other rows get it after the run's end, a batch per tick of check.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};

use super::active::built;
use super::error::conditional;
use super::items::{self, key, n, run_pk, s};
use super::runs::place_among_the_runs;
use super::{Key, Ledger, LedgerError};
use crate::domain::run::{Run, RunId};

/// Time to live of a run's items, in seconds. It exceeds the longest deadline by far.
const KEPT_S: i64 = 90 * 24 * 3600;
const _: () = assert!(KEPT_S * 1000 > 2 * crate::domain::run::DEADLINE_MOST_MS);

/// Returns the expiry of an item that is written now, in Unix seconds.
pub(super) fn expires_at_s(now_ms: i64) -> i64 {
    now_ms / 1000 + KEPT_S
}

const PARTITION: &str = "EXPIRY";
/// Ended runs that are searched for the first one that this version can read.
const FIRST_OF: usize = 100;

/// An ended run with items that do not expire yet.
#[derive(Serialize, Deserialize)]
struct Expiring {
    run: RunId,
    expires_s: i64,
    /// The items up to this sort key are done.
    after: String,
}

impl Ledger {
    /// Returns the writes that queue a run for expiry and expire its entry in the list of runs.
    /// They belong to the transaction that ends the run.
    pub(super) fn queue_expiry(&self, run: &Run, ended_ms: i64) -> Result<[TransactWriteItem; 2], LedgerError> {
        let expires_s = expires_at_s(ended_ms);
        let expiring = Expiring { run: run.id.clone(), expires_s, after: " ".to_owned() };
        let item = items::write(&key(PARTITION, run.id.as_str()), &expiring)?;
        let put = Put::builder().table_name(&self.table).set_item(Some(item));
        let place = Update::builder()
            .table_name(&self.table)
            .set_key(Some(place_among_the_runs(run).attributes()))
            .update_expression("SET expires_at = :at")
            .expression_attribute_values(":at", n(expires_s));
        Ok([
            TransactWriteItem::builder().put(built(put.build())?).build(),
            TransactWriteItem::builder().update(built(place.build())?).build(),
        ])
    }

    /// Sets the time to live on up to `most` items of an ended run. Returns whether more may be
    /// left.
    pub async fn expire(&self, most: i32) -> Result<bool, LedgerError> {
        let first = self.query(PARTITION, "", FIRST_OF).await?;
        let first = first.into_iter().find(|item| items::readable(item, PARTITION).is_ok());
        let Some(first) = first else { return Ok(false) };
        let mut expiring: Expiring = items::read(first, PARTITION)?;
        let request = self.client.query().table_name(&self.table).consistent_read(true).limit(most);
        let found = request
            .key_condition_expression("pk = :pk AND sk > :after")
            .expression_attribute_values(":pk", s(run_pk(&expiring.run)))
            .expression_attribute_values(":after", s(&expiring.after))
            .filter_expression("attribute_not_exists(expires_at)")
            .projection_expression("pk, sk")
            .send()
            .await
            .map_err(|e| LedgerError::call("Query", e))?;
        for item in found.items.unwrap_or_default() {
            let sk = item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
            self.expire_item(&key(run_pk(&expiring.run), sk), expiring.expires_s).await?;
        }
        let at = key(PARTITION, expiring.run.as_str());
        if let Some(last) = found.last_evaluated_key {
            expiring.after = last.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
            self.put(&at, &expiring).await?;
        } else {
            let request = self.client.delete_item().table_name(&self.table).set_key(Some(at.attributes()));
            request.send().await.map_err(|e| LedgerError::call("DeleteItem", e))?;
        }
        Ok(true)
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
