//! Computes the accounts of a run for the verdict on its end: from consistently read rows of its parts
//! and open jobs, and from its counts for closed jobs.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;

use super::attributes::{self, Item, run_pk, text};
use super::job_rows::end_is_known;
use super::jobs::{JobSeen, Which};
use super::pages::pages_prefix;
use super::select::Select;
use super::sums::Sums;
use super::{Consistency, End, Ledger, LedgerError, PageRow, PartEnd};
use crate::domain::bucket::Bucket;
use crate::domain::part::{Origin, PartId, ReadingId};
use crate::domain::run::{Accounts, Cursor, OpenJobs, Run, Sampler};

/// The attributes of a part that the accounts need. Its name has its generation and origin.
const OF_PART: &str = "sk, v, #end, #users, lost, lost_until_ms, claim_owner, claim_until_ms, why, tried_ms";

impl Ledger {
    /// Returns the accounts of a run. It counts the parts of the cursor's generation and the jobs
    /// of all generations. Errors of earlier generations count only if the present one did not read
    /// all users again.
    ///
    /// The rows of parts are read, and those of jobs in buckets that have open ones. The counts hold all
    /// that is needed of closed jobs.
    pub async fn accounts(&self, run: &Run, cursor: &Cursor) -> Result<Accounts, LedgerError> {
        let before = self.sums(run, Consistency::Strong).await?;
        self.accounts_since(run, cursor, before).await
    }

    /// Returns the accounts by the counts of a run while they show an open part or job, and those of
    /// [`Self::accounts`] after that: a read of several counts is no snapshot.
    pub async fn accounts_to_end(&self, run: &Run, cursor: &Cursor) -> Result<Accounts, LedgerError> {
        let sums = self.sums(run, Consistency::Strong).await?;
        let counted = sums.as_ref().map(|sums| Accounts::counted(run, cursor, sums.all()));
        match counted.filter(|counted| !counted.settled()) {
            Some(counted) => Ok(counted),
            None => self.accounts_since(run, cursor, sums).await,
        }
    }

    /// Returns the accounts of a run by its rows alone.
    pub async fn accounts_by_rows(&self, run: &Run, cursor: &Cursor) -> Result<Accounts, LedgerError> {
        self.accounts_since(run, cursor, None).await
    }

    /// Returns the accounts by the rows that are read from now on. The counts stand for closed jobs if no
    /// count has changed since they were read as `before`, and if they agree with the rows of parts.
    async fn accounts_since(&self, run: &Run, cursor: &Cursor, before: Option<Sums>) -> Result<Accounts, LedgerError> {
        let mut counting = Counting::new(run, cursor);
        // Read parts before jobs: a part that is done has its job in the ledger. If jobs were read
        // first, a job recorded between the two reads would be missed although its part has ended.
        let pk = run_pk(&run.id);
        let pages = Select::new(&pk, pages_prefix(cursor.generation));
        self.select(&pages, |items| items.into_iter().try_for_each(|item| counting.page(item)).map(|()| true)).await?;
        let parts = Select { attributes: Some(OF_PART), ..Select::new(&pk, "PART#") };
        self.select(&parts, |items| items.into_iter().try_for_each(|item| counting.part(item)).map(|()| true)).await?;
        let unchanged = match before {
            Some(before) => self.sums(run, Consistency::Strong).await?.filter(|after| *after == before),
            None => None,
        };
        if let Some(sums) = unchanged.filter(|sums| counting.agrees_with(sums)) {
            counting.closed_jobs(&sums);
            self.jobs_seen(&run.id, &sums.open_buckets(), Which::All, |bucket, job| {
                if sums.has_open(bucket, job.generation) {
                    counting.job(bucket, &job);
                }
            })
            .await?;
        } else {
            let buckets = self.buckets_of(&run.id).await?;
            self.jobs_seen(&run.id, &buckets, Which::All, |bucket, job| counting.job(bucket, &job)).await?;
        }
        let failed = self.count_failed_users(run, cursor).await?;
        counting.accounts.totals.errors = failed.users;
        counting.accounts.totals.failed_twice = failed.twice;
        Ok(counting.done())
    }

    /// Returns the accounts by the counts of a run, with the times of its open jobs and parts, and of
    /// those that may be lost. Only the rows of these are read. If nothing is open, the counts are read
    /// again; if they have changed, the rows decide.
    pub async fn unfinished(&self, run: &Run, cursor: &Cursor) -> Result<Accounts, LedgerError> {
        if !run.keeps_parts() {
            return self.accounts_by_rows(run, cursor).await;
        }
        let mut counting = Counting::new(run, cursor);
        let open_or_lost = "attribute_not_exists(#end) OR attribute_exists(lost_until_ms)";
        let select = Select {
            attributes: Some(OF_PART),
            only: Some((open_or_lost, Vec::new())),
            ..Select::new(run_pk(&run.id), "PART#")
        };
        self.select(&select, |items| items.into_iter().try_for_each(|item| counting.part(item)).map(|()| true)).await?;
        let Some(sums) = self.sums(run, Consistency::Strong).await? else {
            return self.accounts_by_rows(run, cursor).await;
        };
        self.jobs_seen(&run.id, &sums.open_buckets(), Which::Open, |bucket, job| counting.job(bucket, &job)).await?;
        let Accounts { open, made_last_ms, leases_until_ms, held, totals, .. } = counting.accounts;
        let counted = Accounts::counted(run, cursor, sums.all());
        let mut accounts = Accounts { open, open_counted: 0, made_last_ms, leases_until_ms, held, ..counted };
        accounts.totals.unknown_sent_ms = totals.unknown_sent_ms;
        // Each lease counts as a possibly lost job.
        accounts.totals.jobs_possibly_lost += if run.writes_jobs() { accounts.leases_until_ms.len() as u64 } else { 0 };
        if accounts.settled() && self.sums(run, Consistency::Strong).await? != Some(sums) {
            return self.accounts_by_rows(run, cursor).await;
        }
        Ok(accounts)
    }
}

/// Returns the identity of a part, which its name holds.
fn part_of(item: &Item) -> Option<PartId> {
    PartId::parse(text(item, "sk").strip_prefix("PART#")?)
}

/// The attributes of a part that the accounts need.
#[derive(Deserialize)]
struct PartSeen {
    #[serde(default)]
    users: u64,
    #[serde(default)]
    lost: u32,
    lost_until_ms: Option<i64>,
    claim_owner: Option<String>,
    claim_until_ms: Option<i64>,
    why: Option<String>,
    tried_ms: Option<i64>,
    end: Option<PartEnd>,
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
    /// Ended follow-up parts.
    again: HashSet<PartId>,
    expected: HashSet<PartId>,
    /// Follow-up parts of closed jobs that were counted. Only parts that a closed job names are sent, so
    /// their number is enough.
    expected_counted: u64,
}

impl<'a> Counting<'a> {
    fn new(run: &'a Run, cursor: &'a Cursor) -> Self {
        let (accounts, ended) = (Accounts::begun(run, cursor), Ended::default());
        Self { run, cursor, accounts, pages: HashMap::new(), parts_made: 0, ended, held_ms: None }
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
        let id = part_of(&item);
        let row: PartSeen = attributes::read(item, "PART")?;
        // An unreleased lease may hide a job. `totals_at` subtracts leases that are still valid.
        let leased = row.end.is_none() && row.claim_owner.is_some();
        accounts.totals.jobs_possibly_lost +=
            if self.run.writes_jobs() { u64::from(row.lost) + u64::from(leased) } else { 0 };
        accounts.leases_until_ms.extend(row.claim_until_ms.filter(|_| leased));
        if let Some(until_ms) = row.lost_until_ms.max(row.claim_until_ms) {
            // `queue_lost`: the in-memory queue died with its process, so no worker ran after
            // settling began.
            let until_ms = if cursor.settling.queue_lost { until_ms.min(cursor.settling.since_ms) } else { until_ms };
            accounts.made_last_ms = accounts.made_last_ms.max(until_ms);
            accounts.totals.unknown_sent_ms = accounts.made_last_ms;
        }
        let Some(id) = id.filter(|id| id.generation == cursor.generation) else { return Ok(()) };
        let Some(end) = row.end else {
            if row.tried_ms > self.held_ms {
                self.held_ms = row.tried_ms;
                accounts.held.clone_from(&row.why);
            }
            return Ok(());
        };
        if end == PartEnd::Dropped {
            accounts.totals.dropped += row.users;
        }
        match &id.origin {
            // A part of a reading that was not committed is void.
            Origin::Page { page, reading: Some(reading), .. } => {
                self.ended.of_pages += u64::from(self.pages.get(page) == Some(reading));
            }
            Origin::Page { reading: None, .. } if self.run.keeps_parts() => {}
            // Format 1. A part of an uncommitted page was not counted as sent: its page is a gap.
            Origin::Page { page, reading: None, .. } => {
                self.ended.of_pages += u64::from(!cursor.gaps.contains(page));
            }
            Origin::Job { .. } => drop(self.ended.again.insert(id)),
        }
        Ok(())
    }

    /// Returns whether the counts say the same of parts as their rows.
    fn agrees_with(&self, sums: &Sums) -> bool {
        let Accounts { totals, leases_until_ms, .. } = &self.accounts;
        let ended = self.ended.of_pages + self.ended.again.len() as u64;
        let lost = totals.jobs_possibly_lost.saturating_sub(leases_until_ms.len() as u64);
        u64::try_from(sums.parts_ended(self.cursor.generation)) == Ok(ended)
            && (!self.run.writes_jobs() || u64::try_from(sums.lost()) == Ok(lost))
    }

    /// Adds the jobs of buckets without open ones.
    fn closed_jobs(&mut self, sums: &Sums) {
        for (generation, counts) in sums.closed() {
            self.accounts.add_jobs(self.cursor, generation, counts);
            if generation == self.cursor.generation {
                self.ended.expected_counted += counts.follow_ups.max(0).unsigned_abs();
            }
        }
    }

    fn job(&mut self, bucket: &Bucket, job: &JobSeen) {
        let counts = self.cursor.counts_errors_of(job.generation);
        let Accounts { totals, open, sent_now, .. } = &mut self.accounts;
        totals.jobs += 1;
        totals.patches += job.users;
        // The other users of a resubmission are also in another job, or will be.
        let own = job.own_users();
        let users = own.saturating_sub(job.again_users);
        totals.sent += users;
        let now = job.generation == self.cursor.generation;
        if now {
            *sent_now += users;
        }
        if end_is_known(job.end, job.users_read) {
            let written = users.saturating_sub(job.failed + job.unattributed + job.gone + job.changed_since);
            totals.written += written;
            totals.written_before += if now { 0 } else { written };
        }
        if counts && own > 0 {
            totals.unattributed += job.unattributed;
            totals.gone += job.gone;
            totals.changed_since += job.changed_since;
        }
        if now {
            self.ended.expected.extend(job.again.clone());
        }
        let Some(end) = job.end else {
            OpenJobs::add(open, &job.job, bucket, job.made_ms);
            return;
        };
        if end == End::Unknown && counts && !job.users_read {
            *(if job.failed_unnamed { &mut totals.failed_unnamed } else { &mut totals.unknown }) += job.users;
        }
        *totals.jobs_by_end.entry(end.to_string()).or_default() += 1;
    }

    fn done(mut self) -> Accounts {
        let Ended { of_pages, again, expected, expected_counted } = self.ended;
        let sent = self.cursor.parts.max(self.parts_made) + expected.len() as u64 + expected_counted;
        let named = expected.intersection(&again).count() as u64;
        let ended = of_pages + named + (again.len() as u64 - named).min(expected_counted);
        self.accounts.parts_open = sent.saturating_sub(ended);
        self.accounts
    }
}
