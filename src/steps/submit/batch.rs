//! Packs the parts of one run into bulk jobs, within the budget of the rate limit.

use super::failing::{least_wait_ms, request_size, rest_ms};
use super::leased::{LeasedPart, LeasedParts};
use super::permits::{Permits, users_at_once};
use super::wanted::READ_STALE_MS;
use super::{Round, Work};
use crate::control;
use crate::domain::api::Way;
use crate::domain::part::{Size, pack};
use crate::domain::run::Run;
use crate::intercom::CALL_TIMEOUT;
use crate::ledger::{OurPart, PartLease, PartRest};
use crate::rate_limit::Permit;
use crate::runtime::binding::{self, Binding, UnknownWorkspace};
use crate::runtime::clients::StepError;

/// Time reserved for a request and its record, in milliseconds.
pub(super) const FOR_A_JOB_MS: i64 = CALL_TIMEOUT.as_millis() as i64 + 5_000;
/// Time from an invocation's deadline to the expiry of its leases, in milliseconds.
pub(super) const LEASE_MARGIN_MS: i64 = 10_000;
/// Failed attempts after which a part is given up. An attempt counts only if Intercom accepted
/// other requests of the run at that time.
const ATTEMPTS_MAX: u32 = 8;
/// A part is sent in pieces if a window has permits for at least this many of its items. Each piece
/// is a separate job.
const PIECE_MIN: usize = 50;
/// The shortest wait of a part that is returned for lack of time, in milliseconds.
const SOON_MS: i64 = 1_000;

/// The code of a user that is given up.
pub(super) const GAVE_UP: &str = "gave_up";

/// The requests that were tried for a part before it rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// A request for the part was sent.
    Sent,
    /// No request for it was sent, or all of those that were sent had results.
    NotSent,
    /// Intercom was not reached.
    Unreached,
}

impl Tried {
    pub(super) fn of(sent: bool, any_failed: bool) -> Self {
        match (sent, any_failed) {
            (false, _) => Self::Unreached,
            (true, false) => Self::NotSent,
            (true, true) => Self::Sent,
        }
    }
}

/// The effect of a failed request on its parts.
pub(super) struct Rest<'a> {
    /// The reason, as text.
    pub(super) why: &'a str,
    pub(super) tried: Tried,
    /// True if Intercom accepted another request in this invocation: in a family whose answer is the
    /// result, after a request for the part had failed.
    pub(super) taken: bool,
    /// True if users of the part got their results in this invocation.
    pub(super) settled: bool,
    /// The wait before the parts are delivered again, in milliseconds.
    pub(super) ms: i64,
}

/// The decision about a part after a failed request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    /// The attempt counts.
    pub(super) counts: bool,
    /// Intercom accepted another request in the meantime.
    pub(super) others_taken: bool,
    /// The users that failed are given up.
    pub(super) gives_up: bool,
}

impl Round<'_> {
    /// Submits the parts of one run.
    pub(super) async fn submit(&mut self, mut left: Vec<Work>) -> Result<(), StepError> {
        loop {
            let Some(mut run) = self.wanted(&mut left).await? else { return Ok(()) };
            match binding::of_write(self.clients, &run, self.at).await? {
                Binding::Holds => {}
                Binding::Differs(reason) => {
                    let paused = control::pause(&self.clients.ledger, &run, &reason, self.at.clock.now_ms()).await?;
                    self.outcome.not_complete += u64::from(paused);
                    continue;
                }
                Binding::Unknown(UnknownWorkspace::Later { until_ms, why }) => {
                    tracing::warn!(
                        run = run.id.as_str(),
                        why,
                        parts = left.len(),
                        "the parts are delivered again later"
                    );
                    let wait_ms = until_ms - self.at.clock.now_ms();
                    for work in &left {
                        self.return_after(work, wait_ms.max(rest_ms(work.message.receives))).await;
                    }
                    return Ok(());
                }
                Binding::Unknown(UnknownWorkspace::Spent { until_ms }) => {
                    return self.return_all(&left, until_ms).await;
                }
            }
            let read_ms = self.at.clock.now_ms();
            let (way, parts) = one_way(&run, &mut left);
            let sizes = sizes_of(&left[..parts]);
            let least = sizes.iter().map(|size| size.items).min().unwrap_or(1).min(PIECE_MIN);
            let most: usize = pack(&sizes, users_at_once(way)).iter().map(|&index| sizes[index].items).sum();
            let ahead = sizes.iter().map(|size| size.items).sum();
            let permits = match self.pay(&run, way, least..=most, ahead).await? {
                Permit::Granted { permits, end_ms } => Permits::new(&run, permits, end_ms),
                Permit::Wait(at_ms) => return self.return_all(&left, at_ms).await,
            };
            // The run may have been stopped during the wait for permits.
            if self.at.clock.now_ms() - read_ms > READ_STALE_MS {
                let Some(now) = self.wanted(&mut left).await? else { return Ok(()) };
                run = now;
            }
            let (way_now, parts) = one_way(&run, &mut left);
            if way_now != way {
                // A bulk request may cost one operation for all of its users, and other requests one each.
                self.give_back(&run, way, &permits, 0);
                continue;
            }
            let sizes = sizes_of(&left[..parts]);
            let mut chosen = pack(&sizes, permits.items.min(users_at_once(way)));
            if chosen.is_empty() {
                // No window or minute has permits for a whole part, so send the smallest in pieces.
                chosen = (0..sizes.len()).min_by_key(|&index| sizes[index].items).into_iter().collect();
            }
            let (now, later) = split(left, &chosen);
            left = later;
            let (leased, size) = self.lease(now).await?;
            // Parts that have ended, or are leased by another invocation, need no permits.
            let open: usize = leased.iter().map(|part| part.outcomes.left()).sum();
            let permits = self.give_back(&run, way, &permits, open);
            let parts = LeasedParts::new(leased, permits, size);
            left.extend(match way {
                Way::Job => parts.submit(self, run).await?,
                Way::Answer => parts.write(self, run).await?,
            });
        }
    }

    /// Returns parts to the queue until a rate window that has permits for them.
    async fn return_all(&mut self, works: &[Work], at_ms: i64) -> Result<(), StepError> {
        for work in works {
            self.return_until(work, at_ms).await;
        }
        Ok(())
    }

    /// Returns a part to the queue until a rate window that has permits for it, or longer if it was received
    /// often.
    pub(super) async fn return_until(&mut self, work: &Work, at_ms: i64) {
        let wait_ms = (at_ms - self.at.clock.now_ms()).max(SOON_MS);
        self.return_after(work, wait_ms.max(least_wait_ms(work.message.receives))).await;
    }

    /// Leases parts. Parts that another invocation holds are delivered again; ended parts are
    /// skipped. Also returns the maximum number of users per request.
    async fn lease(&mut self, works: Vec<Work>) -> Result<(Vec<LeasedPart>, usize), StepError> {
        let until_ms = self.leased_until_ms();
        let (mut leased, mut size) = (Vec::new(), usize::MAX);
        for work in works {
            let now_ms = self.at.clock.now_ms();
            match self.clients.ledger.lease_part(&work.part, &self.at.request_id, now_ms, until_ms).await? {
                PartLease::Ours(OurPart { attempt, outcomes, .. }) if attempt > ATTEMPTS_MAX => {
                    let row = self.clients.ledger.part(&work.part.run, &work.part.id).await?;
                    let why = row.and_then(|row| row.why).unwrap_or_else(|| "each attempt was interrupted".to_owned());
                    self.give_up(&LeasedPart::new(work, outcomes, attempt), &why).await?;
                }
                PartLease::Ours(OurPart { attempt, interrupted, outcomes }) => {
                    if attempt > 1 {
                        size = size.min(request_size(work.part.patches.len(), attempt));
                    }
                    leased.push(LeasedPart { interrupted, ..LeasedPart::new(work, outcomes, attempt) });
                }
                PartLease::Ended(_) => {}
                PartLease::Busy => self.return_after(&work, until_ms - now_ms).await,
            }
        }
        Ok((leased, size))
    }

    /// Returns a part to the queue for a wait, after a failed request, or gives it up.
    pub(super) async fn rest(&mut self, run: &Run, leased: &LeasedPart, rest: &Rest<'_>) -> Result<(), StepError> {
        let judged = self.judge(run, leased, rest).await?;
        if judged.gives_up {
            // The lease ends with the part: no other message of it is carried out in between.
            return self.give_up(leased, rest.why).await;
        }
        self.return_to_rest(leased, rest, judged, u32::from(!judged.counts)).await
    }

    /// Decides about a part after a failed request. The attempt counts if Intercom accepted other requests
    /// in the meantime: for these parts (`taken`), or any of the run since the part's previous attempt. It
    /// does not count if the part advances.
    pub(super) async fn judge(&self, run: &Run, leased: &LeasedPart, rest: &Rest<'_>) -> Result<Judged, StepError> {
        let Rest { tried, taken, settled, .. } = *rest;
        let sent = tried == Tried::Sent;
        let (part, now_ms) = (&leased.work.part, self.at.clock.now_ms());
        let row = self.clients.ledger.part(&part.run, &part.id).await?;
        let (tried_ms, since_ms) = row.as_ref().map_or((None, None), |row| (row.tried_ms, row.since_ms));
        let fails = sent && !settled;
        let others_taken = sent && (taken || self.takes_since(&part.run, tried_ms).await?);
        let counts = fails && others_taken;
        let failing_ms = since_ms.filter(|_| fails).map_or(0, |since_ms| now_ms - since_ms.max(run.resumed_ms));
        let is_no_outage = others_taken || row.as_ref().is_some_and(|row| row.others_taken);
        let too_long = self.fails_too_long(run, leased, failing_ms, is_no_outage).await?;
        let attempt = row.map_or(0, |row| row.attempt);
        Ok(Judged { counts, others_taken, gives_up: counts && attempt >= ATTEMPTS_MAX || too_long })
    }

    /// Returns a part to the queue for a wait. `back` attempts at it do not count.
    pub(super) async fn return_to_rest(
        &mut self,
        LeasedPart { work, outcomes, .. }: &LeasedPart,
        rest: &Rest<'_>,
        Judged { others_taken, .. }: Judged,
        back: u32,
    ) -> Result<(), StepError> {
        let Rest { why, ms, tried, .. } = *rest;
        let is_unreached = tried == Tried::Unreached;
        let (part, now_ms) = (&work.part, self.at.clock.now_ms());
        self.clients
            .ledger
            .rest_part(part, &self.at.request_id, outcomes, PartRest { back, why, is_unreached, others_taken, now_ms })
            .await?;
        if let Err(error) = self.clients.ledger.note_held(part, now_ms).await {
            tracing::warn!(%error, "cannot record the last failed request; `status` does not show it");
        }
        self.outcome.held = Some(why.to_owned());
        self.return_after(work, ms).await;
        Ok(())
    }

    /// Gives up a part: records each of its open users as an error.
    pub(super) async fn give_up(&mut self, leased: &LeasedPart, why: &str) -> Result<(), StepError> {
        let LeasedPart { work, outcomes, .. } = leased;
        let open = work.part.patches.iter().enumerate().filter(|(user, _)| outcomes.of(*user).is_open());
        let rows: Vec<_> = open.map(|(_, patch)| leased.error_row(patch, GAVE_UP, given_up(why))).collect();
        let now_ms = self.at.clock.now_ms();
        self.clients.ledger.record_errors(&work.part.run, &rows, now_ms).await?;
        let failed = rows.len() as u64;
        self.clients.ledger.give_up_part(&work.part, failed, &self.at.request_id, now_ms).await?;
        self.outcome.given_up += 1;
        self.outcome.users_given_up += failed;
        Ok(())
    }
}

/// Returns the message of a user that is given up.
pub(super) fn given_up(why: &str) -> String {
    format!("given up; the last attempt: {why}")
}

/// Orders parts so that those of the first part's way come first. Returns that way and their number.
fn one_way(run: &Run, works: &mut [Work]) -> (Way, usize) {
    let way_of = |work: &Work| run.way_of(&work.part);
    let way = works.first().map_or(Way::Job, way_of);
    works.sort_by_key(|work| way_of(work) != way);
    (way, works.iter().take_while(|work| way_of(work) == way).count())
}

fn sizes_of(works: &[Work]) -> Vec<Size> {
    works.iter().map(|work| Size { items: work.part.patches.len(), bytes: work.message.body.len() }).collect()
}

fn split(works: Vec<Work>, chosen: &[usize]) -> (Vec<Work>, Vec<Work>) {
    let (now, later): (Vec<_>, Vec<_>) = works.into_iter().enumerate().partition(|(index, _)| chosen.contains(index));
    let strip = |pairs: Vec<(usize, Work)>| pairs.into_iter().map(|(_, work)| work).collect();
    (strip(now), strip(later))
}
