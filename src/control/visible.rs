//! The time from which on lists show the writes of a ledger's runs, for a reader outside of it.

use super::{ActiveRun, active_run};
use crate::domain::run::{LATE_MS, LEASE_MOST_MS, REQUEST_MOST_MS};
use crate::ledger::{Ledger, LedgerError};

/// Returns the time from which on a list of all users shows the writes of the ledger's runs, in Unix
/// milliseconds; 0 if it shows them. Writes that a process makes later are not known.
pub async fn lists_show_from_ms(ledger: &Ledger, now_ms: i64) -> Result<i64, LedgerError> {
    let active = ledger.active().await?;
    let unsettled = active.unsettled.iter().filter_map(|run| run.visible_at_ms(now_ms)).max();
    let mut at_ms = active.visible_at_ms.max(unsettled.unwrap_or_default());
    if let Some(ActiveRun { run, cursor }) = active_run(ledger).await? {
        // A run without a process wrote its last user in the lease of its last job.
        let mut made_ms = 0;
        if let Some(bucket) = ledger.buckets_of(&run.id).await?.last() {
            let jobs = ledger.jobs(bucket).await?;
            made_ms = jobs.iter().filter(|job| job.run == run.id).map(|job| job.made_ms).max().unwrap_or_default();
        }
        let last_ms = now_ms.min(made_ms + LEASE_MOST_MS + REQUEST_MOST_MS + LATE_MS);
        at_ms = at_ms.max(run.visible_at_ms(&cursor, last_ms).unwrap_or_default());
    }
    Ok(at_ms)
}
