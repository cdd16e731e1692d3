//! Claimed parts on their way into bulk jobs: sent piece by piece, recorded, and each part ended or given back.

use super::batch::{FOR_A_JOB_MS, Paid};
use super::pieces::Piece;
use super::{Round, Work};
use crate::bucket::Bucket;
use crate::clients::StepError;
use crate::intercom::{Disposition, Error, advice, disposition};
use crate::job::Job;
use crate::ledger::{ErrorRow, JobRow, PartEnd, Release};
use crate::part::PartId;
use crate::run::{Run, State};

/// Users refused alone, alike, with nothing taken, from which on the fault is the run's.
const REFUSED_ALIKE: usize = 3;
/// How long a part rests after Intercom did not answer or could not be reached.
const REST_MS: i64 = 10_000;
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
    /// The parts go back to the queue.
    Return(Release, i64),
    /// Nothing of the run can be sent.
    Fault(String),
    /// The run ended meanwhile.
    Over,
}

/// Parts that this invocation holds.
pub(super) struct Claimed {
    works: Vec<Work>,
    ids: Vec<PartId>,
    /// Patches of each part that have no end yet.
    open: Vec<usize>,
    pieces: Vec<Piece>,
    /// Items that are paid for already.
    paid: usize,
    refused: Vec<ErrorRow>,
    taken: bool,
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
                    if let Some(fault) = self.refuse(round, piece, &error).await? {
                        return self.fail(round, &run, &fault).await;
                    }
                }
                Sent::Again(release) => {
                    self.release(round, release).await?;
                    return Ok(self.into_open());
                }
                Sent::Return(release, rest_ms) => {
                    let back_ms = round.at.clock.now_ms() + rest_ms;
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
                    round.clients.meter.learn(reply.rate, round.at).await?;
                    return Ok(Sent::Made(reply.value));
                }
                Err(error) => error,
            };
            round.clients.meter.learn(error.rate(), round.at).await?;
            tracing::warn!(run = run.run.as_str(), users = patches.len(), %error, "a bulk request did not go through");
            match disposition(&error, round.at.clock.now_s()) {
                Disposition::Limited { wait_s } => {
                    round.clients.meter.limited(wait_s, round.at).await?;
                    // The request that this one repeats was an attempt.
                    return Ok(Sent::Again(if last { Release::Tried } else { Release::NotSent }));
                }
                Disposition::NotSent | Disposition::Later => return Ok(Sent::Return(Release::Tried, REST_MS)),
                Disposition::ItemRejected => return Ok(Sent::Refused(error)),
                Disposition::Ambiguous => {
                    let answered = error.status().is_some_and(|status| status >= 500);
                    let time = round.at.left_ms() > 2 * FOR_A_JOB_MS;
                    if last || !answered || !time {
                        return Ok(Sent::Return(Release::PossiblyDone, REST_MS));
                    }
                    for work in &self.works {
                        round.clients.ledger.possibly_lost(&work.part, &round.at.request_id).await?;
                    }
                    match round.pay_for(run, patches.len()).await? {
                        Paid::Items(_) => {}
                        Paid::Later(_) => return Ok(Sent::Return(Release::Tried, REST_MS)),
                        Paid::Over => return Ok(Sent::Over),
                    }
                }
                _ => return Ok(Sent::Fault(format!("{error}. {}", advice(&error)))),
            }
        }
        Ok(Sent::Return(Release::Tried, REST_MS))
    }

    /// Distinct for each request that may make a job: a resubmission keeps what the first one sent.
    fn changes_key(&self, round: &Round<'_>) -> String {
        format!("CHANGES#{}#{}#{}", self.ids[0], round.at.request_id, self.sent)
    }

    /// Records a job and the done marks of the parts that it completes.
    async fn record(&mut self, round: &mut Round<'_>, run: &Run, piece: &Piece, job: Job) -> Result<(), StepError> {
        self.taken = true;
        let now_ms = round.at.clock.now_ms();
        let created_ms = job.created_at_s.map_or(now_ms, |s| s.saturating_mul(1000));
        let made_ms = if (created_ms - now_ms).abs() <= CLOCKS_APART_MAX_MS { created_ms } else { now_ms };
        let bucket = Bucket::of(made_ms, round.clients.settings.bucket);
        if round.noted.insert((run.run.clone(), bucket.clone())) {
            round.clients.ledger.note_bucket(&run.run, &bucket).await?;
        }
        let ended = self.end(piece);
        // Users of these parts that were refused alone are recorded before the part counts as done.
        self.record_refused(round, run).await?;
        let due_ms = now_ms + round.clients.settings.pace.look_first_ms;
        let (users, key) = (piece.0.len(), self.changes_key(round));
        let row = JobRow::open(job.id, bucket, &self.works[0].part, users, made_ms, due_ms, key);
        let done: Vec<PartId> = ended.iter().map(|&index| self.ids[index].clone()).collect();
        let again = round.clients.ledger.record_job(&row, &done, &round.at.request_id).await?;
        let bucket = row.bucket.as_str();
        tracing::info!(run = run.run.as_str(), job.id = row.job.as_str(), job.users = users, bucket, again, "bulk job");
        round.outcome.jobs += 1;
        round.outcome.users += users as u64;
        Ok(())
    }

    /// Takes a piece's patches off what is open; returns the parts that are complete with it.
    fn end(&mut self, piece: &Piece) -> Vec<usize> {
        for (index, _) in &piece.0 {
            self.open[*index] -= 1;
        }
        let mut touched: Vec<usize> = piece.0.iter().map(|(index, _)| *index).collect();
        touched.dedup();
        touched.retain(|&index| self.open[index] == 0);
        touched
    }

    /// A refused request: halved until the bad item stands alone and becomes its user's error. Returns the run's fault,
    /// if it looks like one: several users refused alone with the same code and nothing taken.
    async fn refuse(
        &mut self,
        round: &mut Round<'_>,
        piece: Piece,
        error: &Error,
    ) -> Result<Option<String>, StepError> {
        let alone = match piece.clone().halves() {
            Ok((first, second)) => {
                self.pieces.extend([second, first]);
                return Ok(None);
            }
            Err(patch) => patch,
        };
        let message = match error {
            Error::Refused { message, .. } => message.to_string(),
            _ => error.to_string(),
        };
        let at = format!("part {}", self.ids[piece.0[0].0]);
        self.refused.push(ErrorRow { user: alone.user.to_string(), code: error.code().to_owned(), message, at });
        let alike = self.refused.iter().all(|row| row.code == error.code());
        if !self.taken && alike && self.refused.len() >= REFUSED_ALIKE {
            return Ok(Some(format!("Intercom refuses every user alike: {error}. {}", advice(error))));
        }
        round.outcome.refused += 1;
        for index in self.end(&piece) {
            let run = round.clients.ledger.run(&self.works[index].part.run).await?;
            if let Some(run) = run {
                self.record_refused(round, &run).await?;
            }
            round.clients.ledger.end_part(&self.works[index].part, PartEnd::Done, &round.at.request_id).await?;
        }
        Ok(None)
    }

    async fn record_refused(&mut self, round: &mut Round<'_>, run: &Run) -> Result<(), StepError> {
        let rows = std::mem::take(&mut self.refused);
        if rows.is_empty() {
            return Ok(());
        }
        round.clients.ledger.record_errors(&run.run, &rows).await?;
        let errors = round.clients.ledger.count_errors(&run.run, rows.len() as u64).await?;
        // Counted as often as they are met; the rail is about users.
        let most = run.rails.max_errors.filter(|most| errors > *most);
        if let Some(most) = most
            && round.clients.ledger.users_in_error(&run.run).await?.len() as u64 > most
        {
            self.end_run(round, run, "more users are in error than max_errors allows; `errors` lists them").await?;
        }
        Ok(())
    }

    async fn end_run(&self, round: &mut Round<'_>, run: &Run, reason: &str) -> Result<(), StepError> {
        let (ledger, now_ms) = (&round.clients.ledger, round.at.clock.now_ms());
        let mut run = run.clone();
        // The state may change between the look and the end; a fault of the run ends it in any state but an end.
        loop {
            let free_at_ms = ledger.cursor(&run.run).await?.map_or(0, |cursor| cursor.scroll_free_at_ms());
            if ledger.end(&run, State::Failed, Some(reason), None, now_ms, free_at_ms).await? {
                round.outcome.not_complete += 1;
                break;
            }
            let now = ledger.run(&run.run).await?.filter(|now| now.state.may_become(State::Failed));
            let Some(now) = now.filter(|now| (now.state, now.generation) != (run.state, run.generation)) else { break };
            run = now;
        }
        tracing::error!(run = run.run.as_str(), reason, "run failed");
        Ok(())
    }

    /// The run's fault: it ends, and what it has left is dropped.
    async fn fail(self, round: &mut Round<'_>, run: &Run, reason: &str) -> Result<Vec<Work>, StepError> {
        self.end_run(round, run, reason).await?;
        self.drop_open(round).await
    }

    async fn drop_open(self, round: &mut Round<'_>) -> Result<Vec<Work>, StepError> {
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
