//! Computes the accounts of a run from consistently read rows: its parts, and the jobs of its
//! buckets.

use std::collections::{HashMap, HashSet};

use super::attributes::{self, Item, run_pk};
use super::pages::pages_prefix;
use super::{End, JobRow, Ledger, LedgerError, PageRow, PartEnd, PartRow};
use crate::domain::part::{Origin, PartId, ReadingId};
use crate::domain::run::{Accounts, Cursor, NAMED_ALREADY, OpenJobs, Run, Sampler};

impl Ledger {
    /// Returns the accounts of a run. It counts the parts of the cursor's generation and the jobs
    /// of all generations. Errors of earlier generations count only if the present one did not read
    /// all users again.
    pub async fn accounts(&self, run: &Run, cursor: &Cursor) -> Result<Accounts, LedgerError> {
        let (accounts, ended) = (Accounts::default(), Ended::default());
        let (pages, parts_made) = (HashMap::new(), 0);
        let mut counting = Counting { run, cursor, accounts, pages, parts_made, ended, held_ms: None };
        counting.accounts.totals.users = cursor.tally.users;
        counting.accounts.totals.count = cursor.count_at_end.or(run.count).filter(|_| run.reads_everybody());
        counting.accounts.totals.sharing = cursor.tally.skip_reasons.get(NAMED_ALREADY).copied().unwrap_or_default();
        // Read parts before jobs: a part that is done has its job in the ledger. If jobs were read
        // first, a job recorded between the two reads would be missed although its part has ended.
        let pk = run_pk(&run.id);
        let pages = pages_prefix(cursor.generation);
        self.pages(&pk, &pages, |items| items.into_iter().try_for_each(|item| counting.page(item)).map(|()| true))
            .await?;
        self.pages(&pk, "PART#", |items| items.into_iter().try_for_each(|item| counting.part(item)).map(|()| true))
            .await?;
        self.each_job_of(&run.id, |job| counting.job(&job)).await?;
        // Rows of one user are adjacent.
        let mut last = String::new();
        self.pages(&pk, "ERROR#", |items| {
            items.into_iter().try_for_each(|item| counting.error(item, &mut last)).map(|()| true)
        })
        .await?;
        Ok(counting.done())
    }
}

/// Accounts in progress.
struct Counting<'a> {
    run: &'a Run,
    cursor: &'a Cursor,
    accounts: Accounts,
    /// The reading that won, for each page of the present generation with parts.
    pages: HashMap<u32, ReadingId>,
    /// Parts of these pages.
    parts_made: u64,
    ended: Ended,
    /// Time of the failed request that `held` describes, in Unix milliseconds.
    held_ms: Option<i64>,
}

/// Ended parts of the present generation, and the follow-up parts that jobs name.
#[derive(Default)]
struct Ended {
    of_pages: u64,
    /// Names of ended follow-up parts.
    again: HashSet<String>,
    expected: HashSet<String>,
}

impl Counting<'_> {
    /// Returns whether errors of a generation count. A later generation that read all users
    /// evaluated them again.
    fn counts(&self, generation: u32) -> bool {
        generation >= self.cursor.generation || self.cursor.cut.is_some() || !self.cursor.gaps.is_empty()
    }

    /// Counts the parts of one committed page.
    fn page(&mut self, item: Item) -> Result<(), LedgerError> {
        let row: PageRow = attributes::read(item, "PAGE")?;
        self.parts_made += u64::from(row.parts);
        let sampler = Sampler::of(self.cursor.tally.patches);
        self.accounts.sample_parts.extend(row.parts_for(&sampler));
        self.pages.insert(row.page, row.reading);
        Ok(())
    }

    /// Counts one part. A part of an earlier generation matters only for jobs that it may have
    /// lost.
    fn part(&mut self, item: Item) -> Result<(), LedgerError> {
        let (accounts, cursor) = (&mut self.accounts, self.cursor);
        let name = text(&item, "sk").trim_start_matches("PART#").to_owned();
        let row: PartRow = attributes::read(item, "PART")?;
        // An unreleased lease may hide a job. `totals_at` subtracts leases that are still valid.
        let leased = row.end.is_none() && row.lease_owner.is_some();
        accounts.totals.jobs_possibly_lost += u64::from(row.lost) + u64::from(leased);
        accounts.leases_until_ms.extend(row.lease_until_ms.filter(|_| leased));
        if let Some(until_ms) = row.lost_until_ms.max(row.lease_until_ms) {
            // `queue_lost`: the in-memory queue died with its process, so no worker ran after
            // settling began.
            let until_ms = if cursor.settling.queue_lost { until_ms.min(cursor.settling.since_ms) } else { until_ms };
            accounts.made_last_ms = accounts.made_last_ms.max(until_ms);
        }
        if row.generation == cursor.generation && row.end.is_none() && row.tried_ms > self.held_ms {
            self.held_ms = row.tried_ms;
            accounts.held.clone_from(&row.why);
        }
        if row.generation != cursor.generation || row.end.is_none() {
            return Ok(());
        }
        if row.end == Some(PartEnd::Dropped) {
            accounts.totals.dropped += row.users;
        }
        let page = match &row.origin {
            // A part of a reading that was not committed is void.
            Some(Origin::Page { page, reading: Some(reading), .. }) => {
                self.ended.of_pages += u64::from(self.pages.get(page) == Some(reading));
                return Ok(());
            }
            Some(Origin::Page { reading: None, .. }) if self.run.keeps_parts() => return Ok(()),
            Some(Origin::Page { page, reading: None, .. }) => Some(*page),
            Some(Origin::Job { .. }) => None,
            None => PartId::page_of(&name),
        };
        match page {
            // Format 1. A part of an uncommitted page was not counted as sent: its page is a gap.
            Some(page) => self.ended.of_pages += u64::from(!cursor.gaps.contains(&page)),
            None => drop(self.ended.again.insert(name)),
        }
        Ok(())
    }

    fn job(&mut self, job: &JobRow) {
        let counts = self.counts(job.generation);
        let Accounts { totals, open, sent_now, .. } = &mut self.accounts;
        totals.jobs += 1;
        totals.patches += job.users;
        // The users of a resubmission are also in another job, or will be.
        let users = if job.resubmission { 0 } else { job.users.saturating_sub(job.again_users) };
        totals.sent += users;
        let now = job.generation == self.cursor.generation;
        if now {
            *sent_now += users;
        }
        if matches!(job.end, Some(End::Completed | End::CompletedWithErrors)) {
            let written = users.saturating_sub(job.failed + job.unattributed + job.gone);
            totals.written += written;
            totals.written_before += if now { 0 } else { written };
        }
        if counts {
            totals.unattributed += job.unattributed;
            totals.gone += job.gone;
        }
        if job.generation == self.cursor.generation {
            self.ended.expected.extend(job.again.as_ref().map(PartId::to_string));
        }
        let Some(end) = job.end else {
            OpenJobs::add(open, &job.job, &job.bucket, job.made_ms);
            return;
        };
        if end == End::Unknown && counts {
            *(if job.failed_unnamed { &mut totals.failed_unnamed } else { &mut totals.unknown }) += job.users;
        }
        *totals.jobs_by_end.entry(end.to_string()).or_default() += 1;
    }

    /// Counts an error row; each user counts once.
    fn error(&mut self, item: Item, last: &mut String) -> Result<(), LedgerError> {
        let row: super::ErrorRow = attributes::read(item, "ERROR")?;
        // Rows of an earlier version have no generation.
        if (row.generation == 0 || self.counts(row.generation)) && row.user != *last {
            self.accounts.totals.errors += 1;
            *last = row.user;
        }
        Ok(())
    }

    fn done(mut self) -> Accounts {
        let Ended { of_pages, again, expected } = self.ended;
        let sent = self.cursor.parts.max(self.parts_made) + expected.len() as u64;
        let ended = of_pages + expected.intersection(&again).count() as u64;
        self.accounts.parts_open = sent.saturating_sub(ended);
        self.accounts
    }
}

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item.get(name).and_then(|value| value.as_s().ok()).map_or("", String::as_str)
}
