//! Requests that Intercom refuses for something in them: whose fault it is, the user's or the run's.

use super::claimed::Claimed;
use super::pieces::Piece;
use super::{Round, Work};
use crate::clients::StepError;
use crate::intercom::{Error, advice};
use crate::ledger::{ErrorRow, PartEnd};
use crate::run::{Run, State};

/// Users refused alone, alike, with nothing taken, from which on the fault may be the run's.
const REFUSED_ALIKE: usize = 3;
/// It is the run's where so many users are to be changed, and they are such a part of all that were seen.
const PATCHES_MANY: u64 = 20;
const PATCHES_PART_OF: u64 = 20;

impl Claimed {
    /// A refused request: halved until the bad item stands alone and becomes its user's error. Returns the run's fault,
    /// if it looks like one: several users refused alone with the same code and nothing taken.
    pub(super) async fn refuse(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
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
        let part = &self.ids[piece.0[0].0];
        let (at, generation) = (format!("part {part}"), part.generation);
        let (user, code) = (alone.user.to_string(), error.code().to_owned());
        self.refused.push(ErrorRow { user, code, message, at, generation });
        round.outcome.refused += 1;
        let alike = self.refused.iter().all(|row| row.code == error.code());
        if !self.taken && alike && self.refused.len() >= REFUSED_ALIKE && changes_many(round, run).await? {
            self.record_refused(round, run).await?;
            return Ok(Some(format!("Intercom refuses every user alike: {error}. {}", advice(error))));
        }
        for index in self.end(&piece) {
            self.record_refused(round, run).await?;
            let (ledger, now_ms) = (&round.clients.ledger, round.at.clock.now_ms());
            ledger.end_part(&self.works[index].part, PartEnd::Done, &round.at.request_id, now_ms).await?;
        }
        Ok(None)
    }

    pub(super) async fn record_refused(&mut self, round: &mut Round<'_>, run: &Run) -> Result<(), StepError> {
        if self.refused.is_empty() {
            return Ok(());
        }
        round.clients.ledger.record_errors(&run.run, &self.refused).await?;
        let errors = round.clients.ledger.count_errors(&run.run, self.refused.len() as u64).await?;
        self.refused.clear();
        // Counted as often as they are met; the rail is about users.
        let most = run.rails.max_errors.filter(|most| errors > *most);
        if let Some(most) = most
            && round.clients.ledger.users_in_error(run).await?.len() as u64 > most
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
            if ledger.end(&run, State::Failed, Some(reason), None, now_ms).await? {
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
    pub(super) async fn fail(self, round: &mut Round<'_>, run: &Run, reason: &str) -> Result<Vec<Work>, StepError> {
        self.end_run(round, run, reason).await?;
        self.drop_open(round).await
    }
}

/// Whether a run changes many users. Where few are left that Intercom refuses for good (a plan's second run, a list of
/// users in error), each is a fault of its own, and the run goes on.
async fn changes_many(round: &Round<'_>, run: &Run) -> Result<bool, StepError> {
    let Some(cursor) = round.clients.ledger.cursor(&run.run).await? else { return Ok(false) };
    let (patches, users) = (cursor.tally.patches, cursor.tally.users);
    Ok(run.listed.is_none() && patches >= PATCHES_MANY && patches * PATCHES_PART_OF >= users)
}
