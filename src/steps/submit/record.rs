//! A job that was made, on its way into the ledger.

use std::time::Duration;

use super::Round;
use super::leased::LeasedParts;
use super::pieces::Piece;
use crate::domain::bucket::Bucket;
use crate::domain::job::Job;
use crate::domain::part::PartId;
use crate::domain::run::Run;
use crate::ledger::JobRow;
use crate::runtime::clients::StepError;

/// Kept of the invocation's time for one try at recording a job: a call of the ledger's, with the SDK's own retries.
const RECORD_MS: i64 = 10_000;
/// Between two of these.
const RECORD_REST: Duration = Duration::from_secs(1);
/// `created_at` further than this from our clock is not believed.
const CLOCKS_APART_MAX_MS: i64 = 3600 * 1000;

impl LeasedParts {
    /// Distinct for each request that may make a job: a resubmission keeps what the first one sent.
    pub(super) fn changes_key(&self, round: &Round<'_>) -> String {
        format!("CHANGES#{}#{}#{}", self.ids[0], round.at.request_id, self.sent)
    }

    /// A job was made of a piece.
    pub(super) async fn made(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        piece: &Piece,
        job: Job,
    ) -> Result<(), StepError> {
        self.control.get_or_insert_with(|| piece.0[0].1.clone());
        let done = self.end(piece);
        self.record(round, run, piece.0.len(), job, done).await
    }

    /// Records a job and the done marks of the parts that it completes. Its id is worth more than the time that is left:
    /// while there is some, what the ledger did not take is written again.
    pub(super) async fn record(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        users: usize,
        job: Job,
        done: Vec<usize>,
    ) -> Result<(), StepError> {
        (self.taken_at, self.in_a_row) = (self.sent, 0);
        let now_ms = round.at.clock.now_ms();
        let created_ms = job.created_at_s.map_or(now_ms, |s| s.saturating_mul(1000));
        let made_ms = if (created_ms - now_ms).abs() <= CLOCKS_APART_MAX_MS { created_ms } else { now_ms };
        let bucket = Bucket::of(made_ms, round.clients.settings.bucket);
        tracing::info!(run = run.id.as_str(), job.id = job.id.as_str(), job.users = users, %bucket, "bulk job");
        let due_ms = now_ms + round.clients.settings.pace.look_first_ms;
        let row = JobRow::open(job.id, bucket, &self.works[0].part, users, made_ms, due_ms, self.changes_key(round));
        let done: Vec<PartId> = done.into_iter().map(|index| self.ids[index].clone()).collect();
        while let Err(error) = self.keep(round, run, &row, &done).await {
            if round.at.left_ms() < RECORD_MS {
                return Err(error);
            }
            tracing::warn!(job.id = row.job.as_str(), %error, "a job is not in the ledger yet; once more");
            tokio::time::sleep(RECORD_REST).await;
        }
        round.outcome.jobs += 1;
        round.outcome.users += users as u64;
        Ok(())
    }

    /// What is written of a job; may be repeated as a whole.
    async fn keep(&mut self, round: &mut Round<'_>, run: &Run, row: &JobRow, done: &[PartId]) -> Result<(), StepError> {
        let noted = (run.id.clone(), row.bucket.clone());
        if !round.noted.contains(&noted) {
            round.clients.ledger.note_bucket(&run.id, &row.bucket).await?;
            round.noted.insert(noted);
        }
        // Users of these parts that were refused alone are recorded before the part counts as done.
        self.record_refused(round, run).await?;
        if round.clients.ledger.record_job(row, done, &round.at.request_id).await? {
            tracing::warn!(job.id = row.job.as_str(), "a resubmission: somebody else took a part of it, too");
        }
        Ok(())
    }
}
