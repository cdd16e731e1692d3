//! The results of writes: the outcome of each user, and the job that records those of a part.

use super::Round;
use super::leased::{LeasedPart, LeasedParts};
use super::pieces::{Item, Piece};
use super::wanted::READ_STALE_MS;
use super::writes::Writes;
use crate::domain::bucket::Bucket;
use crate::domain::job::JobId;
use crate::domain::part::UserOutcome;
use crate::domain::patch::Target;
use crate::domain::run::Run;
use crate::intercom::WRITE_TIMEOUT;
use crate::ledger::{AnswerCounts, ErrorRow, JobOf, JobRow};
use crate::runtime::clients::StepError;

/// A user whose request has a result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TriedUser {
    pub(super) item: Item,
    /// The begin of the request, in Unix milliseconds.
    pub(super) begun_ms: i64,
}

/// The answers of one part, with at least one user.
#[derive(Default)]
pub(super) struct PartAnswers {
    /// The time of the first request, in Unix milliseconds.
    first_ms: i64,
    /// Users with a result.
    pub(super) items: Vec<Item>,
    counts: AnswerCounts,
}

impl LeasedParts {
    /// Refuses users, such as those of a streak that ended.
    pub(super) fn refuse_users(&mut self, writes: &mut Writes, users: Vec<(TriedUser, ErrorRow)>) {
        for (user, row) in users {
            self.refuse_user(writes, user, row);
        }
    }

    pub(super) fn refuse_user(&mut self, writes: &mut Writes, user: TriedUser, row: ErrorRow) {
        self.refused.push(row);
        self.settle(writes, user, UserOutcome::Refused);
    }

    /// Sets the outcome of a user.
    pub(super) fn settle(&mut self, writes: &mut Writes, user: TriedUser, outcome: UserOutcome) {
        let TriedUser { item, begun_ms } = user;
        writes.has_result(&item);
        let answers = writes.answers.entry(item.part).or_default();
        answers.first_ms = if answers.items.is_empty() { begun_ms } else { answers.first_ms.min(begun_ms) };
        answers.counts.failed += u64::from(outcome == UserOutcome::Refused);
        answers.counts.gone += u64::from(outcome == UserOutcome::Gone);
        let piece = Piece(vec![item]);
        self.set(&piece, outcome);
        answers.items.extend(piece.0);
    }

    /// Returns the error row of a user.
    pub(super) fn error_row(&self, item: &Item, code: &str, message: String) -> ErrorRow {
        self.parts[item.part].error_row(&item.patch, code, message)
    }

    /// Marks a user whose answer was lost: the request, sent at `sent_ms` at the latest, may take effect
    /// later than any other.
    pub(super) fn lose_answer(&mut self, item: &Item, sent_ms: i64) {
        self.set(&Piece(vec![item.clone()]), UserOutcome::Unknown);
        let lost_ms = &mut self.parts[item.part].lost_sent_ms;
        *lost_ms = (*lost_ms).max(Some(sent_ms));
    }

    /// Records the times of requests whose answers were lost. Without them, a later run could write a
    /// newer value before such a request takes effect.
    pub(super) async fn record_lost(&mut self, round: &Round<'_>) -> Result<(), StepError> {
        for part in &mut self.parts {
            if let Some(sent_ms) = part.lost_sent_ms {
                round.clients.ledger.answers_lost(&part.work.part, &round.at.request_id, sent_ms).await?;
                part.lost_sent_ms = None;
            }
        }
        Ok(())
    }

    /// Records all results so far. Those of a part are one job.
    pub(super) async fn record_results(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        writes: &mut Writes,
    ) -> Result<(), StepError> {
        writes.since_ms = None;
        let parts: Vec<usize> = writes.answers.keys().copied().collect();
        for part in parts {
            self.record_answers(round, run, writes, part).await?;
        }
        Ok(())
    }

    /// Records the results of a part as a job.
    async fn record_answers(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        writes: &mut Writes,
        part: usize,
    ) -> Result<(), StepError> {
        // The results stay in `writes` if this fails.
        self.record_lost(round).await?;
        let Some(PartAnswers { first_ms, items, counts }) = writes.answers.remove(&part) else { return Ok(()) };
        let piece = Piece(items);
        let leased = &self.parts[part];
        let id = job_id(run, leased);
        let of = JobOf {
            run: run.id.clone(),
            v: run.v,
            generation: leased.work.part.id.generation,
            users: piece.0.len() as u64,
            changes: String::new(),
            parts: piece.parts_of_job(&self.parts),
        };
        let bucket = Bucket::of(first_ms, round.clients.settings.bucket);
        tracing::info!(run = run.id.as_str(), job.id = id.as_str(), job.users = of.users, %bucket, "users written");
        let row = JobRow { api: run.api, ..JobRow::answered(id, bucket, of, first_ms, counts) };
        let progress = self.progress(&piece);
        match self.keep_until_stored(round, run, &row, (&piece, &progress)).await {
            Ok(()) => round.outcome.refused += counts.failed,
            Err(error) => {
                writes.answers.insert(part, PartAnswers { first_ms, items: piece.0, counts });
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The longest time from the begin of a request to the handling of its lost answer, in milliseconds, if
/// its process runs: the time-out, and the record of other results.
const LOST_AFTER_MS: i64 = WRITE_TIMEOUT.as_millis() as i64 + 5_000;

/// Returns the latest time at which a request may have been sent whose answer is known to be lost at
/// `now_ms`. A process that runs sends it within a second of its begin, or not at all. One that was
/// frozen may have connected before, and have sent it after that.
pub(super) fn sent_by_ms(begun_ms: i64, now_ms: i64) -> i64 {
    let is_frozen = now_ms - begun_ms > LOST_AFTER_MS;
    if is_frozen { now_ms } else { begun_ms + READ_STALE_MS }
}

/// The most characters of a part's identity in the id of a job.
const PART_CHARS_MAX: usize = 80;

/// Returns the id of the job that holds the results of a leased part: unique, because each attempt
/// and each recorded result changes it.
fn job_id(run: &Run, leased: &LeasedPart) -> JobId {
    let part = leased.work.part.id.to_string();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    // Any program can send a message with a longer identity.
    let part: String = part.chars().take(PART_CHARS_MAX).map(plain).collect();
    let id = format!("{}_{part}_{}_{}", run.id.digest(), leased.attempt, leased.outcomes.left());
    JobId::of_answers(&id).expect("letters, digits, `_` and `-`, fewer than 128")
}

/// Returns the message of a user whose values were not kept. It contains no value.
pub(super) fn not_kept_as_text(targets: &[Target]) -> String {
    let names: Vec<String> = targets
        .iter()
        .map(|target| match target {
            Target::Attribute(name) => format!("custom_attributes.{name}"),
            Target::Field(name) => name.clone(),
            Target::CompanyName(_) => "the company's name".to_owned(),
        })
        .collect();
    format!("Intercom accepted the request, but returned another value of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_of_a_frozen_process_may_be_sent_until_it_runs_again() {
        for (now_ms, sent_ms) in [(1_000, 2_000), (11_000, 2_000), (16_000, 2_000), (16_001, 16_001), (99_000, 99_000)]
        {
            assert_eq!(sent_by_ms(1_000, now_ms), sent_ms, "{now_ms}");
        }
    }
}
