//! Ended runs that are not settled: a job or a request of theirs may still change values. No later
//! run reads a page before they are settled, so that an older value never overwrites a newer one.

use serde::{Deserialize, Serialize};

use super::decide::time_of_day;
use super::{Accounts, Cursor, Phase, Run, RunId};
use crate::domain::bucket::Bucket;
use crate::domain::job::{JobId, UNKNOWN_AFTER_MS};

/// The most runs that are not settled. A further start waits.
pub const UNSETTLED_MAX: usize = 10;
/// The time-out of a request to Intercom, in milliseconds.
pub const REQUEST_MOST_MS: i64 = 25_000;
/// Time after which Intercom carries out no request that its sender gave up, in milliseconds.
pub const LATE_MS: i64 = 60_000;
/// The longest lease of a part, in milliseconds: submit's time-out (template.yaml) and 10 s. It is
/// the estimate until the leases are read.
pub const LEASE_MOST_MS: i64 = 310_000;
/// Time after which a run is settled even if no look at it succeeds, in milliseconds. Check closes each
/// job by then, and a request of the run is over.
const OVER_MS: i64 = UNKNOWN_AFTER_MS + LEASE_MOST_MS + REQUEST_MOST_MS + LATE_MS + 600_000;
/// Time after a run's end, or after its next generation, from which each lease under which a request
/// may begin is in the ledger, in milliseconds. A request begins within a second of a read of its run,
/// and clocks differ by less than the rest.
pub(super) const SEEN_AFTER_MS: i64 = 5_000;

/// An ended run that is not settled, in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The run.
    #[serde(rename = "run")]
    pub id: RunId,
    /// Time of its end, in Unix milliseconds.
    pub ended_ms: i64,
    /// The latest time at which one of its requests can take effect, in Unix milliseconds.
    pub writes_until_ms: i64,
    /// Its open jobs at the last look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jobs: Option<OpenJobs>,
    /// The latest time at which a request with an unknown outcome was sent, in Unix milliseconds; 0
    /// without one.
    #[serde(default)]
    pub sent_ms: i64,
    /// The latest time at which a job of such a request sets values, in Unix milliseconds; 0 without
    /// one.
    #[serde(default)]
    pub lost_until_ms: i64,
    /// Time of the next look at it, in Unix milliseconds.
    pub due_ms: i64,
    /// Looks so far.
    #[serde(default)]
    pub looks: u32,
    /// Time at which an operator released it, in Unix milliseconds. Only `writes_until_ms` is
    /// waited for then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_ms: Option<i64>,
    /// The time after which lists show its writes, in milliseconds.
    #[serde(default)]
    pub list_lag_ms: i64,
}

/// The open jobs of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenJobs {
    /// Their number.
    pub count: u64,
    /// The oldest one.
    pub oldest: JobId,
    /// Its bucket.
    pub bucket: Bucket,
    /// Its creation time, in Unix milliseconds.
    pub since_ms: i64,
    /// Creation time of the youngest one, in Unix milliseconds.
    pub last_ms: i64,
}

impl OpenJobs {
    /// Adds a job.
    pub fn add(open: &mut Option<Self>, job: &JobId, bucket: &Bucket, made_ms: i64) {
        let count = open.as_ref().map_or(0, |open| open.count) + 1;
        let last_ms = open.as_ref().map_or(made_ms, |open| open.last_ms.max(made_ms));
        match open {
            Some(open) if open.since_ms <= made_ms => (open.count, open.last_ms) = (count, last_ms),
            _ => {
                let (oldest, bucket) = (job.clone(), bucket.clone());
                *open = Some(Self { count, oldest, bucket, since_ms: made_ms, last_ms });
            }
        }
    }

    /// Returns the time at which the last of them is closed at the latest, in Unix milliseconds.
    pub fn until_ms(&self) -> i64 {
        self.last_ms + UNKNOWN_AFTER_MS
    }
}

/// Times that decide when a run is settled, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct SettleTimes {
    /// The longest time from the end of a lease until its request has taken effect: the time-out,
    /// and the time by which Intercom may be late.
    pub request_ms: i64,
    /// The longest time from the end of a lease until the job of its request sets no more values, if
    /// the run writes by jobs.
    pub unknown_life_ms: i64,
    /// The first wait between two looks.
    pub look_first_ms: i64,
    /// The longest wait between two looks.
    pub look_most_ms: i64,
}

impl SettleTimes {
    /// Returns the longest time after a request with an unknown outcome was sent at which it, or its
    /// job, sets values, in milliseconds.
    pub fn life_ms(&self, run: &Run) -> i64 {
        if run.writes_jobs() { self.unknown_life_ms } else { self.request_ms }
    }
}

/// The result of a look at an unsettled run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It can change no value any more.
    Settled,
    /// It is not settled.
    Waits(Unsettled),
}

impl Unsettled {
    /// Returns an ended run as it is before the first look; `None` if it can change no value. That
    /// is: it sent no part, or all of its parts and jobs have ended and no job or answer is possibly
    /// lost.
    pub fn at_end(run: &Run, cursor: &Cursor) -> Option<Self> {
        let ended_ms = run.ended_ms?;
        let has_sent = cursor.pages_in_all > 0 || !run.keeps_parts() && may_have_sent(cursor);
        let has_ended = run.totals.as_ref().is_some_and(|totals| totals.jobs_possibly_lost == 0);
        let has_answers = run.totals.as_ref().is_some_and(|totals| totals.unknown_sent_ms == 0);
        if run.limits.dry_run || has_ended && has_answers || !has_sent {
            return None;
        }
        Some(Self {
            id: run.id.clone(),
            ended_ms,
            writes_until_ms: ended_ms + LEASE_MOST_MS + REQUEST_MOST_MS + LATE_MS,
            jobs: None,
            sent_ms: 0,
            lost_until_ms: 0,
            due_ms: ended_ms + SEEN_AFTER_MS,
            looks: 0,
            released_ms: None,
            list_lag_ms: run.api.list_lag_ms(),
        })
    }

    /// Decides by the accounts of `run`, the run itself, whether it is settled: its jobs are closed, its
    /// leases are over, and its possibly lost jobs have outlived a job's life.
    pub fn after_look(&self, run: &Run, accounts: &Accounts, times: &SettleTimes, now_ms: i64) -> Looked {
        // A lease that is not released counts as a request with an unknown outcome.
        let unknown = Some(accounts.made_last_ms).filter(|sent_ms| *sent_ms > 0);
        let is_seen = now_ms >= self.ended_ms + SEEN_AFTER_MS;
        let writes_until_ms = unknown.map_or(self.ended_ms, |sent_ms| sent_ms + times.request_ms);
        let next = Self {
            writes_until_ms: if is_seen { writes_until_ms } else { self.writes_until_ms },
            jobs: accounts.open.clone(),
            sent_ms: unknown.unwrap_or_default(),
            // Without jobs, a request is over with `writes_until_ms`.
            lost_until_ms: unknown.filter(|_| run.writes_jobs()).map_or(0, |sent_ms| sent_ms + times.unknown_life_ms),
            ..self.clone()
        };
        if next.is_over(now_ms) { Looked::Settled } else { Looked::Waits(next.looked(times, now_ms)) }
    }

    /// Returns the wait after the next look, in milliseconds.
    fn wait_ms(&self, times: &SettleTimes) -> i64 {
        times.look_first_ms.saturating_mul(i64::from(self.looks) + 1).min(times.look_most_ms)
    }

    /// Returns it after a look that failed.
    #[must_use]
    pub fn not_looked(self, times: &SettleTimes, now_ms: i64) -> Self {
        Self { due_ms: now_ms + self.wait_ms(times), looks: self.looks + 1, ..self }
    }

    /// Returns it after a look that found it as it was.
    #[must_use]
    pub fn looked(self, times: &SettleTimes, now_ms: i64) -> Self {
        let wait_ms = self.wait_ms(times);
        // Without a job, nothing but time changes it; a lease may be given back before its end.
        let over_ms = match &self.jobs {
            _ if self.released_ms.is_some() => self.writes_until_ms,
            Some(_) => i64::MAX,
            None => self.writes_until_ms.max(self.lost_until_ms),
        };
        Self { due_ms: (now_ms + wait_ms).min(over_ms.max(now_ms + 1)), looks: self.looks + 1, ..self }
    }

    /// Returns it as an operator's release leaves it.
    #[must_use]
    pub fn released(self, now_ms: i64) -> Self {
        Self { released_ms: Some(now_ms), due_ms: self.writes_until_ms, ..self }
    }

    /// Returns whether it is over by what is known.
    fn is_over(&self, now_ms: i64) -> bool {
        let waits_for_jobs = self.released_ms.is_none() && (self.jobs.is_some() || now_ms < self.lost_until_ms);
        !waits_for_jobs && now_ms >= self.writes_until_ms && now_ms >= self.ended_ms + SEEN_AFTER_MS
    }

    /// Returns whether it is settled without a look: it is released and its requests are over, or it
    /// ended so long ago that all its jobs are closed.
    pub fn is_over_without_a_look(&self, now_ms: i64) -> bool {
        self.released_ms.is_some() && self.is_over(now_ms) || now_ms - self.ended_ms >= OVER_MS
    }

    /// Returns the latest time at which it is settled, in Unix milliseconds, by what is known.
    pub fn until_ms(&self) -> i64 {
        if self.released_ms.is_some() {
            return self.writes_until_ms;
        }
        let jobs_ms = self.jobs.as_ref().map_or(0, OpenJobs::until_ms);
        jobs_ms.max(self.lost_until_ms).max(self.writes_until_ms)
    }

    /// Returns the time from which on lists show its writes, once a look at `now_ms` finds it settled.
    pub fn visible_at_ms(&self, now_ms: i64) -> Option<i64> {
        let over_ms = if self.jobs.is_some() { now_ms } else { self.writes_until_ms.max(self.lost_until_ms) };
        (self.list_lag_ms > 0).then(|| over_ms.min(now_ms) + self.list_lag_ms)
    }

    /// Returns what it waits for, in words: job, run, since when and until when.
    pub fn why(&self) -> String {
        let Self { id, .. } = self;
        let until = time_of_day(self.until_ms());
        if self.released_ms.is_none() {
            if let Some(jobs) = &self.jobs {
                return format!("{} of {id} must end first, at {until} at the latest", jobs.words());
            }
            if self.lost_until_ms > self.writes_until_ms {
                let sent = time_of_day(self.sent_ms);
                return format!(
                    "a request of {id} whose outcome is unknown, sent by {sent}, may set values until {until}"
                );
            }
        }
        let ended = time_of_day(self.ended_ms);
        format!("requests of {id}, which ended at {ended}, may take effect until {until}")
    }
}

impl Run {
    /// Returns the latest time at which a request or a job of this ended run may have changed a value, in Unix
    /// milliseconds. It is settled at `settled_ms`. No time of a write is stored.
    pub fn changed_by_ms(&self, cursor: &Cursor, settled_ms: i64) -> i64 {
        let Some(ended_ms) = self.ended_ms else { return settled_ms };
        let was_unsettled = Unsettled::at_end(self, cursor).is_some();
        settled_ms.min(if was_unsettled { ended_ms + OVER_MS } else { ended_ms })
    }
}

/// Returns whether a run of format 1 may have sent parts of a page that was not committed. Other runs
/// send the parts of a page after its commit.
fn may_have_sent(cursor: &Cursor) -> bool {
    let reads = cursor.generation > 1 || cursor.phase == Phase::Settling || cursor.lease.is_some();
    reads && cursor.after.is_none()
}

impl OpenJobs {
    /// Returns the jobs in words, with the oldest one and the time since which it is open.
    pub fn words(&self) -> String {
        let Self { count, oldest, since_ms, .. } = self;
        let since = time_of_day(*since_ms);
        match count {
            0 | 1 => format!("bulk job {oldest}, open since {since},"),
            count => format!("{count} bulk jobs (the oldest is {oldest}, open since {since})"),
        }
    }
}

#[cfg(test)]
mod tests;
