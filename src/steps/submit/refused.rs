//! Requests that Intercom refuses for something in them: whose fault it is, the user's or the run's.

use super::leased::{LeasedParts, Sent, Stop};
use super::pieces::Piece;
use super::{Round, Work};
use crate::domain::job::Job;
use crate::domain::run::{Run, State};
use crate::intercom::{Error, advice};
use crate::ledger::{ErrorRow, PartEnd};
use crate::runtime::clients::StepError;

/// Users refused alone, alike, with nothing taken, from which on the fault may be the run's.
const REFUSED_ALIKE: usize = 3;
/// It is the run's where so many users are to be changed, and they are such a part of all that were seen.
const PATCHES_MANY: u64 = 20;
const PATCHES_PART_OF: u64 = 20;

impl LeasedParts {
    /// A refused request: halved until the bad item stands alone and becomes its user's error. Returns the run's fault,
    /// if it looks like one: several users refused alone with the same code and nothing taken.
    pub(super) async fn refuse(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        piece: Piece,
        error: &Error,
    ) -> Result<Option<String>, StepError> {
        if piece.0.len() > 1
            && let Ok((first, second)) = piece.clone().halves()
        {
            self.pieces.extend([second, first]);
            return Ok(None);
        }
        self.refused.push(self.row(&piece, error));
        round.outcome.refused += 1;
        let alike = self.refused.iter().all(|row| row.code == code_of(error));
        // Nothing says that it is about a user, and no user of these was taken.
        let all = may_be_of_all(error) && self.pieces.is_empty();
        if !self.taken()
            && alike
            && (all
                || self.refused.len() >= REFUSED_ALIKE && (may_be_of_all(error) || changes_many(round, run).await?))
        {
            self.record_refused(round, run).await?;
            return Ok(Some(format!("Intercom refuses every user alike: {error}. {}", advice(error))));
        }
        self.ends_alone(round, run, &piece).await?;
        Ok(None)
    }

    /// The row of a piece's one user.
    fn row(&self, piece: &Piece, error: &Error) -> ErrorRow {
        let (index, patch) = &piece.0[0];
        let part = &self.ids[*index];
        let (at, generation) = (format!("part {part}"), part.generation);
        ErrorRow { user: patch.user.to_string(), code: code_of(error), message: error.said(), at, generation }
    }

    /// A user's end is an error: the part that has no other open user ends with it.
    async fn ends_alone(&mut self, round: &mut Round<'_>, run: &Run, piece: &Piece) -> Result<(), StepError> {
        for index in self.end(piece) {
            self.record_refused(round, run).await?;
            let (ledger, now_ms) = (&round.clients.ledger, round.at.clock.now_ms());
            ledger.end_part(&self.works[index].part, PartEnd::Done, &round.at.request_id, now_ms).await?;
        }
        Ok(())
    }

    /// Tries the users once more whose requests failed alone. A user that fails again is an error of its own if a request
    /// was taken since its first one; where none was, a user that was taken before is sent again to find out. If that is
    /// taken, Intercom takes requests, and these users are at fault; if not, it is an outage.
    pub(super) async fn convict(&mut self, round: &mut Round<'_>, run: &mut Run) -> Result<Option<Stop>, StepError> {
        let mut failed = Vec::new();
        for mut suspect in std::mem::take(&mut self.suspects) {
            match self.send(round, run, &suspect.piece).await? {
                Sent::Made(job) => self.made(round, run, &suspect.piece, job).await?,
                Sent::Refused(error) => {
                    if let Some(fault) = self.refuse(round, run, suspect.piece, &error).await? {
                        return Ok(Some(Stop::Fault(fault)));
                    }
                }
                Sent::Failed { error, answered } => {
                    // An answer says more of the user than one that was lost.
                    if answered || suspect.error.status().is_none() {
                        suspect.error = error;
                    }
                    failed.push(suspect);
                }
                Sent::Stop(stop) => return Ok(Some(stop)),
            }
        }
        let Some(last) = failed.last() else { return Ok(None) };
        if failed.iter().any(|suspect| suspect.at > self.taken_at) {
            let Some(control) = self.control.clone() else {
                return Ok(Some(Stop::Rest { why: last.error.said(), sent: true }));
            };
            // Under the name of a part that is open: its lease accounts for a job whose id is lost.
            let piece = Piece(vec![(last.piece.0[0].0, control)]);
            match self.send(round, run, &piece).await? {
                Sent::Made(job) => self.record_control(round, run, job).await?,
                Sent::Refused(error) | Sent::Failed { error, .. } => {
                    return Ok(Some(Stop::Rest { why: error.said(), sent: true }));
                }
                Sent::Stop(stop) => return Ok(Some(stop)),
            }
        }
        for suspect in failed {
            self.refused.push(self.row(&suspect.piece, &suspect.error));
            round.outcome.refused += 1;
            self.ends_alone(round, run, &suspect.piece).await?;
        }
        Ok(None)
    }

    async fn record_control(&mut self, round: &mut Round<'_>, run: &Run, job: Job) -> Result<(), StepError> {
        self.record(round, run, 1, job, Vec::new()).await
    }

    pub(super) async fn record_refused(&mut self, round: &mut Round<'_>, run: &Run) -> Result<(), StepError> {
        if self.refused.is_empty() {
            return Ok(());
        }
        round.clients.ledger.record_errors(&run.id, &self.refused).await?;
        let errors = round.clients.ledger.count_errors(&run.id, self.refused.len() as u64).await?;
        self.refused.clear();
        // Counted as often as they are met; the limit is about users.
        let most = run.limits.max_errors.filter(|most| errors > *most);
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
                tracing::error!(run = run.id.as_str(), reason, "run failed");
                break;
            }
            let now = ledger.run(&run.id).await?.filter(|now| now.state.may_become(State::Failed));
            let Some(now) = now.filter(|now| (now.state, now.generation) != (run.state, run.generation)) else { break };
            run = now;
        }
        Ok(())
    }

    /// The run's fault: it ends, and what it has left is dropped.
    pub(super) async fn fail(self, round: &mut Round<'_>, run: &Run, reason: &str) -> Result<Vec<Work>, StepError> {
        self.end_run(round, run, reason).await?;
        self.drop_open(round).await
    }
}

/// Intercom's code, or the status of an answer without one.
fn code_of(error: &Error) -> String {
    match (error.code(), error.status()) {
        ("", Some(status)) => format!("http_{status}"),
        ("", None) => "no_answer".to_owned(),
        (code, _) => code.to_owned(),
    }
}

/// Whether a refusal may be about all users: a permission, or an address, of which Intercom names no user.
fn may_be_of_all(error: &Error) -> bool {
    let Error::Refused { status, code, message, .. } = error else { return false };
    let names_a_user = ["user", "contact"].iter().any(|word| {
        let of = |text: &str| text.to_ascii_lowercase().contains(word);
        of(code) || of(message)
    });
    matches!(status, 403 | 404 | 410) && !names_a_user
}

/// Whether a run changes many users. Where few are left that Intercom refuses for good (a plan's second run, a list of
/// users in error), each is a fault of its own, and the run goes on.
pub(super) async fn changes_many(round: &Round<'_>, run: &Run) -> Result<bool, StepError> {
    let Some(cursor) = round.clients.ledger.cursor(&run.id).await? else { return Ok(false) };
    let (patches, users) = (cursor.tally.patches, cursor.tally.users);
    Ok(run.listed.is_none() && patches >= PATCHES_MANY && patches * PATCHES_PART_OF >= users)
}
