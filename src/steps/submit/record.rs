//! Records created jobs in the ledger.

use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Round;
use super::leased::LeasedParts;
use super::pieces::Piece;
use crate::domain::api::Submitted;
use crate::domain::bucket::Bucket;
use crate::domain::part::UserOutcome;
use crate::domain::run::Run;
use crate::ledger::{JobOf, JobRow, PartProgress};
use crate::runtime::clients::StepError;

/// Time reserved for one try at recording a job, in milliseconds: one call of the ledger with the
/// SDK's own retries.
const RECORD_MS: i64 = 10_000;
/// Errors that are deleted concurrently.
const FORGET_AT_ONCE: usize = 16;
/// The wait between two tries.
const RECORD_REST: Duration = Duration::from_secs(1);
/// If `created_at` differs from our clock by more than this, in milliseconds, it is ignored.
const CLOCKS_APART_MAX_MS: i64 = 3600 * 1000;

impl LeasedParts {
    /// Returns the key of the present request's changes. It is unique for each request that may
    /// create a job. If an invocation leases a part again after a 429, its later requests must not
    /// overwrite the changes of its earlier jobs.
    pub(super) fn changes_key(&self, round: &Round<'_>) -> String {
        format!("CHANGES#{}#{}#{}", self.parts[0].work.part.id, round.at.request_id, round.requests)
    }

    /// Handles a job that Intercom created for a piece.
    pub(super) async fn made(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        piece: &Piece,
        submitted: Submitted,
    ) -> Result<(), StepError> {
        self.control.get_or_insert_with(|| piece.0[0].clone());
        self.set(piece, UserOutcome::InJob);
        let progress = self.progress(piece);
        self.record(round, run, piece, submitted, progress).await
    }

    /// Records a job and the progress of its parts, which has nothing for a control. If the write fails, it is
    /// retried while the invocation has time, because a lost job id cannot be recovered.
    pub(super) async fn record(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        piece: &Piece,
        submitted: Submitted,
        progress: Vec<PartProgress>,
    ) -> Result<(), StepError> {
        // The user of a control is in another job, too.
        let resubmission = progress.is_empty();
        (self.taken_at, self.in_a_row) = (self.sent, 0);
        let users = piece.0.len();
        let now_ms = round.at.clock.now_ms();
        let Submitted::Job { id, created_at_s } = submitted;
        let created_ms = created_at_s.map_or(now_ms, |s| s.saturating_mul(1000));
        let made_ms = if (created_ms - now_ms).abs() <= CLOCKS_APART_MAX_MS { created_ms } else { now_ms };
        let bucket = Bucket::of(made_ms, round.clients.settings.bucket);
        tracing::info!(run = run.id.as_str(), job.id = id.as_str(), job.users = users, %bucket, "bulk job");
        let due_ms = now_ms + round.clients.settings.pace.look_first_ms;
        let keeps_parts = run.keeps_parts();
        let of = JobOf {
            run: run.id.clone(),
            v: run.v,
            generation: self.parts[0].work.part.id.generation,
            users: users as u64,
            changes: if keeps_parts { String::new() } else { self.changes_key(round) },
            parts: if keeps_parts { piece.parts_of_job(&self.parts) } else { Vec::new() },
        };
        let row = JobRow { api: run.api, resubmission, ..JobRow::open(id, bucket, of, made_ms, due_ms) };
        self.keep_until_stored(round, run, &row, (piece, &progress)).await
    }

    /// Records a job and the progress of its parts, while the invocation has time.
    pub(super) async fn keep_until_stored(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        row: &JobRow,
        of: (&Piece, &[PartProgress]),
    ) -> Result<(), StepError> {
        while let Err(error) = self.keep(round, run, row, of).await {
            if round.at.left_ms() < RECORD_MS {
                return Err(error);
            }
            tracing::warn!(job.id = row.job.as_str(), %error, "cannot record a job; retrying");
            tokio::time::sleep(RECORD_REST).await;
        }
        round.outcome.jobs += 1;
        round.outcome.users += row.users;
        Ok(())
    }

    /// Writes a job's rows once. The whole call may be repeated.
    async fn keep(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        row: &JobRow,
        (piece, progress): (&Piece, &[PartProgress]),
    ) -> Result<(), StepError> {
        let noted = (run.id.clone(), row.bucket.clone());
        if !run.keeps_parts() && !round.noted.contains(&noted) {
            round.clients.ledger.note_bucket(&run.id, &row.bucket, round.at.clock.now_ms()).await?;
            round.noted.insert(noted);
        }
        // Record individually refused users of these parts before the parts count as done.
        self.record_refused(round, run).await?;
        self.forget_interrupted(round, run, piece).await?;
        if round.clients.ledger.record_job(row, progress, &round.at.request_id).await? && !progress.is_empty() {
            tracing::warn!(
                job.id = row.job.as_str(),
                "resubmission: another invocation also submitted a part of this job"
            );
        }
        Ok(())
    }

    /// Deletes the errors that an interrupted attempt at a part recorded of users that have another result
    /// now.
    async fn forget_interrupted(&self, round: &Round<'_>, run: &Run, piece: &Piece) -> Result<(), StepError> {
        let interrupted = piece.0.iter().filter_map(|item| {
            let leased = &self.parts[item.part];
            let has_another = leased.interrupted && leased.outcomes.of(item.user) != UserOutcome::Refused;
            has_another.then(|| (&item.patch.user, leased.errors_at()))
        });
        let ledger = &round.clients.ledger;
        let forget = interrupted.map(|(user, at)| async move { ledger.forget_error_of(&run.id, user, &at).await });
        stream::iter(forget.collect::<Vec<_>>()).buffer_unordered(FORGET_AT_ONCE).try_collect::<()>().await?;
        Ok(())
    }
}
