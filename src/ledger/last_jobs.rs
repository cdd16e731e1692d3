//! The last bulk jobs of a run, the end of bulk jobs in a run whose jobs often end with errors, and the
//! cost of a bulk request as a run saw it.

use aws_sdk_dynamodb::types::AttributeValue;

use super::attributes::{key, run_pk, s};
use super::jobs::Which;
use super::{End, Ledger, LedgerError, Write};
use crate::domain::api::BulkCharge;
use crate::domain::run::RunId;

impl Ledger {
    /// Returns how many of the last `most` closed bulk jobs of a run ended with errors, by the time of
    /// their creation.
    pub async fn last_jobs_with_errors(&self, run: &RunId, most: usize) -> Result<usize, LedgerError> {
        let (mut seen, mut with_errors) = (0, 0);
        for bucket in self.buckets_of(run).await?.iter().rev() {
            let mut jobs = Vec::new();
            self.jobs_seen(run, std::slice::from_ref(bucket), Which::All, |_, job| jobs.push(job)).await?;
            jobs.retain(|job| job.end.is_some() && !job.job.is_of_answers());
            jobs.sort_unstable_by_key(|job| std::cmp::Reverse(job.made_ms));
            for job in jobs.iter().take(most - seen) {
                seen += 1;
                with_errors += usize::from(job.end == Some(End::CompletedWithErrors));
            }
            if seen == most {
                break;
            }
        }
        Ok(with_errors)
    }

    /// Makes a run send no more bulk jobs, for this reason. Returns `false` if it sends none already.
    pub async fn stop_jobs(&self, run: &RunId, why: &str) -> Result<bool, LedgerError> {
        let write = Write::update(&key(run_pk(run), "RUN"), "SET no_jobs = :why")
            .when("attribute_exists(pk) AND attribute_not_exists(no_jobs)")
            .with(":why", s(why));
        self.send(write).await
    }

    /// Notes that Intercom does not serve the bulk jobs of a run's API, before the run fails for it.
    pub async fn note_jobs_not_served(&self, run: &RunId) -> Result<(), LedgerError> {
        let write = Write::update(&key(run_pk(run), "RUN"), "SET jobs_not_served = :true")
            .when("attribute_exists(pk)")
            .with(":true", AttributeValue::Bool(true));
        self.send(write).await.map(|_| ())
    }

    /// Notes the cost of a bulk request that the rate headers suggest. Returns `false` if it is noted, or
    /// if a request was seen to cost one operation: only that is certain.
    pub async fn note_bulk_charge(&self, run: &RunId, seen: BulkCharge) -> Result<bool, LedgerError> {
        let word = |charge: BulkCharge| s(<&str>::from(charge));
        let write = Write::update(&key(run_pk(run), "RUN"), "SET bulk_charge_seen = :seen")
            .when(
                "attribute_exists(pk) AND (attribute_not_exists(bulk_charge_seen) OR \
                 (bulk_charge_seen <> :seen AND bulk_charge_seen <> :certain))",
            )
            .with(":seen", word(seen))
            .with(":certain", word(BulkCharge::Request));
        self.send(write).await
    }
}
