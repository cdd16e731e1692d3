//! Sends one piece as a bulk request.

use super::Round;
use super::batch::FOR_A_JOB_MS;
use super::leased::LeasedParts;
use super::permits::Permits;
use super::pieces::Piece;
use crate::domain::api::Submitted;
use crate::domain::part::UserOutcome;
use crate::domain::run::Run;
use crate::intercom::{Disposition, Error, advice, disposition, is_not_served};
use crate::rate_limit::Permit;
use crate::runtime::clients::StepError;

/// Payments for a request whose permits expire before it is sent.
pub(super) const PAYMENTS_MAX: u32 = 3;

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
        /// The error.
        error: Error,
        /// True if Intercom answered.
        answered: bool,
    },
    /// No further request is sent.
    Stop(Stop),
}

/// The reason why a run pauses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Accusation {
    /// The reason, for the operator.
    pub(super) reason: String,
    /// True if Intercom has none of the run's users. A run pauses for that once.
    pub(super) all_gone: bool,
}

/// A fault of a run, which ends it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The reason, for the operator.
    pub(super) reason: String,
    /// True if Intercom does not serve the requests that write.
    pub(super) not_served: bool,
}

impl Fault {
    /// Creates a fault that a refusal shows. `why` precedes the refusal.
    pub(super) fn of(run: &Run, why: &str, error: &Error) -> Self {
        let reason = format!("{why}{error}. {}", advice(run.api, error));
        Self { reason, not_served: is_not_served(error) }
    }
}

/// The reason for not sending the rest of the parts now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The rate limit, or a request that could not begin in time: retry within this invocation.
    Again,
    /// No permits or no time within this invocation: retry at this time (Unix milliseconds).
    Later(i64),
    /// An outage: retry after a wait. `why` is shown to the operator. `sent` is false if no request
    /// was sent.
    Rest { why: String, sent: bool },
    /// A fault of the run: none of its parts can be sent.
    Fault(Fault),
    /// The run is at fault, and can continue once an operator has mended it.
    Pause(Accusation),
    /// The run ended in the meantime.
    Over,
}

impl Stop {
    /// Notes a further reason. The one with the widest effect counts: requests under way may show a fault
    /// of the run although no other request may begin.
    pub(super) fn note(noted: &mut Option<Self>, why: Self) {
        if noted.as_ref().is_none_or(|noted| noted.width() < why.width()) {
            *noted = Some(why);
        }
    }

    const fn width(&self) -> u8 {
        match self {
            Self::Again => 0,
            Self::Later(_) => 1,
            Self::Rest { .. } => 2,
            Self::Over => 3,
            Self::Pause(_) | Self::Fault(_) => 4,
        }
    }
}

impl LeasedParts {
    /// Acquires permits for a piece, and sends it. A 5xx is
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
        let mut payments = 0;
        loop {
            if let Some(stop) = round.may_not_write(run).await? {
                return Ok(Sent::Stop(stop));
            }
            // Earlier calls may have outlasted the window. Its permits have expired.
            if self.permits.items >= piece.0.len() && round.at.clock.now_ms() < self.permits.until_ms {
                break;
            }
            payments += 1;
            if payments > PAYMENTS_MAX {
                return Ok(Sent::Stop(Stop::Later(round.at.clock.now_ms())));
            }
            round.give_back_minute(run, &mut self.permits);
            match round.pay_for(run, piece.0.len()).await? {
                Permit::Granted { permits, end_ms } => self.permits = Permits::new(run, permits, end_ms),
                Permit::Wait(at_ms) => return Ok(Sent::Stop(Stop::Later(at_ms))),
            }
            if self.permits.items < piece.0.len() {
                return Ok(Sent::TooLarge);
            }
        }
        let mut used = round.spend(run, &mut self.permits, piece.0.len());
        let sent = self.request(round, run, piece, &mut used).await;
        if matches!(sent, Ok(Sent::Stop(_))) {
            // The last request had no effect, or did not begin.
            round.give_back_minute(run, &mut used);
        }
        sent
    }

    /// Sends a piece by permits that it has. `used` are those of the last request.
    async fn request(
        &mut self,
        round: &mut Round<'_>,
        run: &mut Run,
        piece: &Piece,
        used: &mut Permits,
    ) -> Result<Sent, StepError> {
        self.sent += 1;
        round.requests += 1;
        if !run.keeps_parts() {
            let (changes, now_ms) = (piece.changes(&self.parts), round.at.clock.now_ms());
            round.clients.ledger.put_changes(&run.id, &self.changes_key(round), &changes, now_ms).await?;
        }
        if let Some(stop) = round.may_not_write(run).await? {
            return Ok(Sent::Stop(stop));
        }
        if used.minute_is_over(round.at.clock.now_ms()) {
            return Ok(Sent::Stop(Stop::Later(round.at.clock.now_ms())));
        }
        let patches = piece.patches();
        let mut repeated = false;
        loop {
            let error = match round.writer(run, used).submit(&patches).await {
                Ok(reply) => {
                    round.see_charge(run, reply.rate, patches.len());
                    return Ok(Sent::Made(reply.value));
                }
                Err(error) => error,
            };
            tracing::warn!(run = run.id.as_str(), users = patches.len(), %error, "a bulk request failed");
            match disposition(&error) {
                Disposition::Limited | Disposition::TooLate => return Ok(Sent::Stop(Stop::Again)),
                Disposition::NotSent => {
                    return Ok(Sent::Stop(Stop::Rest { why: error.said(), sent: false }));
                }
                // It would convict a user who is sent alone.
                Disposition::OtherJob => {
                    return Ok(Sent::Stop(Stop::Rest { why: error.said(), sent: true }));
                }
                Disposition::Later => return Ok(Sent::Failed { error, answered: true }),
                Disposition::ItemRejected => return Ok(Sent::Refused(error)),
                Disposition::Ambiguous => {
                    // Its users may be written.
                    used.items = 0;
                    let now_ms = round.at.clock.now_ms();
                    for part in &self.parts {
                        round.clients.ledger.possibly_lost(&part.work.part, &round.at.request_id, now_ms).await?;
                    }
                    self.set(piece, UserOutcome::Unknown);
                    let answered = error.status().is_some_and(|status| status >= 500);
                    let time = round.at.left_ms() > 2 * FOR_A_JOB_MS;
                    let splits = self.taken() && patches.len() > 1;
                    if repeated || !answered || splits || !time || round.at.is_stopping() {
                        return Ok(Sent::Failed { error, answered });
                    }
                    if !round.still_submits(run).await? {
                        return Ok(Sent::Stop(Stop::Over));
                    }
                    round.give_back_minute(run, &mut self.permits);
                    match round.pay_for(run, patches.len()).await? {
                        Permit::Granted { permits, end_ms } if permits as usize >= patches.len() => {
                            *used = Permits::new(run, permits, end_ms);
                        }
                        Permit::Granted { .. } | Permit::Wait(_) => return Ok(Sent::Failed { error, answered }),
                    }
                    if let Some(stop) = round.may_not_write(run).await? {
                        return Ok(Sent::Stop(stop));
                    }
                    if used.minute_is_over(round.at.clock.now_ms()) {
                        return Ok(Sent::Failed { error, answered });
                    }
                    repeated = true;
                }
                Disposition::RunFault | Disposition::NotFound => {
                    return Ok(Sent::Stop(Stop::Fault(Fault::of(run, "", &error))));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_with_the_widest_effect_counts() {
        let rest = || Stop::Rest { why: "503".to_owned(), sent: true };
        let pause = || Stop::Pause(Accusation { reason: "50 alike".to_owned(), all_gone: false });
        let fault = || Stop::Fault(Fault { reason: "401".to_owned(), not_served: false });
        for (stops, counts) in [
            (vec![Stop::Later(1), Stop::Later(2)], Stop::Later(1)),
            (vec![Stop::Later(1), rest()], rest()),
            (vec![rest(), Stop::Later(1)], rest()),
            (vec![rest(), Stop::Over, rest()], Stop::Over),
            (vec![Stop::Later(1), fault(), Stop::Over], fault()),
            (vec![Stop::Over, pause(), rest()], pause()),
            (vec![pause(), fault()], pause()),
            (vec![fault(), pause()], fault()),
        ] {
            let (text, mut noted) = (format!("{stops:?}"), None);
            for why in stops {
                Stop::note(&mut noted, why);
            }
            assert_eq!(noted, Some(counts), "{text}");
        }
    }
}
