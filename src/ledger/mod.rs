//! The ledger: one DynamoDB table that keeps runs, cursors, parts, jobs by bucket, errors and the budget.
//!
//! | key | item |
//! |---|---|
//! | `ACTIVE` | the active run, and when a scroll may be opened again |
//! | `STARTS / <plan or run>` | a start that waits, and how often it could not be begun |
//! | `RUNS / <time>#<run>` | the runs, in the order of their beginnings |
//! | `PLANS / <name>` | a stored plan |
//! | `RUN#<run> / RUN · PLAN · CURSOR` | the run, its copy of the plan, where its pages stand |
//! | `RUN#<run> / USERS#<n>` | up to 500 users of a list, also of a start that waits |
//! | `RUN#<run> / PART#<generation>#…` | a part: leased, then done, dropped or given up |
//! | `RUN#<run> / CHANGES#…` | the users of a job with new and replaced values, compressed |
//! | `RUN#<run> / ERROR#<user>#…` | a user that ended in an error |
//! | `RUN#<run> / COMPANY#<id>` | the name that this generation sent for a company |
//! | `BUCKET#<bucket> / JOB#<id>` | a bulk job |
//! | `EXPIRY / <run>` | an ended run whose items get their time to live |
//! | `BUDGET / <window>` | operations spent of a 10-second window |
//!
//! Every read is consistent but one: the sparse index `due` lists open jobs by when they are looked at next.

mod accounts;
mod active;
mod budget;
mod changes;
mod conflicts;
mod cursors;
mod error;
mod expiry;
mod items;
mod jobs;
mod limit;
mod parts;
mod runs;
mod starts;
mod table;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use active::{Active, Begin};
pub use budget::{Budget, EDGE_MS, Lane, Permit, Quota, WINDOW_MS, at_edge, lead_ms, window_end_ms};
pub use changes::{Changes, ChangesOfPart, SAMPLE};
pub use cursors::{Commit, Leased};
pub use error::LedgerError;
pub use items::{Key, key};
pub use jobs::{Closing, End, JobRow};
pub use limit::LimitItem;
pub use parts::{PartEnd, PartLease, PartRow, Release};
pub use runs::{ErrorRow, Reserved};
pub use starts::{Queued, Waiting};
pub use table::create;

use items::Item;

/// Rows of one query, of some hundred bytes each as a rule.
const PAGE_ROWS: i32 = 500;

/// The table, through the real client.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
}

impl Ledger {
    /// The ledger in this table.
    #[expect(clippy::needless_pass_by_value, reason = "a client is handed over, and ours is made of what it shares")]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let config = client.config().to_builder().retry_classifier(conflicts::Conflicts);
        Self { client: Client::from_conf(config.build()), table: table.into() }
    }

    async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, LedgerError> {
        let request =
            self.client.get_item().table_name(&self.table).set_key(Some(key.attributes())).consistent_read(true);
        let found = request.send().await.map_err(|e| LedgerError::call("GetItem", e))?.item;
        found.map(|item| items::read(item, &key.sk)).transpose()
    }

    async fn put<T: Serialize>(&self, key: &Key, value: &T) -> Result<(), LedgerError> {
        let item = items::write(key, value)?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map(|_| ()).map_err(|e| LedgerError::call("PutItem", e))
    }

    /// All items of a partition whose sort key begins with `prefix` (all, if that is empty), in order, at most `most`.
    async fn query(&self, pk: &str, prefix: &str, most: usize) -> Result<Vec<Item>, LedgerError> {
        let mut found = Vec::new();
        self.pages(pk, prefix, |items| {
            found.extend(items);
            Ok(found.len() < most)
        })
        .await?;
        found.truncate(most);
        Ok(found)
    }

    /// The same, page by page, so that a run's rows are never all in memory; `each` says whether to go on. DynamoDB's own
    /// bound of 1 MB is several times that in memory, and the emulated one reads a whole partition where no limit is given.
    async fn pages(
        &self,
        pk: &str,
        prefix: &str,
        mut each: impl FnMut(Vec<Item>) -> Result<bool, LedgerError>,
    ) -> Result<(), LedgerError> {
        let mut from = None;
        loop {
            let request = self.client.query().table_name(&self.table).consistent_read(true);
            let request = request.expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()));
            // DynamoDB takes no empty value for a key: a whole partition is asked for by its name alone.
            let request = if prefix.is_empty() {
                request.key_condition_expression("pk = :pk")
            } else {
                request
                    .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
                    .expression_attribute_values(":sk", AttributeValue::S(prefix.to_owned()))
            };
            let sent = request.limit(PAGE_ROWS).set_exclusive_start_key(from).send().await;
            let page = sent.map_err(|e| LedgerError::call("Query", e))?;
            from = page.last_evaluated_key;
            if !each(page.items.unwrap_or_default())? || from.is_none() {
                return Ok(());
            }
        }
    }
}
