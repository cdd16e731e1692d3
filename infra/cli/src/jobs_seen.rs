//! Counts a run's bulk jobs in the ledger. One read gives created and ended jobs, so that the ended
//! jobs never exceed the created ones.

use std::collections::BTreeMap;

use intercom_bulk::domain::bucket::Bucket;
use intercom_bulk::domain::run::{BucketCounts, Run};
use intercom_bulk::ledger::{Consistency, JobRow, Ledger, LedgerError};
use intercom_bulk::rate_limit::WINDOW_MS;

/// The number of most recent buckets to read again: they may get more jobs.
const YOUNGEST: usize = 2;

/// Bulk jobs, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// Created jobs.
    pub made: u64,
    /// Created jobs with a known end.
    pub ended: u64,
    /// Users of the run's current generation in jobs, by rate window (Unix time in units of 10 s).
    /// A resent user counts once.
    pub sends: BTreeMap<i64, u64>,
}

impl JobCounts {
    /// Counts a job of a run whose generation is `generation`.
    pub fn count(&mut self, row: &JobRow, generation: u32) {
        self.made += 1;
        self.ended += u64::from(row.end.is_some());
        if row.generation == generation {
            let window = row.made_ms.div_euclid(WINDOW_MS);
            *self.sends.entry(window).or_default() += row.own_users().saturating_sub(row.again_users);
        }
    }

    /// Returns the jobs by the counts of a run whose generation is `generation`.
    fn of(counts: &[BucketCounts], generation: u32) -> Self {
        let mut jobs = Self::default();
        for of in counts {
            let made = of.counts.jobs.max(0).unsigned_abs();
            jobs.made += made;
            jobs.ended += made.saturating_sub(of.counts.jobs_open().max(0).unsigned_abs());
            for (window, users) in of.sends.iter().filter(|_| of.generation == generation) {
                *jobs.sends.entry(*window).or_default() += users;
            }
        }
        jobs
    }

    fn add(&mut self, other: &Self) {
        self.made += other.made;
        self.ended += other.ended;
        for (window, users) in &other.sends {
            *self.sends.entry(*window).or_default() += users;
        }
    }
}

/// Counts the jobs of one run repeatedly. In a run of format 1 it reads rows, and caches the buckets
/// that cannot change any more.
#[derive(Debug, Default)]
pub struct JobsSeen {
    generation: u32,
    over: BTreeMap<Bucket, JobCounts>,
}

impl JobsSeen {
    /// Counts all jobs of the run: by the counts of its buckets or, in a run of format 1, by rows.
    pub async fn read(&mut self, ledger: &Ledger, run: &Run) -> Result<JobCounts, LedgerError> {
        if run.keeps_parts() {
            let counts = ledger.counts(&run.id, Consistency::Eventual).await?;
            return Ok(JobCounts::of(&counts, run.generation));
        }
        if self.generation != run.generation {
            *self = Self { generation: run.generation, over: BTreeMap::new() };
        }
        let buckets = ledger.buckets_of(&run.id).await?;
        let mut all = JobCounts::default();
        for (index, bucket) in buckets.iter().enumerate() {
            if let Some(jobs) = self.over.get(bucket) {
                all.add(jobs);
                continue;
            }
            let mut jobs = JobCounts::default();
            for row in ledger.jobs(bucket).await?.iter().filter(|row| row.run == run.id) {
                jobs.count(row, run.generation);
            }
            all.add(&jobs);
            if jobs.made == jobs.ended && index + YOUNGEST < buckets.len() {
                self.over.insert(bucket.clone(), jobs);
            }
        }
        Ok(all)
    }
}
