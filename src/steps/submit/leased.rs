//! Submits leased parts piece by piece, records the jobs, and ends or returns each part.

use super::batch::{FOR_A_JOB_MS, Permits, Rest};
use super::failing::{Failing, Next, PROBES_MAX, next, rest_ms};
use super::pieces::Piece;
use super::{Round, Work};
use crate::domain::api::Submitted;
use crate::domain::part::PartId;
use crate::domain::patch::Patch;
use crate::domain::run::Run;
use crate::intercom::{Disposition, Error, advice, disposition};
use crate::ledger::{ErrorRow, Release};
use crate::rate_limit::Permit;
use crate::runtime::clients::StepError;

/// The result of a request.
pub(super) enum Sent {
    /// Intercom accepted the request.
    Made(Submitted),
    /// The limit fell, and the window has permits for fewer users. Nothing was sent.
    TooLarge,
    /// Intercom refused the whole request because of its content.
    Refused(Error),
    /// The request failed without a reason that names users: 5xx, no answer, "later".
    Failed {
        error: Error,
        /// True if Intercom answered.
        answered: bool,
    },
    /// No further request is sent.
    Stop(Stop),
}

/// The reason for not sending the rest of the parts now.
pub(super) enum Stop {
    /// The rate limit: retry within this invocation.
    Again,
    /// No permits or no time within this invocation: retry at this time (Unix milliseconds).
    Later(i64),
    /// An outage: retry after a wait. `why` is shown to the operator. `sent` is false if no request
    /// was sent.
    Rest { why: String, sent: bool },
    /// A fault of the run: none of its parts can be sent.
    Fault(String),
    /// The run ended in the meantime.
    Over,
}

/// One user that Intercom may be unable to accept.
pub(super) struct Suspect {
    pub(super) piece: Piece,
    pub(super) error: Error,
    /// The number of the user's first request.
    pub(super) at: u32,
}

/// Parts that this invocation has leased.
pub(super) struct LeasedParts {
    pub(super) works: Vec<Work>,
    pub(super) ids: Vec<PartId>,
    /// For each part, the number of patches without a result.
    open: Vec<usize>,
    pub(super) pieces: Vec<Piece>,
    permits: Permits,
    pub(super) refused: Vec<ErrorRow>,
    /// Number of requests so far.
    pub(super) sent: u32,
    /// The number of the last accepted request, or 0.
    pub(super) taken_at: u32,
    /// A user that Intercom accepted, and would accept again unless there is an outage.
    pub(super) control: Option<Patch>,
    pub(super) suspects: Vec<Suspect>,
    probes: u32,
    pub(super) in_a_row: u32,
    halved: bool,
}

impl LeasedParts {
    /// Prepares parts for requests of at most `size` users.
    pub(super) fn new(works: Vec<Work>, permits: Permits, size: usize) -> Self {
        let ids = works.iter().map(|work| work.part.id.clone()).collect();
        let open = works.iter().map(|work| work.part.patches.len()).collect();
        let pieces = Piece::stack(works.iter().map(|work| &work.part), permits.items.min(size));
        Self {
            works,
            ids,
            open,
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

    /// Acquires permits for a piece, stores its changes in the ledger, and sends it. A 5xx is
    /// retried once (Intercom's advice), unless other requests were accepted and the piece can be
    /// split.
    pub(super) async fn send(
        &mut self,
        round: &mut Round<'_>,
        run: &mut Run,
        piece: &Piece,
    ) -> Result<Sent, StepError> {
        if round.at.is_stopping() {
            return Ok(Sent::Stop(Stop::Later(round.at.clock.now_ms())));
        }
        if (self.sent > 0 || self.permits.items < piece.0.len()) && !round.still_submits(run).await? {
            return Ok(Sent::Stop(Stop::Over));
        }
        // Earlier requests and this read may have outlasted the window. Its permits have expired.
        let expired = self.sent > 0 && round.at.clock.now_ms() >= self.permits.until_ms;
        if expired || self.permits.items < piece.0.len() {
            match round.pay_for(run, piece.0.len()).await? {
                Permit::Granted(items) => self.permits = Permits::new(items, round.at.clock.now_ms()),
                Permit::Wait(at_ms) => return Ok(Sent::Stop(Stop::Later(at_ms))),
            }
            if self.permits.items < piece.0.len() {
                return Ok(Sent::TooLarge);
            }
        }
        self.permits.items -= piece.0.len().min(self.permits.items);
        self.sent += 1;
        round.requests += 1;
        let changes = piece.changes(&self.ids);
        round.clients.ledger.put_changes(&run.id, &self.changes_key(round), &changes, round.at.clock.now_ms()).await?;
        let patches = piece.patches();
        let mut repeated = false;
        loop {
            let error = match round.clients.intercom.submit(&patches).await {
                Ok(reply) => return Ok(Sent::Made(reply.value)),
                Err(error) => error,
            };
            tracing::warn!(run = run.id.as_str(), users = patches.len(), %error, "a bulk request failed");
            match disposition(&error) {
                Disposition::Limited => return Ok(Sent::Stop(Stop::Again)),
                Disposition::NotSent => {
                    return Ok(Sent::Stop(Stop::Rest { why: error.said(), sent: false }));
                }
                Disposition::Later => return Ok(Sent::Failed { error, answered: true }),
                Disposition::ItemRejected => return Ok(Sent::Refused(error)),
                Disposition::Ambiguous => {
                    for work in &self.works {
                        round.clients.ledger.possibly_lost(&work.part, &round.at.request_id).await?;
                    }
                    let answered = error.status().is_some_and(|status| status >= 500);
                    let time = round.at.left_ms() > 2 * FOR_A_JOB_MS;
                    let splits = self.taken() && patches.len() > 1;
                    if repeated || !answered || splits || !time {
                        return Ok(Sent::Failed { error, answered });
                    }
                    if !round.still_submits(run).await? {
                        return Ok(Sent::Stop(Stop::Over));
                    }
                    match round.pay_for(run, patches.len()).await? {
                        Permit::Granted(items) if items as usize >= patches.len() => {}
                        Permit::Granted(_) | Permit::Wait(_) => return Ok(Sent::Failed { error, answered }),
                    }
                    repeated = true;
                }
                Disposition::RunFault | Disposition::NotFound => {
                    return Ok(Sent::Stop(Stop::Fault(format!("{error}. {}", advice(run.api, &error)))));
                }
            }
        }
    }

    /// Subtracts a piece's patches from the open ones. Returns the parts that are now complete.
    pub(super) fn end(&mut self, piece: &Piece) -> Vec<usize> {
        for (index, _) in &piece.0 {
            self.open[*index] -= 1;
        }
        let mut touched: Vec<usize> = piece.0.iter().map(|(index, _)| *index).collect();
        touched.dedup();
        touched.retain(|&index| self.open[index] == 0);
        touched
    }

    /// Ends the parts, or returns them to the queue.
    async fn stop(mut self, round: &mut Round<'_>, run: &Run, stop: Stop) -> Result<Vec<Work>, StepError> {
        // Refused users have their result, even if their part is delivered again.
        self.record_refused(round, run).await?;
        match stop {
            Stop::Again => {
                for work in self.open() {
                    round.clients.ledger.release_part(&work.part, &round.at.request_id, Release::NotSent).await?;
                }
                Ok(self.into_open())
            }
            Stop::Later(at_ms) => {
                // The next attempt does not know the results of splitting, so it begins with
                // smaller requests.
                let release = if self.halved { Release::Tried } else { Release::NotSent };
                let wait_ms = at_ms - round.at.clock.now_ms();
                for work in self.into_open() {
                    round.clients.ledger.release_part(&work.part, &round.at.request_id, release).await?;
                    round.return_after(&work, wait_ms).await;
                }
                Ok(Vec::new())
            }
            Stop::Rest { why, sent } => {
                let (ms, taken) = (rest_ms(self.receives()), self.taken());
                for work in self.into_open() {
                    round.rest(run, &work, &Rest { why: &why, sent, taken, ms }).await?;
                }
                Ok(Vec::new())
            }
            Stop::Fault(reason) => self.fail(round, run, &reason).await,
            Stop::Over => self.drop_open(round).await,
        }
    }

    /// Returns the highest receive count of the parts' messages.
    fn receives(&self) -> u32 {
        self.works.iter().map(|work| work.message.receives).max().unwrap_or(1)
    }

    pub(super) async fn drop_open(self, round: &mut Round<'_>) -> Result<Vec<Work>, StepError> {
        let open = self.into_open();
        round.drop_all(&open).await?;
        Ok(Vec::new())
    }

    fn open(&self) -> impl Iterator<Item = &Work> {
        self.works.iter().zip(&self.open).filter(|(_, open)| **open > 0).map(|(work, _)| work)
    }

    fn into_open(self) -> Vec<Work> {
        self.works.into_iter().zip(self.open).filter(|(_, open)| *open > 0).map(|(work, _)| work).collect()
    }
}
