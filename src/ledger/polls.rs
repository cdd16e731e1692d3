//! The polls of open jobs: those that are due, by the sparse index `due`, and the next ones.

use futures_util::{StreamExt, stream};

use super::attributes::{attribute, key, n, s};
use super::job_rows::{JobRow, NextPoll};
use super::jobs::OPEN;
use super::table::DUE_INDEX;
use super::{Ledger, LedgerError};
use crate::domain::found::FoundUsers;

/// Rows of due jobs that are read concurrently.
const READ_AT_ONCE: usize = 8;

impl Ledger {
    /// Returns at most `most` due open jobs, longest due first. The index is eventually consistent,
    /// so each row is read again.
    pub async fn due(&self, now_ms: i64, most: i32) -> Result<Vec<JobRow>, LedgerError> {
        let (mut rows, mut from) = (Vec::new(), None);
        loop {
            let request = self.client.query().table_name(&self.table).index_name(DUE_INDEX).limit(most);
            let found = request
                .key_condition_expression("#open = :open AND due_ms <= :now")
                .expression_attribute_names("#open", "open")
                .expression_attribute_values(":open", s(OPEN))
                .expression_attribute_values(":now", n(now_ms))
                .set_exclusive_start_key(from)
                .send()
                .await
                .map_err(|e| LedgerError::call("Query", e))?;
            let keys = found.items.unwrap_or_default().into_iter().filter_map(|item| {
                let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
                Some(key(text("pk")?, text("sk")?))
            });
            let mut reads =
                stream::iter(keys).map(|key| async move { self.get::<JobRow>(&key).await }).buffered(READ_AT_ONCE);
            let mut newer = 0;
            while let Some(read) = reads.next().await {
                match read {
                    Ok(row) => {
                        rows.extend(row.filter(|row| row.end.is_none() && row.due_ms.is_some_and(|due| due <= now_ms)));
                    }
                    Err(error) if error.is_newer() => newer += 1,
                    Err(error) => return Err(error),
                }
            }
            from = found.last_evaluated_key;
            // A page of jobs in a newer format must not hide the jobs behind it.
            if newer == 0 || !rows.is_empty() || from.is_none() {
                return Ok(rows);
            }
        }
    }

    /// Reschedules the next poll of a job. It has no effect if another check polled in between.
    pub async fn reschedule(&self, row: &JobRow, next: NextPoll) -> Result<(), LedgerError> {
        self.reschedule_found(row, next, None).await
    }

    /// Reschedules the next poll of a job, and stores what reads showed about its users so far.
    pub async fn reschedule_found(
        &self,
        row: &JobRow,
        next: NextPoll,
        found: Option<&FoundUsers>,
    ) -> Result<(), LedgerError> {
        let NextPoll { due_ms, not_found_ms } = next;
        let mut values = vec![(":due", n(due_ms)), (":looks", n(row.looks + 1)), (":seen", n(row.looks))];
        let mut update = "SET due_ms = :due, looks = :looks".to_owned();
        if let Some(found) = found {
            update.push_str(", #found = :found");
            values.push((":found", attribute(found, &row.job)?));
        }
        update.push_str(if not_found_ms.is_some() { ", not_found_ms = :missing" } else { " REMOVE not_found_ms" });
        values.extend(not_found_ms.map(|since_ms| (":missing", n(since_ms))));
        let write = Self::job_write(row, &update, "looks = :seen AND attribute_exists(#open)", values);
        self.send(write).await.map(|_| ())
    }
}
