//! The counts of a run, summed. Only buckets with open jobs are kept apart, so that a run of tens of
//! thousands of buckets fits into the memory of a function.

use std::collections::BTreeMap;

use super::{Consistency, Ledger, LedgerError};
use crate::domain::bucket::Bucket;
use crate::domain::run::{Accounts, Counts, Cursor, Run};

/// The counts of a run, by generation.
///
/// Each write adds to a count that never falls: the jobs, their ends, the ended parts or the possibly
/// lost jobs. Therefore two reads with equal sums had equal counts in each bucket, and no count changed
/// between the end of the first read and the begin of the second.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    /// The sums of buckets without open jobs.
    closed: BTreeMap<u32, Counts>,
    /// The counts of buckets with open jobs.
    open: BTreeMap<(Bucket, u32), Counts>,
}

impl Sums {
    fn add(&mut self, bucket: Bucket, generation: u32, counts: Counts) {
        if counts.jobs_open() > 0 {
            self.open.insert((bucket, generation), counts);
        } else {
            self.closed.entry(generation).or_default().add(&counts);
        }
    }

    /// Returns the counts of buckets without open jobs.
    pub(super) fn closed(&self) -> impl Iterator<Item = (u32, &Counts)> {
        self.closed.iter().map(|(generation, counts)| (*generation, counts))
    }

    /// Returns all counts.
    pub(super) fn all(&self) -> impl Iterator<Item = (u32, &Counts)> {
        self.closed().chain(self.open.iter().map(|((_, generation), counts)| (*generation, counts)))
    }

    /// Returns whether jobs of this generation are open in a bucket.
    pub(super) fn has_open(&self, bucket: &Bucket, generation: u32) -> bool {
        self.open.contains_key(&(bucket.clone(), generation))
    }

    /// Returns the buckets with open jobs.
    pub(super) fn open_buckets(&self) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = self.open.keys().map(|(bucket, _)| bucket.clone()).collect();
        // Several generations may have open jobs in one bucket.
        buckets.dedup();
        buckets
    }

    /// Returns the possibly lost jobs of all generations.
    pub(super) fn lost(&self) -> i64 {
        self.all().map(|(_, counts)| counts.lost).sum()
    }

    /// Returns the ended parts of a generation.
    pub(super) fn parts_ended(&self, generation: u32) -> i64 {
        self.all().filter(|(of, _)| *of == generation).map(|(_, counts)| counts.parts_ended).sum()
    }
}

impl Ledger {
    /// Returns the summed counts of a run. `None` if some of its rows are not counted: it is of format 1,
    /// or a version without counts wrote a part of it.
    pub(super) async fn sums(&self, run: &Run, consistency: Consistency) -> Result<Option<Sums>, LedgerError> {
        if !run.keeps_parts() {
            return Ok(None);
        }
        let mut sums = Sums::default();
        let all_counted = self
            .each_count(&run.id, consistency, |bucket, generation, counts| sums.add(bucket, generation, counts))
            .await?;
        Ok(all_counted.then_some(sums))
    }

    /// Returns the accounts of a run by its counts. If rows are not counted, they are read.
    pub async fn accounts_counted(
        &self,
        run: &Run,
        cursor: &Cursor,
        consistency: Consistency,
    ) -> Result<Accounts, LedgerError> {
        match self.sums(run, consistency).await? {
            Some(sums) => Ok(Accounts::counted(run, cursor, sums.all())),
            None => self.accounts_by_rows(run, cursor).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bucket::Width;

    #[test]
    fn buckets_with_open_jobs_are_kept_apart() {
        let bucket = |minute: i64| Bucket::of(minute * 60_000, Width::MINUTE);
        let counts = |jobs, completed| Counts { jobs, completed, parts_ended: jobs, lost: 1, ..Counts::default() };
        let mut sums = Sums::default();
        for (minute, generation, counts) in [
            (1, 1, counts(3, 3)),
            (1, 2, counts(2, 1)),
            (2, 2, counts(4, 4)),
            (3, 1, counts(1, 0)),
            (3, 2, counts(1, 0)),
            (4, 2, counts(6, 6)),
        ] {
            sums.add(bucket(minute), generation, counts);
        }
        assert_eq!(sums.open_buckets(), [bucket(1), bucket(3)]);
        assert_eq!((sums.has_open(&bucket(1), 2), sums.has_open(&bucket(1), 1)), (true, false));
        assert_eq!((sums.parts_ended(1), sums.parts_ended(2), sums.lost()), (4, 13, 6));
        let closed: Vec<(u32, i64)> = sums.closed().map(|(generation, counts)| (generation, counts.jobs)).collect();
        assert_eq!(closed, [(1, 3), (2, 10)]);
        assert_eq!(sums.all().map(|(_, counts)| counts.jobs).sum::<i64>(), 17);
    }
}
