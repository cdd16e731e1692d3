//! The users of an ended run without a known end: those of parts that were not sent, and those of jobs whose
//! end is not known.

use std::cmp::Ordering;

use super::super::{Ledger, LedgerError, PartEnd};
use super::{RetriedUsers, STEPS_MAX};
use crate::domain::bucket::Bucket;
use crate::domain::job::JobId;
use crate::domain::part::{Part, PartId};
use crate::domain::run::{Cursor, RetryPlace, Run};

/// Buckets whose jobs are read in one step.
const BUCKETS_AT_ONCE: usize = 20;

impl Ledger {
    /// Returns users without a known end: those of parts that were not sent, and those of jobs whose end is
    /// not known.
    pub(super) async fn unknown_users(
        &self,
        first: (&Run, &Cursor),
        after: Option<&RetryPlace>,
        most: usize,
    ) -> Result<RetriedUsers, LedgerError> {
        let mut found = RetriedUsers::default();
        let in_jobs = match after {
            Some(RetryPlace::Job { bucket, job, patches }) => Some((bucket, job.as_ref(), *patches)),
            Some(RetryPlace::Part { part, patches }) => {
                if !self.users_of_parts(first, Some((part, *patches)), most, &mut found).await? {
                    return Ok(found);
                }
                None
            }
            _ => {
                if !self.users_of_parts(first, None, most, &mut found).await? {
                    return Ok(found);
                }
                None
            }
        };
        self.users_of_jobs(first, in_jobs, most, &mut found).await?;
        Ok(found)
    }

    /// Adds the users without an outcome in parts that have no end or were dropped. Returns whether these
    /// are all of them; if not, the place is set.
    async fn users_of_parts(
        &self,
        (run, cursor): (&Run, &Cursor),
        after: Option<(&PartId, u32)>,
        most: usize,
        found: &mut RetriedUsers,
    ) -> Result<bool, LedgerError> {
        if !run.keeps_parts() {
            return Ok(true);
        }
        let mut at = after.map(|(part, _)| part.clone());
        if let Some((part, patches)) = after
            && !self.users_of_part(run, part, patches, most, found).await?
        {
            return Ok(false);
        }
        let earliest = (1..=run.generation).find(|generation| cursor.counts_errors_of(*generation));
        let first = at.as_ref().map(|part| part.generation).or(earliest).unwrap_or(run.generation);
        let mut steps = 0;
        for generation in first..=run.generation {
            let mut after = at.take();
            while let Some(unended) = self.parts_not_done(run, generation, after.as_ref()).await? {
                for part in &unended.parts {
                    if !self.users_of_part(run, part, 0, most, found).await? {
                        return Ok(false);
                    }
                }
                steps += 1;
                if steps >= STEPS_MAX {
                    found.reached = Some(RetryPlace::Part { part: unended.to, patches: u32::MAX });
                    return Ok(false);
                }
                after = Some(unended.to);
            }
        }
        Ok(true)
    }

    /// Adds the users of a part without an outcome, from this patch on. Returns whether all of them fit.
    async fn users_of_part(
        &self,
        run: &Run,
        id: &PartId,
        from: u32,
        most: usize,
        found: &mut RetriedUsers,
    ) -> Result<bool, LedgerError> {
        if from == u32::MAX {
            return Ok(true);
        }
        let row = self.part(&run.id, id).await?;
        if row.as_ref().is_some_and(|row| !matches!(row.end, None | Some(PartEnd::Dropped))) {
            return Ok(true);
        }
        let outcomes = row.and_then(|row| row.outcomes);
        // A part that was never leased has no row.
        let parts = self.bodies(&run.id, run.v, vec![id.clone()]).await?;
        let Some(Part { patches, .. }) = parts.into_iter().next() else { return Ok(true) };
        let is_open = |place: usize| outcomes.as_ref().is_none_or(|outcomes| outcomes.of(place).is_open());
        let open = patches.into_iter().enumerate().skip(from as usize).filter(|(place, _)| is_open(*place));
        let users =
            open.map(|(place, patch)| (patch.user, RetryPlace::Part { part: id.clone(), patches: place as u32 + 1 }));
        let all = found.add(users, most);
        if !all {
            *found = std::mem::take(found).cut();
        }
        Ok(all)
    }

    /// Adds the users of jobs whose end is not known, from a place on.
    async fn users_of_jobs(
        &self,
        (run, cursor): (&Run, &Cursor),
        after: Option<(&Bucket, Option<&JobId>, u32)>,
        most: usize,
        found: &mut RetriedUsers,
    ) -> Result<(), LedgerError> {
        let buckets = self.buckets_of(&run.id).await?;
        let is_left = |bucket: &&Bucket| match after {
            // Behind its last job.
            Some((at, None, _)) => *bucket > at,
            Some((at, Some(_), _)) => *bucket >= at,
            None => true,
        };
        let left: Vec<&Bucket> = buckets.iter().filter(is_left).collect();
        for (read, bucket) in left.iter().enumerate() {
            if read >= BUCKETS_AT_ONCE * STEPS_MAX {
                found.reached = Some(RetryPlace::Job { bucket: left[read - 1].clone(), job: None, patches: 0 });
                return Ok(());
            }
            let mut jobs = self.jobs(bucket).await?;
            jobs.retain(|job| job.run == run.id && !job.end_is_known() && cursor.counts_errors_of(job.generation));
            jobs.sort_by(|one, other| one.job.cmp(&other.job));
            for job in jobs {
                let from = match after {
                    Some((at, Some(of), patches)) if at == *bucket => match job.job.cmp(of) {
                        Ordering::Less => continue,
                        Ordering::Equal => patches,
                        Ordering::Greater => 0,
                    },
                    _ => 0,
                };
                let patches = self.changes_of(&job).await?.parts.into_iter().flat_map(|of| of.patches);
                let place =
                    |patches| RetryPlace::Job { bucket: (*bucket).clone(), job: Some(job.job.clone()), patches };
                let users = patches.enumerate().skip(from as usize);
                if !found.add(users.map(|(read, patch)| (patch.user, place(read as u32 + 1))), most) {
                    *found = std::mem::take(found).cut();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
