//! Submits leased parts piece by piece, records the jobs, and ends or returns each part.

use super::accused::note_pause_for_gone;
use super::batch::{Rest, Tried};
use super::failing::{Failing, Next, PROBES_MAX, next, rest_ms};
use super::permits::Permits;
use super::pieces::{Item, Piece};
use super::send::{Accusation, Sent, Stop};
use super::{Round, Work};
use crate::control;
use crate::domain::part::{Outcomes, UserOutcome};
use crate::domain::patch::Patch;
use crate::domain::run::Run;
use crate::intercom::Error;
use crate::ledger::{ErrorRow, PartProgress, Release};
use crate::runtime::clients::StepError;

/// One user that Intercom may be unable to accept.
pub(super) struct Suspect {
    pub(super) piece: Piece,
    pub(super) error: Error,
    /// The number of the user's first request.
    pub(super) at: u32,
}

/// A part that this invocation has leased.
pub(super) struct LeasedPart {
    pub(super) work: Work,
    /// The outcomes of its users, also of earlier attempts.
    pub(super) outcomes: Outcomes,
    /// The number of this attempt, from 1.
    pub(super) attempt: u32,
    /// An earlier attempt was interrupted, maybe after it recorded errors and before their job.
    pub(super) interrupted: bool,
    /// The latest time at which a request whose answer was lost was sent, in Unix milliseconds, until the
    /// ledger has it.
    pub(super) lost_sent_ms: Option<i64>,
}

impl LeasedPart {
    /// Creates a part that was leased for this attempt.
    pub(super) fn new(work: Work, outcomes: Outcomes, attempt: u32) -> Self {
        Self { work, outcomes, attempt, interrupted: false, lost_sent_ms: None }
    }
}

impl LeasedPart {
    pub(super) fn is_open(&self) -> bool {
        self.outcomes.left() > 0
    }

    /// Returns the place of errors of its users.
    pub(super) fn errors_at(&self) -> String {
        format!("part {}", self.work.part.id)
    }

    /// Returns the error row of one of its users.
    pub(super) fn error_row(&self, patch: &Patch, code: &str, message: String) -> ErrorRow {
        let (user, at, generation) = (patch.user.to_string(), self.errors_at(), self.work.part.id.generation);
        ErrorRow { user, code: code.to_owned(), message, at, generation }
    }
}

/// Parts that this invocation has leased.
pub(super) struct LeasedParts {
    pub(super) parts: Vec<LeasedPart>,
    pub(super) pieces: Vec<Piece>,
    pub(super) permits: Permits,
    pub(super) refused: Vec<ErrorRow>,
    /// Number of requests so far.
    pub(super) sent: u32,
    /// The number of the last accepted request, or 0.
    pub(super) taken_at: u32,
    /// A user that Intercom accepted, and would accept again unless there is an outage.
    pub(super) control: Option<Item>,
    pub(super) suspects: Vec<Suspect>,
    probes: u32,
    pub(super) in_a_row: u32,
    halved: bool,
}

impl LeasedParts {
    /// Prepares parts for requests of at most `size` users.
    pub(super) fn new(parts: Vec<LeasedPart>, permits: Permits, size: usize) -> Self {
        let pieces = Piece::stack(&parts, permits.items.min(size));
        Self {
            parts,
            pieces,
            permits,
            refused: Vec::new(),
            sent: 0,
            taken_at: 0,
            control: None,
            suspects: Vec::new(),
            probes: 0,
            in_a_row: 0,
            halved: false,
        }
    }

    /// Returns whether Intercom accepted a request for these parts in this invocation.
    pub(super) fn taken(&self) -> bool {
        self.taken_at > 0
    }

    /// Sends all pieces. Returns parts that can be retried within this invocation.
    pub(super) async fn submit(mut self, round: &mut Round<'_>, mut run: Run) -> Result<Vec<Work>, StepError> {
        while let Some(piece) = self.pieces.pop() {
            let stop = match self.send(round, &mut run, &piece).await? {
                Sent::Made(submitted) => self.made(round, &run, &piece, submitted).await.map(|()| None)?,
                Sent::TooLarge => {
                    self.pieces.extend(piece.cut(self.permits.items));
                    None
                }
                Sent::Refused(error) => self.refuse(round, &run, piece, &error).await?.map(Stop::Fault),
                Sent::Failed { error, answered } => self.failed(piece, error, answered),
                Sent::Stop(stop) => Some(stop),
            };
            if let Some(stop) = stop {
                return self.stop(round, &run, stop).await;
            }
        }
        match self.convict(round, &mut run).await? {
            Some(stop) => self.stop(round, &run, stop).await,
            None => Ok(Vec::new()),
        }
    }

    /// Handles a failed request without a reason that names its users.
    fn failed(&mut self, piece: Piece, error: Error, answered: bool) -> Option<Stop> {
        self.in_a_row += 1;
        let failing = Failing {
            users: piece.0.len(),
            answered,
            taken: self.taken(),
            probes: self.probes,
            others: !self.pieces.is_empty(),
            in_a_row: self.in_a_row,
        };
        match next(failing) {
            Next::Rest => return Some(Stop::Rest { why: error.said(), sent: true }),
            Next::Probe => {
                self.probes += 1;
                match piece.0.len() {
                    1 => self.suspects.push(Suspect { piece, error, at: self.sent }),
                    _ => self.pieces.push(piece),
                }
                // Choose a different user each time, from all pieces: all users of the first piece
                // may be at fault.
                let number = self.receives().saturating_mul(PROBES_MAX).saturating_add(self.probes);
                let alone = Piece::one_alone(&mut self.pieces, number as usize);
                self.pieces.extend(alone);
            }
            Next::Halve => {
                self.halved = true;
                if let Ok((first, second)) = piece.halves() {
                    self.pieces.extend([second, first]);
                }
            }
            Next::Suspect => self.suspects.push(Suspect { piece, error, at: self.sent }),
        }
        None
    }

    /// Sets the outcome of a piece's users.
    pub(super) fn set(&mut self, piece: &Piece, outcome: UserOutcome) {
        for item in &piece.0 {
            self.parts[item.part].outcomes.set(item.user, outcome);
        }
    }

    /// Returns the progress of a piece's parts.
    pub(super) fn progress(&self, piece: &Piece) -> Vec<PartProgress> {
        let mut parts: Vec<usize> = piece.0.iter().map(|item| item.part).collect();
        parts.dedup();
        let of = |index: usize| {
            let LeasedPart { work, outcomes, .. } = &self.parts[index];
            PartProgress { id: work.part.id.clone(), outcomes: outcomes.clone() }
        };
        parts.into_iter().map(of).collect()
    }

    /// Ends the parts, or returns them to the queue.
    pub(super) async fn stop(mut self, round: &mut Round<'_>, run: &Run, stop: Stop) -> Result<Vec<Work>, StepError> {
        round.give_back_minute(run, &mut self.permits);
        // Refused users have their result, even if their part is delivered again.
        self.record_refused(round, run).await?;
        let owner = &round.at.request_id;
        match stop {
            Stop::Again => {
                for LeasedPart { work, outcomes, .. } in self.open() {
                    round.clients.ledger.release_part(&work.part, owner, outcomes, Release::NotSent).await?;
                }
                Ok(self.into_open().map(|part| part.work).collect())
            }
            Stop::Later(at_ms) => {
                // The next attempt does not know the results of splitting, so it begins with
                // smaller requests.
                let release = if self.halved { Release::Tried } else { Release::NotSent };
                for LeasedPart { work, outcomes, .. } in self.into_open() {
                    round.clients.ledger.release_part(&work.part, owner, &outcomes, release).await?;
                    round.return_until(&work, at_ms).await;
                }
                Ok(Vec::new())
            }
            Stop::Rest { why, sent } => {
                let (ms, taken, tried) = (rest_ms(self.receives()), self.taken(), Tried::of(sent, true));
                for part in self.into_open() {
                    round.rest(run, &part, &Rest { why: &why, tried, taken, settled: false, ms }).await?;
                }
                Ok(Vec::new())
            }
            Stop::Fault(fault) => self.fail(round, run, &fault).await,
            Stop::Pause(Accusation { reason, all_gone }) => {
                let paused = control::pause(&round.clients.ledger, run, &reason, round.at.clock.now_ms()).await?;
                round.outcome.not_complete += u64::from(paused);
                if paused && all_gone {
                    note_pause_for_gone(round, run).await?;
                }
                self.leave_open(round, run).await
            }
            Stop::Over => self.leave_open(round, run).await,
        }
    }

    /// Returns the highest receive count of the parts' messages.
    pub(super) fn receives(&self) -> u32 {
        self.parts.iter().map(|part| part.work.message.receives).max().unwrap_or(1)
    }

    /// Leaves the open parts of a run that does not submit now. Their messages are deleted.
    pub(super) async fn leave_open(self, round: &mut Round<'_>, run: &Run) -> Result<Vec<Work>, StepError> {
        let owner = &round.at.request_id;
        if run.keeps_parts() {
            for LeasedPart { work, outcomes, .. } in self.into_open() {
                round.clients.ledger.release_part(&work.part, owner, &outcomes, Release::NotSent).await?;
            }
            return Ok(Vec::new());
        }
        let open: Vec<Work> = self.into_open().map(|part| part.work).collect();
        round.drop_all(&open).await?;
        Ok(Vec::new())
    }

    fn open(&self) -> impl Iterator<Item = &LeasedPart> {
        self.parts.iter().filter(|part| part.is_open())
    }

    pub(super) fn into_open(self) -> impl Iterator<Item = LeasedPart> {
        self.parts.into_iter().filter(LeasedPart::is_open)
    }
}
