//! The ledger: one DynamoDB table with runs, cursors, parts, jobs by bucket, errors and the budget.
//!
//! | key | item |
//! |---|---|
//! | `ACTIVE` | the active run, and when an exclusive reading and a list may begin |
//! | `ACTIVE / UNSETTLED#<run>` | an ended run that may still change values |
//! | `STARTS / <plan, plan#digest or run>` | a waiting start, and how often it could not begin |
//! | `RUNS / <time>#<run>` | the runs, ordered by start time |
//! | `PLANS / <name>` | a stored plan, and the undo that holds it |
//! | `RUN#<run> / RUN · PLAN · CURSOR` | the run, its copy of the plan, its cursor |
//! | `RUN#<run> / USERS#<n>` | up to 500 users of a list, also of a waiting start |
//! | `RUN#<run> / CREATION#<attribute>` | when a start first asked Intercom to create an attribute |
//! | `RUN#<run> / PAGE#<generation>#<page>` | a committed page with parts: the reading that won |
//! | `RUN#<run> / BODY#<part>` | the patches of a part: users with new and replaced values, compressed |
//! | `RUN#<run> / PART#<generation>#…` | a part: leased, then done, dropped or given up |
//! | `RUN#<run> / RESEND` | when the messages of parts were sent again |
//! | `RUN#<run> / CHANGES#…` | the patches of a job of format 1, compressed |
//! | `RUN#<run> / PREVIEW#<generation>#<page>` | the changes of a page of a dry run that keeps them, compressed |
//! | `RUN#<run> / SAVED#<n>` | changes of a saved preview that the run writes, compressed |
//! | `RUN#<run> / SAVED` | that preview, when all its changes are stored |
//! | `RUN#<run> / SAMPLE` | the first changes of a dry run, compressed |
//! | `RUN#<run> / READBACK` | the progress of the check of written values |
//! | `RUN#<run> / READBACK#<generation>#<n>` | the sample: users that the run wrote |
//! | `RUN#<run> / BUCKETS#<bucket>#<generation>` | jobs and ended parts of a bucket, counted |
//! | `RUN#<run> / BUCKETS#<bucket>` | a bucket that holds jobs of a run of format 1 |
//! | `RUN#<run> / HELD` | the part whose request failed last |
//! | `RUN#<run> / REFUSED` | users that were refused alike in a row, at the end of an invocation |
//! | `RUN#<run> / ERROR#<user>#…` | a user that ended in an error |
//! | `RUN#<run> / MADE#<user>#…` | a change of the run that this one undoes, by user |
//! | `RUN#<run> / STAYS#<user>` | a user of an undo with values that stay, and why |
//! | `RUN#<run> / COMPANY#<id>` | the name that this generation sent for a company |
//! | `BUCKET#<bucket> / JOB#<id>` | a bulk job |
//! | `FORMATS / <step>` | the newest format that the step's function reads, and when it said so |
//! | `EXPIRY / <run>` | an ended run whose items get their time to live |
//! | `REPORTS / <run>` | a run that ended or paused, until that is reported |
//! | `BUDGET / WINDOW#<end>` | operations spent of a 10-second window |
//! | `BUDGET / MINUTE#<end>#<run>` | users written of a minute, in a run with a pace |
//! | `BUDGET / LIMIT` | the limit that Intercom last reported |
//!
//! All reads that decide are strongly consistent except those of the sparse index `due`, which lists
//! open jobs by the time of their next poll. Counts that are only shown are read eventually consistent.

mod accounts;
mod active;
mod attributes;
mod bodies;
mod budget;
mod changes;
mod compressed;
mod conflicts;
mod counts;
mod cursors;
mod error;
mod errors;
mod expiry;
mod formats;
mod held;
mod job_rows;
mod jobs;
mod last_jobs;
mod limit;
mod made;
mod pages;
mod part_rows;
mod parts;
mod patches;
mod pauses;
mod plans;
mod polls;
mod readback;
mod refusals;
mod reports;
mod resends;
mod retried;
mod runs;
mod saved;
mod select;
mod starts;
mod sums;
mod table;
mod undone;
mod unended;
mod unsettled;
mod write;

use aws_sdk_dynamodb::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use active::{Active, Begin};
pub use attributes::{Key, key};
pub use budget::{Budget, Take, Taken};
pub use changes::{Changes, ChangesOfPart, SAMPLE};
pub use counts::Consistency;
pub use cursors::{Committing, Leased};
pub use error::LedgerError;
pub use errors::ErrorRow;
pub use formats::FormatReport;
pub use job_rows::{AnswerCounts, Closing, End, JobOf, JobRow, NextPoll, PartOfJob, ReadUsers};
pub use limit::LimitItem;
pub use made::{MadeOfUser, NOT_KEPT, SomeMade};
pub use pages::PageRow;
pub use part_rows::{OurPart, PartEnd, PartLease, PartProgress, PartRest, PartRow, Release};
pub use patches::{PatchOutcome, SeenPatch};
pub use plans::StoredPlan;
pub use refusals::RefusedInARow;
pub use reports::DueReport;
pub use resends::Resends;
pub use retried::{RetriedUsers, UNREADABLE_USER};
pub use runs::{CompanyName, Reserved};
pub use starts::{Queued, Waiting};
pub use table::create;
pub use unended::Unended;

use attributes::Item;
use write::Write;

/// A client of the table.
#[derive(Clone, Debug)]
pub struct Ledger {
    client: Client,
    table: String,
}

impl Ledger {
    /// Creates a client of this table.
    #[expect(clippy::needless_pass_by_value, reason = "callers hand the client over; ours shares its parts")]
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        let config = client.config().to_builder().retry_classifier(conflicts::Conflicts);
        Self { client: Client::from_conf(config.build()), table: table.into() }
    }

    async fn get<T: DeserializeOwned>(&self, key: &Key) -> Result<Option<T>, LedgerError> {
        let request =
            self.client.get_item().table_name(&self.table).set_key(Some(key.attributes())).consistent_read(true);
        let found = request.send().await.map_err(|e| LedgerError::call("GetItem", e))?.item;
        found.map(|item| attributes::read(item, &key.sk)).transpose()
    }

    async fn put<T: Serialize>(&self, key: &Key, value: &T) -> Result<(), LedgerError> {
        self.send(Write::put(attributes::item(key, value)?)).await.map(|_| ())
    }

    /// Returns at most `most` items of a partition, in order, whose sort key begins with `prefix`.
    /// An empty prefix matches all.
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
}
