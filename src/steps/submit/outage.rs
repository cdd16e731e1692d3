//! The difference between an outage and users that Intercom cannot accept, if no request of a part
//! succeeds.

use super::Round;
use super::leased::LeasedPart;
use super::refused::{PATCHES_MANY, changes_many};
use crate::domain::bucket::Bucket;
use crate::domain::run::{Phase, Run, RunId};
use crate::ledger::{Consistency, ErrorRow};
use crate::runtime::clients::StepError;

/// A generation that reads no more pages is nearly finished with at most this many open parts, or
/// with fewer than [`PATCHES_MANY`] users in them: the number of users in a part depends on the pages.
const FEW_PARTS: u64 = 3;
/// Time after which a failing part is given up, in milliseconds, if the run changes few users or
/// has few parts left.
///
/// In such a run no other request distinguishes an outage from a fault of these users. Without this
/// bound, a few users that Intercom cannot accept would keep the run open until its deadline. The
/// time is shorter than a new generation's wait for parts, so each part ends as errors of its users.
const FEW_MAX_MS: i64 = 3 * 3600 * 1000;
/// The same time for any run, if each user of the part failed before: in an earlier generation, or
/// in an earlier run of the plan. A later generation or run may consist of such users. The time is
/// long enough for eight attempts, so a short outage does not decide.
const FEW_AGAIN_MAX_MS: i64 = 20 * 60 * 1000;
/// Earlier runs of the plan whose errors are read.
const RUNS_BEFORE: usize = 3;

impl Round<'_> {
    /// Returns whether a part that has failed for this time is given up.
    pub(super) async fn fails_too_long(
        &self,
        run: &Run,
        part: &LeasedPart,
        failing_ms: i64,
        is_no_outage: bool,
    ) -> Result<bool, StepError> {
        Ok(failing_ms > FEW_AGAIN_MAX_MS
            && (self.failed_before(run, part).await?
                || failing_ms > FEW_MAX_MS && self.sends_little(run, is_no_outage).await?))
    }

    /// Returns whether the run may send no other request that is accepted: it changes few users, or has few
    /// parts left, or only parts like this one (`is_no_outage`), for which requests failed while Intercom
    /// accepted others.
    async fn sends_little(&self, run: &Run, is_no_outage: bool) -> Result<bool, StepError> {
        let Some(cursor) = self.clients.ledger.cursor(&run.id).await? else { return Ok(true) };
        if !changes_many(run, &cursor) {
            return Ok(true);
        }
        if cursor.phase == Phase::Turning {
            return Ok(false);
        }
        if is_no_outage {
            return Ok(true);
        }
        let ledger = &self.clients.ledger;
        let parts = ledger.accounts_counted(run, &cursor, Consistency::Strong).await?.parts_open;
        // Each open part has a user.
        if parts <= FEW_PARTS || parts >= PATCHES_MANY {
            return Ok(parts <= FEW_PARTS);
        }
        let left = ledger.users_left(run, cursor.generation, parts).await?;
        Ok(left.is_some_and(|users| users < PATCHES_MANY))
    }

    /// Returns whether each user of the part failed in an earlier generation of the run, or in an
    /// earlier run of its plan.
    async fn failed_before(&self, run: &Run, part: &LeasedPart) -> Result<bool, StepError> {
        let ledger = &self.clients.ledger;
        let LeasedPart { work, outcomes, .. } = part;
        let generation = work.part.id.generation;
        let mut before = Vec::new();
        for id in ledger.runs_before(run, RUNS_BEFORE).await? {
            before.extend(ledger.run(&id).await?);
        }
        // Errors of pages and jobs do not count. Generation 0 marks rows of an earlier version.
        let is_of_part = |row: &ErrorRow| row.at.starts_with("part ");
        let is_earlier = |row: &ErrorRow| (1..generation).contains(&row.generation) && is_of_part(row);
        // User by user: a run can have millions of errors.
        for (user, patch) in work.part.patches.iter().enumerate() {
            if !outcomes.of(user).is_open() {
                continue;
            }
            let mut failed = generation > 1 && ledger.errors_of(run, &patch.user).await?.iter().any(is_earlier);
            for before in &before {
                failed = failed || ledger.errors_of(before, &patch.user).await?.iter().any(is_of_part);
            }
            if !failed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Returns whether a job of the run was created in a bucket later than the bucket of `at_ms`.
    pub(super) async fn takes_since(&self, run: &RunId, at_ms: Option<i64>) -> Result<bool, StepError> {
        let Some(at_ms) = at_ms else { return Ok(false) };
        let then = Bucket::of(at_ms, self.clients.settings.bucket);
        Ok(self.clients.ledger.buckets_of(run).await?.iter().any(|bucket| *bucket > then))
    }
}
