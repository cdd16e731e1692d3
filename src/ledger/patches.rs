//! The patches of a run with their outcomes, for people who look at it: from the jobs, and from the parts that
//! are in no job. Jobs are read bucket by bucket, so that memory grows with the failed users only.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};

use super::attributes::{readable, run_pk, text};
use super::select::Select;
use super::{Changes, ChangesOfPart, JobRow, Ledger, LedgerError, PartEnd, PartRow};
use crate::domain::job::JobId;
use crate::domain::part::{Origin, Part, PartId, UserOutcome};
use crate::domain::patch::{Patch, Target};
use crate::domain::run::{FORMAT_1, Run};
use crate::domain::user::UserId;

/// Jobs, or rows of parts, that are read concurrently.
const AT_ONCE: usize = 8;

/// The outcome of a patch, as far as the ledger knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PatchOutcome {
    /// Intercom carried it out.
    Written,
    /// Intercom carried it out, unless it is the patch of one of some users of its job that were gone, or that
    /// something else had changed. The ledger has their number only.
    Unsure,
    /// The request may have been carried out: its answer was lost, or its job has no known end.
    Unknown,
    /// It is in an open job.
    Open,
    /// The user has an error.
    Failed,
    /// It waits in its part.
    Pending,
    /// The run ended before it was sent.
    NotSent,
}

impl PatchOutcome {
    /// Returns whether Intercom carried it out, as far as the ledger can tell.
    pub fn is_carried_out(self) -> bool {
        matches!(self, Self::Written | Self::Unsure)
    }
}

/// A patch with its outcome.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenPatch {
    /// The generation that made it. A user can have a patch in each.
    pub generation: u32,
    /// The job that it was sent in, if it was.
    pub job: Option<JobId>,
    /// The patch. Changes that a follow-up part sends again are in that part's patch.
    pub patch: Patch,
    /// The outcome.
    pub outcome: PatchOutcome,
}

/// The users with an error, by its place. Of each text only a hash is held: a run can have millions.
#[derive(Debug, Default)]
struct FailedUsers(HashMap<u64, HashSet<u64>>);

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

impl FailedUsers {
    fn add(&mut self, user: &str, at: &str) {
        self.0.entry(hash(at)).or_default().insert(hash(user));
    }

    /// Takes a user with an error at this place out. Returns whether there was one.
    fn take(&mut self, user: &str, at: &str) -> bool {
        self.0.get_mut(&hash(at)).is_some_and(|users| users.remove(&hash(user)))
    }

    fn has_any(&self, at: &str) -> bool {
        self.0.get(&hash(at)).is_some_and(|users| !users.is_empty())
    }
}

fn at_part(part: &PartId) -> String {
    format!("part {part}")
}

impl JobRow {
    /// Returns the outcome of its patches, except of those that failed or are sent again.
    fn outcome_of_patches(&self) -> PatchOutcome {
        // Without the follow-up part's patches, those that are sent again look as if they were written.
        let again_unnamed = self.again.is_some() && self.v == FORMAT_1;
        match self.end {
            None => PatchOutcome::Open,
            Some(_) if !self.end_is_known() => PatchOutcome::Unknown,
            Some(_) if self.counts_unnamed() || again_unnamed => PatchOutcome::Unsure,
            Some(_) => PatchOutcome::Written,
        }
    }
}

/// The patches of a job.
struct JobContent<'a> {
    job: &'a JobRow,
    changes: Changes,
    /// The patches of its follow-up part.
    again: Vec<Patch>,
}

impl JobContent<'_> {
    /// Returns the patches with their outcomes, without the changes that are sent again.
    fn patches(self, failed: &mut FailedUsers) -> Vec<SeenPatch> {
        let Self { job, changes, again } = self;
        let is_again = |user: &UserId, target: &Target| {
            again.iter().any(|again| again.user == *user && again.changes.iter().any(|of| of.target == *target))
        };
        let (outcome, at_job) = (job.outcome_of_patches(), format!("job {}", job.job));
        let mut seen = Vec::new();
        let own = changes.parts.into_iter().filter(|of| !job.is_decided_elsewhere(&of.part));
        for ChangesOfPart { part, patches } in own {
            let at_part = at_part(&part);
            for Patch { user, mut changes } in patches {
                let has_failed = failed.take(user.as_str(), &at_job) || failed.take(user.as_str(), &at_part);
                changes.retain(|change| has_failed || !is_again(&user, &change.target));
                if !changes.is_empty() {
                    let outcome = if has_failed { PatchOutcome::Failed } else { outcome };
                    let (generation, job) = (job.generation, Some(job.job.clone()));
                    seen.push(SeenPatch { generation, job, patch: Patch { user, changes }, outcome });
                }
            }
        }
        seen
    }
}

/// Returns the outcome of a patch of a part that is in no job; `None` if it is in one. `failed`: its user has
/// an error at the part.
fn outside_jobs(row: Option<&PartRow>, place: usize, failed: bool, ended: bool) -> Option<PatchOutcome> {
    let end = row.and_then(|row| row.end);
    let outcome = match row.and_then(|row| row.outcomes.as_ref()) {
        Some(outcomes) => outcomes.of(place),
        None if end == Some(PartEnd::Done) => UserOutcome::InJob,
        None => UserOutcome::Open,
    };
    match outcome {
        UserOutcome::Unknown => Some(PatchOutcome::Unknown),
        _ if failed => Some(PatchOutcome::Failed),
        UserOutcome::Open if ended || end.is_some() => Some(PatchOutcome::NotSent),
        UserOutcome::Open => Some(PatchOutcome::Pending),
        UserOutcome::InJob | UserOutcome::Written | UserOutcome::Refused | UserOutcome::Gone => None,
    }
}

impl Ledger {
    /// Reads the patches of a run with their outcomes, some at a time: those in jobs, in the order of the
    /// buckets. With `all` also those that are in no job, in the order of the pages; runs of format 1 have
    /// none of these in the ledger. `each` returns whether to continue. The patches of a
    /// resubmission that are in another job, too, are left out.
    pub async fn each_patch(
        &self,
        run: &Run,
        all: bool,
        mut each: impl FnMut(SeenPatch) -> bool,
    ) -> Result<(), LedgerError> {
        let mut failed = self.failures_of(run).await?;
        let mut follow_ups = Vec::new();
        for bucket in self.buckets_of(&run.id).await? {
            let jobs: Vec<JobRow> = self.jobs(&bucket).await?.into_iter().filter(|job| job.run == run.id).collect();
            let reads: Vec<_> = jobs.iter().filter(|job| job.own_users() > 0).map(|job| self.content_of(job)).collect();
            let mut contents = stream::iter(reads).buffered(AT_ONCE);
            while let Some(content) = contents.try_next().await? {
                if !content.patches(&mut failed).into_iter().all(&mut each) {
                    return Ok(());
                }
            }
            follow_ups.extend(jobs.iter().filter_map(|job| job.again.clone()).filter(|_| all));
        }
        if !all || !run.keeps_parts() {
            return Ok(());
        }
        for generation in 1..=run.generation {
            let mut page = 0;
            loop {
                let parts = self.parts_of_pages(run, generation, page).await?;
                let Some(PartId { origin: Origin::Page { page: last, .. }, .. }) = parts.last() else { break };
                page = last + 1;
                if !self.each_patch_outside(run, parts, &mut failed, &mut each).await? {
                    return Ok(());
                }
            }
        }
        self.each_patch_outside(run, follow_ups, &mut failed, &mut each).await.map(|_| ())
    }

    async fn failures_of(&self, run: &Run) -> Result<FailedUsers, LedgerError> {
        let mut failed = FailedUsers::default();
        let select = Select { attributes: Some("#user, #at, v"), ..Select::new(run_pk(&run.id), "ERROR#") };
        self.select(&select, |items| {
            for item in items {
                readable(&item, "ERROR")?;
                failed.add(text(&item, "user"), text(&item, "at"));
            }
            Ok(true)
        })
        .await?;
        Ok(failed)
    }

    async fn content_of<'a>(&self, job: &'a JobRow) -> Result<JobContent<'a>, LedgerError> {
        let again = match job.again.as_ref().filter(|_| job.v > FORMAT_1) {
            Some(part) => self.bodies(&job.run, job.v, vec![part.clone()]).await?,
            None => Vec::new(),
        };
        let again = again.into_iter().flat_map(|part| part.patches).collect();
        Ok(JobContent { job, changes: self.changes_of(job).await?, again })
    }

    /// Reads the patches of parts that are in no job. Returns whether to continue.
    async fn each_patch_outside(
        &self,
        run: &Run,
        parts: Vec<PartId>,
        failed: &mut FailedUsers,
        each: &mut impl FnMut(SeenPatch) -> bool,
    ) -> Result<bool, LedgerError> {
        let rows: Vec<_> = parts.iter().map(|part| self.part(&run.id, part)).collect();
        let rows: Vec<Option<PartRow>> = stream::iter(rows).buffered(AT_ONCE).try_collect().await?;
        for (id, row) in parts.into_iter().zip(rows) {
            let at = at_part(&id);
            let is_done = row.as_ref().is_some_and(|row| row.end == Some(PartEnd::Done) && row.outcomes.is_none());
            if is_done && !failed.has_any(&at) {
                continue;
            }
            let bodies = self.bodies(&run.id, run.v, vec![id]).await?;
            for Part { id, patches, .. } in bodies {
                for (place, patch) in patches.into_iter().enumerate() {
                    let has_failed = failed.take(patch.user.as_str(), &at);
                    if let Some(outcome) = outside_jobs(row.as_ref(), place, has_failed, run.state.ended())
                        && !each(SeenPatch { generation: id.generation, job: None, patch, outcome })
                    {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::part::Outcomes;

    #[test]
    fn patch_outside_jobs_has_the_outcome_of_its_part() {
        let row = |end: Option<PartEnd>, outcomes: Option<&str>| PartRow {
            end,
            outcomes: outcomes.map(|letters| Outcomes::try_from(letters.to_owned()).unwrap()),
            ..serde_json::from_value(serde_json::json!({"generation": 1, "users": 6})).unwrap()
        };
        let letters = Some(".?jwrg");
        let all = |row: Option<&PartRow>, failed, ended| {
            (0..6).map(|place| outside_jobs(row, place, failed, ended).map_or("-", Into::into)).collect::<Vec<_>>()
        };
        for (row, failed, ended, expected) in [
            (None, false, false, ["pending"; 6]),
            (None, false, true, ["not_sent"; 6]),
            (Some(row(None, letters)), false, false, ["pending", "unknown", "-", "-", "-", "-"]),
            (Some(row(None, letters)), false, true, ["not_sent", "unknown", "-", "-", "-", "-"]),
            (Some(row(Some(PartEnd::Dropped), None)), false, false, ["not_sent"; 6]),
            (Some(row(Some(PartEnd::GivenUp), None)), true, false, ["failed"; 6]),
            (
                Some(row(Some(PartEnd::GivenUp), letters)),
                true,
                true,
                ["failed", "unknown", "failed", "failed", "failed", "failed"],
            ),
            (Some(row(Some(PartEnd::Done), None)), false, true, ["-"; 6]),
            (Some(row(Some(PartEnd::Done), None)), true, true, ["failed"; 6]),
        ] {
            assert_eq!(all(row.as_ref(), failed, ended), expected, "{row:?} {failed} {ended}");
        }
    }

    #[test]
    fn failed_user_is_taken_once() {
        let mut failed = FailedUsers::default();
        failed.add("u1", "job 1");
        assert!(failed.has_any("job 1") && !failed.has_any("u1"));
        assert!(!failed.take("u2", "job 1") && !failed.take("job 1", "u1"));
        assert!(failed.take("u1", "job 1") && !failed.take("u1", "job 1") && !failed.has_any("job 1"));
    }
}
