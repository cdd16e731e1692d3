//! The accounts of a run, from strongly read rows: its parts, and the jobs of its buckets.

use std::collections::HashSet;

use super::items::{self, run_pk};
use super::{End, JobRow, Ledger, LedgerError, PartEnd, PartRow};
use crate::part::PartId;
use crate::run::{Accounts, Cursor, NAMED_ALREADY, Run};

impl Ledger {
    /// What became of everything that the run sent. Parts are those of the cursor's generation, jobs those of all.
    pub async fn accounts(&self, run: &Run, cursor: &Cursor) -> Result<Accounts, LedgerError> {
        let mut accounts = Accounts::default();
        accounts.totals.users = cursor.tally.users;
        accounts.totals.sharing = cursor.tally.left_alone.get(NAMED_ALREADY).copied().unwrap_or_default();
        // Parts are read before jobs: a part that is done by then has its job in the ledger. The other way round, a job
        // that is recorded between the two would be missed, and its part's end seen.
        let parts = self.parts_of(run).await?;
        let jobs = self.count_jobs(run, &mut accounts).await?;
        let expected: HashSet<String> = jobs
            .iter()
            .filter(|job| job.generation == cursor.generation)
            .filter_map(|job| job.again.as_ref().map(PartId::to_string))
            .collect();
        count_parts(parts, cursor, &expected, &mut accounts);
        accounts.totals.errors = self.users_in_error(&run.run).await?.len() as u64;
        Ok(accounts)
    }

    async fn count_jobs(&self, run: &Run, accounts: &mut Accounts) -> Result<Vec<JobRow>, LedgerError> {
        let mut jobs = Vec::new();
        for bucket in self.buckets_of(&run.run).await? {
            jobs.extend(self.jobs(&bucket).await?.into_iter().filter(|job| job.run == run.run));
        }
        let totals = &mut accounts.totals;
        for job in &jobs {
            totals.jobs += 1;
            totals.patches += job.users;
            totals.unattributed += job.unattributed;
            let end = match job.end {
                None => {
                    accounts.jobs_open += 1;
                    accounts.made_last_ms = accounts.made_last_ms.max(job.made_ms);
                    continue;
                }
                Some(End::Completed) => "completed",
                Some(End::CompletedWithErrors) => "completed_with_errors",
                Some(End::Unknown) => {
                    // It may be under way: that it was not found says nothing of its values.
                    accounts.made_last_ms = accounts.made_last_ms.max(job.made_ms);
                    totals.unknown += job.users;
                    "unknown"
                }
            };
            *totals.jobs_by_end.entry(end.to_owned()).or_default() += 1;
        }
        Ok(jobs)
    }

    async fn parts_of(&self, run: &Run) -> Result<Vec<(String, PartRow)>, LedgerError> {
        let mut parts = Vec::new();
        for item in self.query(&run_pk(&run.run), "PART#", usize::MAX).await? {
            let name = item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
            parts.push((name.trim_start_matches("PART#").to_owned(), items::read(item, "PART")?));
        }
        Ok(parts)
    }
}

/// Counts the parts of the present generation against those that the cursor says were sent, and those that jobs sent
/// back. Parts of earlier generations matter only for what they may have lost: this one evaluated anew.
fn count_parts(parts: Vec<(String, PartRow)>, cursor: &Cursor, expected: &HashSet<String>, accounts: &mut Accounts) {
    let mut ended_of_pages = 0;
    let mut ended_again = 0;
    for (name, row) in parts {
        // A claim that nobody took over hides a job as one that was taken over does.
        let abandoned = row.end.is_none() && row.claim_owner.is_some();
        accounts.totals.jobs_possibly_lost += u64::from(row.lost) + u64::from(abandoned);
        if let Some(until_ms) = row.lost_until_ms.max(row.claim_until_ms) {
            // Whose queue was lost are dead, since the settling began at the latest.
            let until_ms = if cursor.queue_lost { until_ms.min(cursor.settling_since_ms) } else { until_ms };
            accounts.made_last_ms = accounts.made_last_ms.max(until_ms);
        }
        if row.generation != cursor.generation || row.end.is_none() {
            continue;
        }
        if row.end == Some(PartEnd::Dropped) {
            accounts.totals.dropped += row.users;
        }
        if expected.contains(&name) {
            ended_again += 1;
        } else if let Some(page) = page_of(&name) {
            // A part of a page that was never committed was not counted as sent: its page is a hole.
            ended_of_pages += u64::from(!cursor.holes.contains(&page));
        }
    }
    let sent = cursor.parts + expected.len() as u64;
    accounts.parts_open = sent.saturating_sub(ended_of_pages + ended_again);
}

/// The page in a part's name, `0001#0000012#00`; none in the name of one that a job sent back.
fn page_of(name: &str) -> Option<u32> {
    let mut fields = name.split('#');
    let (_, page, _) = (fields.next()?, fields.next()?, fields.next()?);
    (page.len() == 7).then(|| page.parse().ok())?
}
