//! Runs that ended or paused, until that is reported.
//!
//! The transaction of the end or pause puts the item, so that a crash loses no report. There is one item
//! for each run: a report shows the run's state at its time.

use serde::{Deserialize, Serialize};

use super::attributes::{self, key, n};
use super::expiry::expires_at_s;
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::run::RunId;

const PARTITION: &str = "REPORTS";

/// A run whose end or pause is not reported yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueReport {
    /// The run.
    pub run: RunId,
    /// The time of the end or pause, in Unix milliseconds.
    pub at_ms: i64,
}

fn report_key(run: &RunId) -> Key {
    key(PARTITION, run.as_str())
}

impl Ledger {
    /// Returns the write by which the end or pause of a run becomes due to be reported.
    pub(super) fn report_write(run: &RunId, at_ms: i64) -> Result<Write, LedgerError> {
        let mut item = attributes::item(&report_key(run), &DueReport { run: run.clone(), at_ms })?;
        item.insert("expires_at".to_owned(), n(expires_at_s(at_ms)));
        Ok(Write::put(item))
    }

    /// Returns at most `most` runs that are due to be reported. Items of a newer format are left out.
    pub async fn reports_due(&self, most: usize) -> Result<Vec<DueReport>, LedgerError> {
        let items = self.query(PARTITION, "", most).await?;
        let readable = items.into_iter().filter(|item| attributes::readable(item, PARTITION).is_ok());
        readable.map(|item| attributes::read(item, PARTITION)).collect()
    }

    /// Records that the run is reported, unless it ended or paused again since the read.
    pub async fn reported(&self, report: &DueReport) -> Result<(), LedgerError> {
        let delete = Write::delete(&report_key(&report.run)).when("at_ms = :at").with(":at", n(report.at_ms));
        self.send(delete).await.map(|_| ())
    }
}
