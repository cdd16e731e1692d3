//! Time to live. Frequent rows (jobs, done parts, changes) get it when they are written, because a
//! second write would add a sixth to a run's cost. It is far behind the longest deadline of a run.
//! So do rows that may be written after the run's end (errors, the run's buckets). The other rows
//! get it after the run's end, a batch per tick of check.

use serde::{Deserialize, Serialize};

use super::attributes::{self, Item, key, n, run_pk, s};
use super::runs::place_among_the_runs;
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::run::{Run, RunId};

/// Time to live of a run's items, in seconds. It exceeds the longest deadline by far.
const KEPT_S: i64 = 90 * 24 * 3600;
const _: () = assert!(KEPT_S * 1000 > 2 * crate::domain::run::DEADLINE_MOST_MS);

/// Returns the expiry of an item that is written now, in Unix seconds.
pub(super) fn expires_at_s(now_ms: i64) -> i64 {
    now_ms / 1000 + KEPT_S
}

impl Ledger {
    /// Puts an item that expires like the items of a run that ends now.
    pub(super) async fn put_expiring(&self, mut item: Item, now_ms: i64) -> Result<(), LedgerError> {
        item.insert("expires_at".to_owned(), n(expires_at_s(now_ms)));
        self.send(Write::put(item)).await.map(|_| ())
    }
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
    pub(super) fn queue_expiry(run: &Run, ended_ms: i64) -> Result<[Write; 2], LedgerError> {
        let expires_s = expires_at_s(ended_ms);
        let expiring = Expiring { run: run.id.clone(), expires_s, after: " ".to_owned() };
        let expiring = attributes::item(&key(PARTITION, run.id.as_str()), &expiring)?;
        let place = Write::update(&place_among_the_runs(run), "SET expires_at = :at").with(":at", n(expires_s));
        Ok([Write::put(expiring), place])
    }

    /// Sets the time to live on up to `most` items of an ended run. Returns whether more may be
    /// left.
    pub async fn expire(&self, most: i32) -> Result<bool, LedgerError> {
        let first = self.query(PARTITION, "", FIRST_OF).await?;
        let first = first.into_iter().find(|item| attributes::readable(item, PARTITION).is_ok());
        let Some(first) = first else { return Ok(false) };
        let mut expiring: Expiring = attributes::read(first, PARTITION)?;
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
            self.send(Write::delete(&at)).await?;
        }
        Ok(true)
    }

    async fn expire_item(&self, at: &Key, expires_s: i64) -> Result<(), LedgerError> {
        let write = Write::update(at, "SET expires_at = :at").when("attribute_exists(pk)").with(":at", n(expires_s));
        self.send(write).await.map(|_| ())
    }
}
