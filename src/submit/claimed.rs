//! Claimed parts on their way into bulk jobs: sent piece by piece, recorded, and each part ended or given back.

use std::time::Duration;

use super::batch::{FOR_A_JOB_MS, Paid};
use super::pieces::Piece;
use super::{Round, Work};
use crate::bucket::Bucket;
use crate::clients::StepError;
use crate::intercom::{Disposition, Error, advice, disposition};
use crate::job::Job;
use crate::ledger::{ErrorRow, JobRow, Release};
use crate::part::PartId;
use crate::run::Run;

/// How long a part rests after Intercom did not answer or could not be reached, the first time and at most: an outage of
/// a quarter of an hour costs no user, and one that nothing is sent in costs no attempt.
const REST_MS: i64 = 10_000;
const REST_MOST_MS: i64 = 600_000;
/// Each further rest is so many times as long.
const REST_GROWS: i64 = 4;
/// Kept of the invocation's time for one try at recording a job: a call of the ledger's, with the SDK's own retries.
const RECORD_MS: i64 = 10_000;
/// Between two of these.
const RECORD_REST: Duration = Duration::from_secs(1);
/// `created_at` further than this from our clock is not believed.
const CLOCKS_APART_MAX_MS: i64 = 3600 * 1000;

/// What became of a request.
enum Sent {
    /// A job was made.
    Made(Job),
    /// Nothing was made; the same may be sent again.
    Again(Release),
    /// The whole request was refused for something in it.
    Refused(Error),
    /// The parts go back to the queue, for a rest.
    Return(Release),
    /// Nothing of the run can be sent.
    Fault(String),
    /// The run ended meanwhile.
    Over,
}

/// Parts that this invocation holds.
pub(super) struct Claimed {
    pub(super) works: Vec<Work>,
    pub(super) ids: Vec<PartId>,
    /// Patches of each part that have no end yet.
    open: Vec<usize>,
    pub(super) pieces: Vec<Piece>,
    /// Items that are paid for already.
    paid: usize,
    pub(super) refused: Vec<ErrorRow>,
    pub(super) taken: bool,
    sent: u32,
}

impl Claimed {
    pub(super) fn new(works: Vec<Work>, paid: usize) -> Self {
        let ids = works.iter().map(|work| work.part.id.clone()).collect();
        let open = works.iter().map(|work| work.part.patches.len()).collect();
        let pieces = Piece::stack(works.iter().map(|work| &work.part), paid);
        Self { works, ids, open, pieces, paid, refused: Vec::new(), taken: false, sent: 0 }
    }

    /// Sends all pieces. Returns parts that can be tried again within this invocation.
    pub(super) async fn submit(mut self, round: &mut Round<'_>, mut run: Run) -> Result<Vec<Work>, StepError> {
        while let Some(piece) = self.pieces.pop() {
            if round.at.is_stopping() {
                let now_ms = round.at.clock.now_ms();
                return self.give_back(round, Release::NotSent, now_ms).await;
            }
            if self.paid < piece.0.len() {
                match round.pay_for(&mut run, piece.0.len()).await? {
                    Paid::Items(items) => self.paid = items,
                    Paid::Later(at_ms) => return self.give_back(round, Release::NotSent, at_ms).await,
                    Paid::Over => return self.drop_open(round).await,
                }
            }
            self.paid -= piece.0.len().min(self.paid);
            match self.send(round, &mut run, &piece).await? {
                Sent::Made(job) => self.record(round, &run, &piece, job).await?,
                Sent::Refused(error) => {
                    if let Some(fault) = self.refuse(round, &run, piece, &error).await? {
                        return self.fail(round, &run, &fault).await;
                    }
                }
                Sent::Again(release) => {
                    self.release(round, release).await?;
                    return Ok(self.into_open());
                }
                Sent::Return(release) => {
                    let back_ms = round.at.clock.now_ms() + self.rest_ms();
                    return self.give_back(round, release, back_ms).await;
                }
                Sent::Fault(reason) => return self.fail(round, &run, &reason).await,
                Sent::Over => return self.drop_open(round).await,
            }
        }
        Ok(Vec::new())
    }

    /// Sends a piece, after its changes are in the ledger. A 5xx is tried once more (Intercom's advice).
    async fn send(&mut self, round: &mut Round<'_>, run: &mut Run, piece: &Piece) -> Result<Sent, StepError> {
        self.sent += 1;
        let changes = piece.changes(&self.ids);
        round.clients.ledger.put_changes(&run.run, &self.changes_key(round), &changes, round.at.clock.now_ms()).await?;
        let patches = piece.patches();
        for last in [false, true] {
            let error = match round.clients.intercom.submit(&patches).await {
                Ok(reply) => {
                    round.clients.meter.learn_of(reply.rate, patches.len() as u32, round.at).await;
                    return Ok(Sent::Made(reply.value));
                }
                Err(error) => error,
            };
            round.clients.meter.learn_of(error.rate(), patches.len() as u32, round.at).await;
            tracing::warn!(run = run.run.as_str(), users = patches.len(), %error, "a bulk request did not go through");
            match disposition(&error, round.at.clock.now_s()) {
                Disposition::Limited { wait_s } => {
                    round.clients.meter.limited(wait_s, round.at).await;
                    // The request that this one repeats was an attempt.
                    return Ok(Sent::Again(if last { Release::Tried } else { Release::NotSent }));
                }
                Disposition::NotSent => return Ok(Sent::Return(if last { Release::Tried } else { Release::NotSent })),
                Disposition::Later => return Ok(Sent::Return(Release::Tried)),
                Disposition::ItemRejected => return Ok(Sent::Refused(error)),
                Disposition::Ambiguous => {
                    let answered = error.status().is_some_and(|status| status >= 500);
                    let time = round.at.left_ms() > 2 * FOR_A_JOB_MS;
                    if last || !answered || !time {
                        return Ok(Sent::Return(Release::PossiblyDone));
                    }
                    for work in &self.works {
                        round.clients.ledger.possibly_lost(&work.part, &round.at.request_id).await?;
                    }
                    match round.pay_for(run, patches.len()).await? {
                        Paid::Items(_) => {}
                        Paid::Later(_) => return Ok(Sent::Return(Release::Tried)),
                        Paid::Over => return Ok(Sent::Over),
                    }
                }
                _ => return Ok(Sent::Fault(format!("{error}. {}", advice(&error)))),
            }
        }
        Ok(Sent::Return(Release::Tried))
    }

    /// Distinct for each request that may make a job: a resubmission keeps what the first one sent.
    fn changes_key(&self, round: &Round<'_>) -> String {
        format!("CHANGES#{}#{}#{}", self.ids[0], round.at.request_id, self.sent)
    }

    /// Records a job and the done marks of the parts that it completes. Its id is worth more than the time that is left:
    /// while there is some, what the ledger did not take is written again.
    async fn record(&mut self, round: &mut Round<'_>, run: &Run, piece: &Piece, job: Job) -> Result<(), StepError> {
        self.taken = true;
        let now_ms = round.at.clock.now_ms();
        let created_ms = job.created_at_s.map_or(now_ms, |s| s.saturating_mul(1000));
        let made_ms = if (created_ms - now_ms).abs() <= CLOCKS_APART_MAX_MS { created_ms } else { now_ms };
        let bucket = Bucket::of(made_ms, round.clients.settings.bucket);
        let users = piece.0.len();
        tracing::info!(run = run.run.as_str(), job.id = job.id.as_str(), job.users = users, %bucket, "bulk job");
        let due_ms = now_ms + round.clients.settings.pace.look_first_ms;
        let row = JobRow::open(job.id, bucket, &self.works[0].part, users, made_ms, due_ms, self.changes_key(round));
        let done: Vec<PartId> = self.end(piece).iter().map(|&index| self.ids[index].clone()).collect();
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
        let noted = (run.run.clone(), row.bucket.clone());
        if !round.noted.contains(&noted) {
            round.clients.ledger.note_bucket(&run.run, &row.bucket).await?;
            round.noted.insert(noted);
        }
        // Users of these parts that were refused alone are recorded before the part counts as done.
        self.record_refused(round, run).await?;
        if round.clients.ledger.record_job(row, done, &round.at.request_id).await? {
            tracing::warn!(job.id = row.job.as_str(), "a resubmission: somebody else took a part of it, too");
        }
        Ok(())
    }

    /// Takes a piece's patches off what is open; returns the parts that are complete with it.
    pub(super) fn end(&mut self, piece: &Piece) -> Vec<usize> {
        for (index, _) in &piece.0 {
            self.open[*index] -= 1;
        }
        let mut touched: Vec<usize> = piece.0.iter().map(|(index, _)| *index).collect();
        touched.dedup();
        touched.retain(|&index| self.open[index] == 0);
        touched
    }

    /// How long the parts rest: longer with each delivery of the one that came most often.
    fn rest_ms(&self) -> i64 {
        let receives = self.works.iter().map(|work| work.message.receives).max().unwrap_or(1);
        REST_MS.saturating_mul(REST_GROWS.saturating_pow(receives.saturating_sub(1))).min(REST_MOST_MS)
    }

    pub(super) async fn drop_open(self, round: &mut Round<'_>) -> Result<Vec<Work>, StepError> {
        let open = self.into_open();
        round.drop_all(&open).await?;
        Ok(Vec::new())
    }

    async fn release(&self, round: &Round<'_>, release: Release) -> Result<(), StepError> {
        for (work, _) in self.works.iter().zip(&self.open).filter(|(_, open)| **open > 0) {
            round.clients.ledger.release_part(&work.part, &round.at.request_id, release).await?;
        }
        Ok(())
    }

    /// Gives the open parts back to the queue; those that were tried too often are given up.
    async fn give_back(self, round: &mut Round<'_>, release: Release, at_ms: i64) -> Result<Vec<Work>, StepError> {
        self.release(round, release).await?;
        let wait_ms = at_ms - round.at.clock.now_ms();
        for work in self.into_open() {
            if round.is_last_attempt(&work).await? {
                round.give_up(&work, "Intercom did not take it").await?;
            } else {
                round.return_after(&work, wait_ms).await;
            }
        }
        Ok(Vec::new())
    }

    fn into_open(self) -> Vec<Work> {
        self.works.into_iter().zip(self.open).filter(|(_, open)| *open > 0).map(|(work, _)| work).collect()
    }
}
