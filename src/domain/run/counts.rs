//! Counts of a run's jobs and parts, per bucket and generation. They change in the transactions of the
//! rows that they count, so they equal the rows at each moment. What they do not hold, the rows do:
//! times, leases and names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Accounts, Cursor, Run};
use crate::domain::bucket::Bucket;

/// Counts, or a change of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Bulk jobs.
    pub jobs: i64,
    /// Items of the jobs.
    pub items: i64,
    /// Users in the jobs. A resubmission, and a user that is sent again, count once.
    pub sent: i64,
    /// Jobs that Intercom completed.
    pub completed: i64,
    /// Jobs that Intercom completed with errors.
    pub completed_with_errors: i64,
    /// Jobs with an unknown end.
    pub unknown: i64,
    /// Users of closed jobs that Intercom did not refuse.
    pub written: i64,
    /// Users that Intercom does not have any more.
    pub gone: i64,
    /// Users of whom something else changed a value since they were read.
    pub changed_since: i64,
    /// Items of error feeds that name no known user.
    pub unattributed: i64,
    /// Users of jobs with an unknown end.
    pub users_unknown: i64,
    /// Users of jobs that Intercom reported as failed without naming them.
    pub failed_unnamed: i64,
    /// Ended parts.
    pub parts_ended: i64,
    /// Follow-up parts that closed jobs name.
    pub follow_ups: i64,
    /// Possibly lost jobs. In a run without jobs: leases that expired.
    pub lost: i64,
}

impl Counts {
    /// Returns the number of jobs that are not closed.
    pub fn jobs_open(&self) -> i64 {
        self.jobs - self.completed - self.completed_with_errors - self.unknown
    }

    /// Adds other counts.
    pub fn add(&mut self, more: &Self) {
        let Self {
            jobs,
            items,
            sent,
            completed,
            completed_with_errors,
            unknown,
            written,
            gone,
            changed_since,
            unattributed,
            users_unknown,
            failed_unnamed,
            parts_ended,
            follow_ups,
            lost,
        } = more;
        self.jobs += jobs;
        self.items += items;
        self.sent += sent;
        self.completed += completed;
        self.completed_with_errors += completed_with_errors;
        self.unknown += unknown;
        self.written += written;
        self.gone += gone;
        self.changed_since += changed_since;
        self.unattributed += unattributed;
        self.users_unknown += users_unknown;
        self.failed_unnamed += failed_unnamed;
        self.parts_ended += parts_ended;
        self.follow_ups += follow_ups;
        self.lost += lost;
    }

    /// Returns the jobs by their end, as [`super::Totals`] names the ends.
    pub fn by_end(&self) -> [(&'static str, i64); 3] {
        [
            ("completed", self.completed),
            ("completed_with_errors", self.completed_with_errors),
            ("unknown", self.unknown),
        ]
    }
}

/// The counts of one bucket and generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketCounts {
    /// The bucket.
    pub bucket: Bucket,
    /// The generation.
    pub generation: u32,
    /// The counts.
    pub counts: Counts,
    /// Users of `sent`, by window of the creation of their jobs (Unix time in units of 10 s).
    pub sends: BTreeMap<i64, u64>,
}

/// Returns a count as it is shown. A change that is read before the one it corrects may be negative.
fn shown(count: i64) -> u64 {
    count.max(0).unsigned_abs()
}

impl Accounts {
    /// Returns the accounts by the counts of a run, each with its generation. They have no times, leases
    /// and names, and count a user once per error.
    pub fn counted<'a>(run: &Run, cursor: &Cursor, counted: impl Iterator<Item = (u32, &'a Counts)>) -> Self {
        let mut accounts = Self::begun(run, cursor);
        accounts.totals.errors = run.errors + cursor.tally.errors;
        let mut parts = i64::try_from(cursor.parts).unwrap_or(i64::MAX);
        for (generation, counts) in counted {
            accounts.add_jobs(cursor, generation, counts);
            accounts.totals.jobs_possibly_lost += if run.writes_jobs() { shown(counts.lost) } else { 0 };
            accounts.open_counted += shown(counts.jobs_open());
            if generation == cursor.generation {
                parts += counts.follow_ups - counts.parts_ended;
            }
        }
        accounts.parts_open = shown(parts);
        accounts
    }

    /// Adds the jobs of a generation and their users.
    pub fn add_jobs(&mut self, cursor: &Cursor, generation: u32, counts: &Counts) {
        let now = generation == cursor.generation;
        let Self { totals, sent_now, .. } = self;
        totals.jobs += shown(counts.jobs);
        totals.patches += shown(counts.items);
        totals.sent += shown(counts.sent);
        totals.written += shown(counts.written);
        totals.written_before += if now { 0 } else { shown(counts.written) };
        for (end, jobs) in counts.by_end().into_iter().filter(|(_, jobs)| *jobs > 0) {
            *totals.jobs_by_end.entry(end.to_owned()).or_default() += shown(jobs);
        }
        if cursor.counts_errors_of(generation) {
            totals.unattributed += shown(counts.unattributed);
            totals.gone += shown(counts.gone);
            totals.changed_since += shown(counts.changed_since);
            totals.unknown += shown(counts.users_unknown);
            totals.failed_unnamed += shown(counts.failed_unnamed);
        }
        if now {
            *sent_now += shown(counts.sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::RunId;

    fn counted(run: &Run, cursor: &Cursor, counts: &[(u32, Counts)]) -> Accounts {
        Accounts::counted(run, cursor, counts.iter().map(|(generation, counts)| (*generation, counts)))
    }

    fn run(errors: u64) -> Run {
        let stored = serde_json::json!({"v": 2, "run": "p.1", "plan": "p", "state": "draining", "generation": 2,
            "started_ms": 0, "deadline_ms": 0, "errors": errors});
        serde_json::from_value(stored).unwrap()
    }

    #[test]
    fn only_the_present_generation_has_open_parts() {
        let mut cursor = Cursor::first(RunId::of("p", 0), 0, 0);
        (cursor.generation, cursor.parts, cursor.tally.errors) = (2, 5, 1);
        let first =
            Counts { jobs: 3, items: 300, sent: 290, completed: 3, written: 280, parts_ended: 4, ..Counts::default() };
        let second = Counts {
            jobs: 2,
            items: 150,
            sent: 140,
            completed_with_errors: 1,
            written: 90,
            parts_ended: 4,
            follow_ups: 1,
            lost: 1,
            ..Counts::default()
        };
        let accounts = counted(&run(2), &cursor, &[(1, first), (2, second), (2, Counts::default())]);
        let mut sum = Counts::default();
        sum.add(&first);
        sum.add(&second);
        assert_eq!((sum.jobs, sum.items, sum.follow_ups, sum.lost, sum.jobs_open()), (5, 450, 1, 1, 1));
        assert_eq!((accounts.parts_open, accounts.jobs_open(), accounts.sent_now), (2, 1, 140));
        let totals = &accounts.totals;
        assert_eq!((totals.jobs, totals.patches, totals.sent), (5, 450, 430));
        assert_eq!((totals.written, totals.written_before, totals.errors), (370, 280, 3));
        assert_eq!((totals.jobs_by_end["completed"], totals.jobs_by_end["completed_with_errors"]), (3, 1));
        assert_eq!((totals.jobs_possibly_lost, totals.jobs_by_end.len()), (1, 2));
        assert!(!accounts.settled());
    }

    #[test]
    fn unknown_users_of_a_generation_that_was_read_again_do_not_count() {
        let mut cursor = Cursor::first(RunId::of("p", 0), 0, 0);
        cursor.generation = 2;
        let unknown = Counts { jobs: 1, unknown: 1, users_unknown: 9, unattributed: 1, ..Counts::default() };
        let of = |cursor: &Cursor| counted(&run(0), cursor, &[(1, unknown)]).totals.unknown;
        assert_eq!(of(&cursor), 0);
        cursor.cut = Some("reading ended early".to_owned());
        assert_eq!(of(&cursor), 9);
    }
}
