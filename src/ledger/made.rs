//! The changes that a run made, by the rows of its jobs and parts, some at a time: which of them Intercom
//! carried out, and which may have been. An undo reads them.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::attributes::{key, run_pk};
use super::{ChangesOfPart, ErrorRow, JobRow, Ledger, LedgerError, PartEnd, PartRow};
use crate::domain::api::Writing;
use crate::domain::bucket::Bucket;
use crate::domain::job::JobId;
use crate::domain::part::{Part, PartId, UserOutcome};
use crate::domain::patch::Patch;
use crate::domain::run::{FORMAT_1, RetryPlace, Run};
use crate::domain::undo::Made;
use crate::domain::user::UserId;

/// The code of a user whose values Intercom carried out and keeps otherwise.
pub const NOT_KEPT: &str = "not_kept";
/// Error rows that are read concurrently.
const AT_ONCE: usize = 8;
/// Jobs or parts that are read before the place is returned.
const READ_AT_ONCE: usize = 20;

/// The changes that one request for a user made or may have made.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeOfUser {
    /// The user.
    pub user: UserId,
    /// The time of the request, in Unix milliseconds: that of its job, or the latest possible one.
    pub at_ms: i64,
    /// The part.
    pub part: PartId,
    /// The job; `None` if the request has no record.
    pub job: Option<JobId>,
    /// The changes.
    pub made: Vec<Made>,
}

/// Some changes of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SomeMade {
    /// The changes, each user of each request once.
    pub users: Vec<MadeOfUser>,
    /// The place behind them; `None` after the last ones.
    pub reached: Option<RetryPlace>,
}

/// The knowledge about a user's item of a closed job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Done,
    /// It may have been carried out, as a whole or in part.
    Maybe,
    NotDone,
}

impl Ledger {
    /// Returns changes of a settled run of all its generations, from a place on: those in jobs, then those in
    /// parts whose requests have no record.
    pub async fn made_changes(&self, run: &Run, after: Option<&RetryPlace>) -> Result<SomeMade, LedgerError> {
        let mut some = SomeMade::default();
        let (job, part) = match after {
            Some(RetryPlace::Part { part, .. }) => (None, Some(part)),
            Some(RetryPlace::Job { bucket, job, .. }) => (Some((bucket, job.as_ref())), None),
            Some(RetryPlace::Error(_)) | None => (None, None),
        };
        if part.is_some() || self.made_in_jobs(run, job, &mut some).await? {
            self.made_in_parts(run, part, &mut some).await?;
        }
        Ok(some)
    }

    /// Adds the changes of some jobs behind a place: a bucket of an hour has more than one turn can list.
    /// Returns whether these were the last ones.
    async fn made_in_jobs(
        &self,
        run: &Run,
        after: Option<(&Bucket, Option<&JobId>)>,
        some: &mut SomeMade,
    ) -> Result<bool, LedgerError> {
        let buckets = self.buckets_of(&run.id).await?;
        let mut read = 0;
        let is_left =
            |bucket: &Bucket| after.is_none_or(|(after, job)| bucket > after || bucket == after && job.is_some());
        for bucket in buckets.into_iter().filter(is_left) {
            let done = after.filter(|(after, _)| **after == bucket).and_then(|(_, job)| job);
            // In the order of their ids.
            for job in self.jobs(&bucket).await?.into_iter().filter(|job| job.run == run.id) {
                if done.is_some_and(|done| job.job <= *done) {
                    continue;
                }
                if read >= READ_AT_ONCE {
                    return Ok(false);
                }
                some.users.extend(self.made_in_job(run, &job).await?);
                read += 1;
                some.reached = Some(RetryPlace::Job { bucket: bucket.clone(), job: Some(job.job), patches: 0 });
            }
            // An empty bucket costs a request, too.
            read += 1;
            some.reached = Some(RetryPlace::Job { bucket, job: None, patches: 0 });
        }
        some.reached = None;
        Ok(true)
    }

    async fn made_in_job(&self, run: &Run, job: &JobRow) -> Result<Vec<MadeOfUser>, LedgerError> {
        let changes = self.changes_of(job).await?;
        let refused = self.refused(run, job, &changes.parts).await?;
        // The ledger has no patches of a follow-up part of format 1.
        let again = job.again.iter().filter(|_| job.v > FORMAT_1).cloned().collect();
        let again = self.bodies(&run.id, run.v, again).await?;
        let again: BTreeSet<UserId> = again.into_iter().flat_map(|part| part.patches).map(|patch| patch.user).collect();
        let items = changes.parts.iter().flat_map(|of| of.patches.iter().map(move |patch| (of, patch)));
        let mut users = Vec::new();
        for (of, patch) in items {
            let is_refused = match refused.iter().find(|row| row.user == patch.user.as_str()) {
                Some(row) => row.code != NOT_KEPT,
                None => again.contains(&patch.user),
            };
            let made = made(patch, &of.part, job.made_ms, known(run, job, is_refused));
            users.extend(made.map(|made| MadeOfUser { job: Some(job.job.clone()), ..made }));
        }
        Ok(users)
    }

    /// Returns the error rows of a job's users, as check or submit recorded them for it.
    async fn refused(&self, run: &Run, job: &JobRow, parts: &[ChangesOfPart]) -> Result<Vec<ErrorRow>, LedgerError> {
        if job.failed == 0 {
            return Ok(Vec::new());
        }
        let of_job = format!("job {}", job.job);
        let mut keys = BTreeSet::new();
        for of in parts {
            let at = if job.job.is_of_answers() { format!("part {}", of.part) } else { of_job.clone() };
            keys.extend(of.patches.iter().map(|patch| format!("ERROR#{}#{at}", patch.user)));
        }
        let gets: Vec<_> = keys.into_iter().map(|sk| self.error_at(run, sk)).collect();
        let rows: Vec<Option<ErrorRow>> = stream::iter(gets).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(rows.into_iter().flatten().collect())
    }

    async fn error_at(&self, run: &Run, sk: String) -> Result<Option<ErrorRow>, LedgerError> {
        self.get(&key(run_pk(&run.id), sk)).await
    }

    /// Adds the changes of parts that are not done and were sent perhaps, and of parts with a request whose
    /// outcome is unknown. Such a part may be done: its users became errors.
    async fn made_in_parts(&self, run: &Run, after: Option<&PartId>, some: &mut SomeMade) -> Result<(), LedgerError> {
        if !run.keeps_parts() {
            return Ok(());
        }
        let (mut after, mut read) = (after.cloned(), 0);
        let first = after.as_ref().map_or(1, |part| part.generation);
        for generation in first..=run.generation {
            let mut at = after.take();
            let is_recorded = |row: &PartRow| row.end == Some(PartEnd::Done) && !has_lost(row);
            while let Some(unended) = self.parts_without(run, generation, at.as_ref(), is_recorded).await? {
                for part in &unended.parts {
                    some.users.extend(self.made_in_part(run, part).await?);
                    read += 1;
                }
                // Parts that are recorded cost requests, too.
                read += 1;
                if read >= READ_AT_ONCE {
                    some.reached = Some(RetryPlace::Part { part: unended.to, patches: 0 });
                    return Ok(());
                }
                at = Some(unended.to);
            }
        }
        Ok(())
    }

    /// Returns the changes of a part that a request without a record may have made.
    async fn made_in_part(&self, run: &Run, id: &PartId) -> Result<Vec<MadeOfUser>, LedgerError> {
        // A part without a row was never leased.
        let Some(row) = self.part(&run.id, id).await? else { return Ok(Vec::new()) };
        let is_sent = has_lost(&row) || row.lease_owner.is_some() || row.end == Some(PartEnd::GivenUp);
        let is_maybe = |place: usize| match row.outcomes.as_ref().map(|outcomes| outcomes.of(place)) {
            None => is_sent,
            Some(UserOutcome::Unknown) => true,
            // Intercom refused the last request for the user, and not the one that was lost.
            Some(UserOutcome::Refused) => has_lost(&row),
            Some(outcome) => is_sent && outcome.is_open(),
        };
        if !(0..row.users as usize).any(is_maybe) {
            return Ok(Vec::new());
        }
        let at_ms = row.lost_until_ms.or(row.lease_until_ms).or(run.ended_ms).unwrap_or(i64::MAX);
        let parts = self.bodies(&run.id, run.v, vec![id.clone()]).await?;
        let patches = parts.into_iter().flat_map(|Part { patches, .. }| patches).enumerate();
        let maybe = patches.filter(|(place, _)| is_maybe(*place));
        Ok(maybe.filter_map(|(_, patch)| made(&patch, id, at_ms, Known::Maybe)).collect())
    }
}

/// Returns whether a request for users of a part has no known outcome.
fn has_lost(row: &PartRow) -> bool {
    row.lost > 0 || row.lost_until_ms.is_some()
}

/// Returns the changes of a user's item, unless it was not carried out.
fn made(patch: &Patch, part: &PartId, at_ms: i64, known: Known) -> Option<MadeOfUser> {
    let is_done = match known {
        Known::Done => true,
        Known::Maybe => false,
        Known::NotDone => return None,
    };
    let made = patch.changes.iter().map(|change| Made { change: change.clone(), is_done }).collect();
    Some(MadeOfUser { user: patch.user.clone(), at_ms, part: part.clone(), job: None, made })
}

/// Returns what is known about a user's item of a job. `is_refused` says that the user has an error for it, or
/// is sent again.
fn known(run: &Run, job: &JobRow, is_refused: bool) -> Known {
    // Such a job may have carried out some of a user's changes. Its users are told apart by reads.
    let tells_refused =
        !matches!(run.api.capabilities().write, Writing::JobsOrAnswers { .. }) || job.job.is_of_answers();
    let again_unnamed = job.again.is_some() && job.v == FORMAT_1;
    match is_refused {
        true if tells_refused => Known::NotDone,
        false if job.end_is_known() && !job.counts_unnamed() && !again_unnamed => Known::Done,
        _ => Known::Maybe,
    }
}
