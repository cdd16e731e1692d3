//! Requests that Intercom refuses because of their content: decides between a fault of the user and
//! a fault of the run.

use std::collections::BTreeSet;

use super::leased::LeasedParts;
use super::pieces::Piece;
use super::send::{Fault, Sent, Stop};
use super::{Round, Work};
use crate::control;
use crate::domain::part::UserOutcome;
use crate::domain::run::{AtMost, Cursor, Run};
use crate::intercom::Error;
use crate::ledger::{ErrorRow, PartEnd};
use crate::runtime::clients::StepError;

/// If this many users are refused individually with the same code, and no request was accepted, the
/// run may be at fault.
const REFUSED_ALIKE: usize = 3;
/// A run changes many users from this number of patches on.
pub(super) const PATCHES_MANY: u64 = 20;
/// It must also change at least one user in this many.
const PATCHES_PART_OF: u64 = 20;

impl LeasedParts {
    /// Handles a refused request. It is split into halves until the refused item is alone and
    /// becomes its user's error. Returns the run's fault if several users were refused individually
    /// with the same code and no request was accepted.
    pub(super) async fn refuse(
        &mut self,
        round: &mut Round<'_>,
        run: &Run,
        piece: Piece,
        error: &Error,
    ) -> Result<Option<Fault>, StepError> {
        if piece.0.len() > 1
            && let Ok((first, second)) = piece.clone().halves()
        {
            self.pieces.extend([second, first]);
            return Ok(None);
        }
        self.refused.push(self.row(&piece, error));
        round.outcome.refused += 1;
        let alike = self.refused.iter().all(|row| row.code == code_of(error));
        // The refusal names no user, and no other piece is left.
        let all = may_be_of_all(error) && self.pieces.is_empty();
        if !self.taken()
            && alike
            && (all
                || self.refused.len() >= REFUSED_ALIKE && (may_be_of_all(error) || round.run_changes_many(run).await?))
        {
            self.record_refused(round, run).await?;
            return Ok(Some(Fault::of(run, "Intercom refuses every user alike: ", error)));
        }
        self.ends_alone(round, run, &piece).await?;
        Ok(None)
    }

    /// Returns the error row of a piece's only user.
    fn row(&self, piece: &Piece, error: &Error) -> ErrorRow {
        self.error_row(&piece.0[0], &code_of(error), error.said())
    }

    /// Ends a piece whose only user failed. A part without other open users ends, too.
    async fn ends_alone(&mut self, round: &mut Round<'_>, run: &Run, piece: &Piece) -> Result<(), StepError> {
        self.set(piece, UserOutcome::Refused);
        let part = piece.0[0].part;
        if self.parts[part].outcomes.left() == 0 {
            self.record_refused(round, run).await?;
            let (ledger, now_ms) = (&round.clients.ledger, round.at.clock.now_ms());
            ledger.end_part(&self.parts[part].work.part, PartEnd::Done, &round.at.request_id, now_ms).await?;
        }
        Ok(())
    }

    /// Retries the users whose individual requests failed. A user that fails again becomes an error
    /// if Intercom accepted a request after the user's first one. Otherwise, a user that Intercom
    /// accepted before is sent again as a control. If the control is accepted, the failed users are
    /// at fault. If not, it is an outage.
    pub(super) async fn convict(&mut self, round: &mut Round<'_>, run: &mut Run) -> Result<Option<Stop>, StepError> {
        let mut failed = Vec::new();
        for mut suspect in std::mem::take(&mut self.suspects) {
            match self.send(round, run, &suspect.piece).await? {
                Sent::Made(submitted) => self.made(round, run, &suspect.piece, submitted).await?,
                // A request for one user fits each window.
                Sent::TooLarge => return Ok(Some(Stop::Again)),
                Sent::Refused(error) => {
                    if let Some(fault) = self.refuse(round, run, suspect.piece, &error).await? {
                        return Ok(Some(Stop::Fault(fault)));
                    }
                }
                Sent::Failed { error, answered } => {
                    // Prefer an answer over a lost answer, because its text describes the user.
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
            // Its part may have ended, and its user is in another job. The lease of the failed users' part
            // accounts for a job whose id is lost.
            let piece = Piece(vec![control]);
            match self.send(round, run, &piece).await? {
                Sent::Made(submitted) => self.record(round, run, &piece, submitted, Vec::new()).await?,
                Sent::TooLarge => return Ok(Some(Stop::Again)),
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

    pub(super) async fn record_refused(&mut self, round: &mut Round<'_>, run: &Run) -> Result<(), StepError> {
        if self.refused.is_empty() {
            return Ok(());
        }
        round.clients.ledger.record_errors(&run.id, &self.refused, round.at.clock.now_ms()).await?;
        let errors = round.clients.ledger.count_errors(&run.id, self.refused.len() as u64).await?;
        self.refused.clear();
        // `errors` counts a user once per error, but the limit counts users.
        let most = round.errors_max(run).await?.filter(|most| errors > *most);
        if let Some(most) = most
            && round.clients.ledger.users_in_error(run, BTreeSet::new(), most).await? > most
        {
            self.end_run(round, run, control::OVER_MAX_ERRORS).await?;
        }
        Ok(())
    }

    async fn end_run(&self, round: &mut Round<'_>, run: &Run, reason: &str) -> Result<(), StepError> {
        let failed = control::fail(&round.clients.ledger, run, reason, round.at.clock.now_ms()).await?;
        round.outcome.not_complete += u64::from(failed);
        Ok(())
    }

    /// Ends a run that is at fault, and leaves its open parts.
    pub(super) async fn fail(self, round: &mut Round<'_>, run: &Run, fault: &Fault) -> Result<Vec<Work>, StepError> {
        if fault.not_served {
            round.clients.ledger.note_jobs_not_served(&run.id).await?;
        }
        self.end_run(round, run, &fault.reason).await?;
        self.leave_open(round, run).await
    }
}

/// Returns Intercom's code, or the status of an answer without a code.
pub(super) fn code_of(error: &Error) -> String {
    match (error.code(), error.status()) {
        ("", Some(status)) => format!("http_{status}"),
        ("", None) => "no_answer".to_owned(),
        (code, _) => code.to_owned(),
    }
}

/// Returns whether a refusal may concern all users: a missing permission or address, without a text
/// that names a user.
fn may_be_of_all(error: &Error) -> bool {
    let Error::Refused { status, code, message, .. } = error else { return false };
    let names_a_user = ["user", "contact"].iter().any(|word| {
        let of = |text: &str| text.to_ascii_lowercase().contains(word);
        of(code) || of(message)
    });
    matches!(status, 403 | 404 | 410) && !names_a_user
}

impl Round<'_> {
    /// Returns the most users that may fail. A percentage is one of the users read so far.
    async fn errors_max(&self, run: &Run) -> Result<Option<u64>, StepError> {
        if !matches!(run.limits.max_errors, Some(AtMost::Percent(_))) {
            return Ok(run.limits.errors_max(0));
        }
        let cursor = self.clients.ledger.cursor(&run.id).await?;
        Ok(run.limits.errors_max(cursor.map_or(0, |cursor| cursor.tally.judged())))
    }

    /// Returns whether a run changes many users.
    async fn run_changes_many(&self, run: &Run) -> Result<bool, StepError> {
        let cursor = self.clients.ledger.cursor(&run.id).await?;
        Ok(cursor.is_some_and(|cursor| changes_many(run, &cursor)))
    }
}

/// Returns whether a run changes many users. If a run changes few users (a plan's second run, a
/// list of failed users), Intercom may refuse all of them for individual faults, and the run
/// continues.
pub(super) fn changes_many(run: &Run, cursor: &Cursor) -> bool {
    let patches = cursor.tally.patches;
    run.listed.is_none() && patches >= PATCHES_MANY && patches * PATCHES_PART_OF >= cursor.tally.without_leads()
}
