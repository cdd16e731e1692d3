//! The parts of one run: packed into jobs, each within what the budget leaves.

use super::failing::{request_size, rest_ms};
use super::leased::LeasedParts;
use super::refused::changes_many;
use super::{Round, Work};
use crate::domain::bucket::Bucket;
use crate::domain::part::{Size, pack};
use crate::domain::patch::Patch;
use crate::domain::run::{Run, RunId, State};
use crate::intercom::CALL_TIMEOUT;
use crate::ledger::{ErrorRow, PartEnd, PartLease};
use crate::rate_limit::{Lane, Permit, PermitRequest};
use crate::runtime::binding::{self, Binding};
use crate::runtime::clients::StepError;

/// Kept of the invocation's time for a request and its record.
pub(super) const FOR_A_JOB_MS: i64 = CALL_TIMEOUT.as_millis() as i64 + 5_000;
/// A lease is believed so long after its owner's end.
pub(super) const LEASE_MARGIN_MS: i64 = 10_000;
/// The attempt with which a part is given up. Those count that failed while Intercom took other requests of the run.
const ATTEMPTS_MAX: u32 = 8;
/// Parts that are few: the last of a run.
const FEW_PARTS: u64 = 3;
/// A run that changes few users, or of which few parts are left, gives a part up after this time, even where no other request
/// tells an outage from a fault of these users: the few that Intercom cannot take must not hold a run until its deadline.
/// Shorter than the time that a new generation waits for parts: each of these ends as an error of its users.
const FEW_MAX_MS: i64 = 3 * 3600 * 1000;
/// The same where each user of the part failed in an earlier generation of the run: it was waited for then, or proved to be at
/// fault. Long enough for eight attempts, so that no moment of trouble decides.
const FEW_AGAIN_MAX_MS: i64 = 20 * 60 * 1000;
/// Items that are paid for at once: three jobs. More would be sent after a 429 that another invocation met.
const AHEAD_MAX: usize = 3 * crate::domain::job::ITEMS_MAX;
/// A part is sent in pieces where a window leaves at least so many items of it: each piece is a job of its own.
const PIECE_MIN: usize = 50;
/// A run that was read longer ago is read again before a request.
const READ_STALE_MS: i64 = 1_000;
/// A part that is returned for want of time comes back after this.
const SOON_MS: i64 = 1_000;

/// A request that failed, for the parts that it was for.
pub(super) struct Rest<'a> {
    /// Why, in words.
    pub(super) why: &'a str,
    /// Whether it left this machine.
    pub(super) sent: bool,
    /// Whether Intercom took another request for these parts in this invocation.
    pub(super) taken: bool,
    /// How long the parts rest, in milliseconds.
    pub(super) ms: i64,
}

/// What the budget said.
pub(super) enum Paid {
    /// So many items may be sent.
    Items(usize),
    /// Not within this invocation; the time (Unix milliseconds) to come back.
    Later(i64),
    /// The run does not submit any more.
    Over,
}

impl Round<'_> {
    /// Submits the parts of one run.
    pub(super) async fn submit(&mut self, mut left: Vec<Work>) -> Result<(), StepError> {
        loop {
            let Some(mut run) = self.wanted(&mut left).await? else { return Ok(()) };
            match binding::of_run(self.clients, &run, self.at).await? {
                Binding::Holds => {}
                Binding::Differs(reason) => {
                    self.pause(&run, &reason).await?;
                    continue;
                }
                Binding::Later(at_ms, why) => {
                    tracing::warn!(run = run.id.as_str(), why, parts = left.len(), "the parts come again later");
                    let wait_ms = at_ms - self.at.clock.now_ms();
                    for work in &left {
                        self.return_after(work, wait_ms.max(rest_ms(work.message.receives))).await;
                    }
                    return Ok(());
                }
                Binding::Spent(at_ms) => return self.return_all(&left, at_ms).await,
            }
            let read_ms = self.at.clock.now_ms();
            let sizes = sizes_of(&left);
            let least = sizes.iter().map(|size| size.items).min().unwrap_or(1).min(PIECE_MIN);
            let most: usize = pack(&sizes, crate::domain::job::ITEMS_MAX).iter().map(|&index| sizes[index].items).sum();
            let items = match self.pay(&run, least, most, sizes.iter().map(|size| size.items).sum()).await? {
                Paid::Items(items) => items,
                Paid::Later(at_ms) => return self.return_all(&left, at_ms).await,
                Paid::Over => return self.drop_all(&left).await,
            };
            let paid_ms = self.at.clock.now_ms();
            // A window was waited for, and the run may have been stopped meanwhile.
            if self.at.clock.now_ms() - read_ms > READ_STALE_MS {
                let Some(now) = self.wanted(&mut left).await? else { return Ok(()) };
                run = now;
            }
            let sizes = sizes_of(&left);
            let mut chosen = pack(&sizes, items);
            if chosen.is_empty() {
                // No whole part fits what a window ever leaves: the smallest is sent in pieces.
                chosen = (0..sizes.len()).min_by_key(|&index| sizes[index].items).into_iter().collect();
            }
            let (now, later) = split(left, &chosen);
            left = later;
            let (leased, size) = self.lease(now).await?;
            left.extend(LeasedParts::new(leased, (items, paid_ms), size).submit(self, run).await?);
        }
    }

    /// Pauses a run that this invocation must not send for.
    async fn pause(&mut self, run: &Run, reason: &str) -> Result<(), StepError> {
        if self.clients.ledger.pause(run, reason).await? {
            tracing::error!(run = run.id.as_str(), reason, "run is paused");
            self.outcome.not_complete += 1;
        }
        Ok(())
    }

    /// Gives parts back to the queue until a window of the rate limit that has permits for them.
    async fn return_all(&mut self, works: &[Work], at_ms: i64) -> Result<(), StepError> {
        let wait_ms = (at_ms - self.at.clock.now_ms()).max(SOON_MS);
        for work in works {
            self.return_after(work, wait_ms).await;
        }
        Ok(())
    }

    /// Reads the parts' run, and drops those that it does not want (any more); none if that leaves none.
    async fn wanted(&mut self, works: &mut Vec<Work>) -> Result<Option<Run>, StepError> {
        let Some(first) = works.first() else { return Ok(None) };
        let run = self.clients.ledger.run(&first.part.run).await?;
        if run.is_none() {
            // Nothing is written of a run that never was, or that is forgotten: its rows would have no end.
            tracing::warn!(
                run = first.part.run.as_str(),
                parts = works.len(),
                "parts of no run that is known are dropped"
            );
            self.outcome.dropped += works.drain(..).count() as u64;
            return Ok(None);
        }
        let Some(run) = run.filter(|run| run.state.submits()) else {
            self.drop_all(works).await?;
            return Ok(None);
        };
        let (present, older): (Vec<Work>, Vec<Work>) =
            works.drain(..).partition(|work| work.part.id.generation >= run.generation);
        self.drop_all(&older).await?;
        *works = present;
        Ok((!works.is_empty()).then_some(run))
    }

    /// Pays for a further request of so many items, no fewer, for which the run is read again.
    pub(super) async fn pay_for(&mut self, run: &mut Run, items: usize) -> Result<Paid, StepError> {
        if !self.still_submits(run).await? {
            return Ok(Paid::Over);
        }
        self.pay(run, items, items, items).await
    }

    /// Pays for `least` to `most` items of `ahead`, waiting within the invocation for the window that has them.
    async fn pay(&mut self, run: &Run, least: usize, most: usize, ahead: usize) -> Result<Paid, StepError> {
        let lane = Lane::Submit { scroll_open: run.state == State::Running };
        let ahead = ahead.min(AHEAD_MAX) as u32;
        let request = PermitRequest { lane, least: least as u32, most: most as u32, ahead };
        Ok(match self.clients.limiter.acquire(request, &self.at.leaving(FOR_A_JOB_MS)).await? {
            Permit::Granted(items) => Paid::Items(items as usize),
            Permit::Wait(at_ms) => Paid::Later(at_ms),
        })
    }

    /// Leases parts; those that another invocation holds come back, those that have their end are done with. Returns also
    /// how many users a request for them may have.
    async fn lease(&mut self, works: Vec<Work>) -> Result<(Vec<Work>, usize), StepError> {
        let until_ms = self.at.deadline_ms + LEASE_MARGIN_MS;
        let (mut leased, mut size) = (Vec::new(), usize::MAX);
        for work in works {
            let now_ms = self.at.clock.now_ms();
            match self.clients.ledger.lease_part(&work.part, &self.at.request_id, now_ms, until_ms).await? {
                PartLease::Ours(attempt) if attempt > ATTEMPTS_MAX => {
                    let row = self.clients.ledger.part(&work.part.run, &work.part.id).await?;
                    let why = row.and_then(|row| row.why).unwrap_or_else(|| "each attempt was cut off".to_owned());
                    self.give_up(&work, &why).await?;
                }
                PartLease::Ours(attempt) => {
                    if attempt > 1 {
                        size = size.min(request_size(work.part.patches.len(), attempt));
                    }
                    leased.push(work);
                }
                PartLease::Ended(_) => {}
                PartLease::Busy => self.return_after(&work, until_ms - now_ms).await,
            }
        }
        Ok((leased, size))
    }

    /// Gives a part back to the queue for a rest, after a request that failed for this reason. The attempt counts if Intercom
    /// took others in the meantime: these, as `taken` says, or any of the run since the part's attempt before.
    pub(super) async fn rest(&mut self, run: &Run, work: &Work, rest: &Rest<'_>) -> Result<(), StepError> {
        let Rest { why, sent, taken, ms } = *rest;
        let (part, now_ms) = (&work.part, self.at.clock.now_ms());
        let row = self.clients.ledger.part(&part.run, &part.id).await?;
        let (tried_ms, since_ms) = row.as_ref().map_or((None, None), |row| (row.tried_ms, row.since_ms));
        let counts = sent && (taken || self.takes_since(&part.run, tried_ms).await?);
        let failing_ms = since_ms.filter(|_| sent).map_or(0, |since_ms| now_ms - since_ms);
        let too_long = failing_ms > FEW_AGAIN_MAX_MS
            && (!changes_many(self, run).await? || self.few_are_left(run).await?)
            && (failing_ms > FEW_MAX_MS || self.failed_before(run, work).await?);
        let attempt = row.map_or(0, |row| row.attempt);
        self.clients.ledger.rest_part(part, &self.at.request_id, counts, why, now_ms).await?;
        if counts && attempt >= ATTEMPTS_MAX || too_long {
            return self.give_up(work, why).await;
        }
        self.outcome.held = Some(why.to_owned());
        self.return_after(work, ms).await;
        Ok(())
    }

    /// Whether so little of the run is left that no other request of it may come.
    async fn few_are_left(&self, run: &Run) -> Result<bool, StepError> {
        if run.state != State::Draining {
            return Ok(false);
        }
        let Some(cursor) = self.clients.ledger.cursor(&run.id).await? else { return Ok(false) };
        Ok(self.clients.ledger.accounts(run, &cursor).await?.parts_open <= FEW_PARTS)
    }

    /// Whether each user of the part failed in a request of an earlier generation of the run.
    async fn failed_before(&self, run: &Run, work: &Work) -> Result<bool, StepError> {
        // Generation 0 stands for items of an earlier version; errors of pages and jobs are of another kind.
        let earlier = 1..work.part.id.generation;
        let rows = self.clients.ledger.errors(run).await?;
        let failed = |patch: &Patch| {
            let of_user = |row: &ErrorRow| row.user == patch.user.as_str() && row.at.starts_with("part ");
            rows.iter().any(|row| of_user(row) && earlier.contains(&row.generation))
        };
        Ok(work.part.patches.iter().all(failed))
    }

    /// Whether a job of the run was made in a bucket after the one of this time.
    async fn takes_since(&self, run: &RunId, at_ms: Option<i64>) -> Result<bool, StepError> {
        let Some(at_ms) = at_ms else { return Ok(false) };
        let then = Bucket::of(at_ms, self.clients.settings.bucket);
        Ok(self.clients.ledger.buckets_of(run).await?.iter().any(|bucket| *bucket > then))
    }

    /// Drops parts, and records that: of an older generation, or of a run that does not submit any more.
    pub(super) async fn drop_all(&mut self, works: &[Work]) -> Result<(), StepError> {
        for work in works {
            let now_ms = self.at.clock.now_ms();
            self.clients.ledger.end_part(&work.part, PartEnd::Dropped, &self.at.request_id, now_ms).await?;
            self.outcome.dropped += 1;
        }
        Ok(())
    }

    /// Gives a part up: each of its users is recorded as an error.
    pub(super) async fn give_up(&mut self, work: &Work, why: &str) -> Result<(), StepError> {
        let at = format!("part {}", work.part.id);
        let row = |patch: &crate::domain::patch::Patch| crate::ledger::ErrorRow {
            user: patch.user.to_string(),
            code: "gave_up".to_owned(),
            message: format!("given up; the last attempt: {why}"),
            at: at.clone(),
            generation: work.part.id.generation,
        };
        let rows: Vec<_> = work.part.patches.iter().map(row).collect();
        self.clients.ledger.record_errors(&work.part.run, &rows).await?;
        let now_ms = self.at.clock.now_ms();
        self.clients.ledger.end_part(&work.part, PartEnd::GivenUp, &self.at.request_id, now_ms).await?;
        self.clients.ledger.count_errors(&work.part.run, rows.len() as u64).await?;
        self.outcome.given_up += 1;
        self.outcome.users_given_up += rows.len() as u64;
        Ok(())
    }
}

fn sizes_of(works: &[Work]) -> Vec<Size> {
    works.iter().map(|work| Size { items: work.part.patches.len(), bytes: work.message.body.len() }).collect()
}

fn split(works: Vec<Work>, chosen: &[usize]) -> (Vec<Work>, Vec<Work>) {
    let (now, later): (Vec<_>, Vec<_>) = works.into_iter().enumerate().partition(|(index, _)| chosen.contains(index));
    let strip = |pairs: Vec<(usize, Work)>| pairs.into_iter().map(|(_, work)| work).collect();
    (strip(now), strip(later))
}
