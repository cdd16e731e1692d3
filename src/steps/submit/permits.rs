//! Permits of the rate limit for writes, in users.

use std::ops::RangeInclusive;

use super::Round;
use super::batch::FOR_A_JOB_MS;
use crate::domain::api::{BulkCharge, WRITE_USERS_MAX, Way};
use crate::domain::run::{Run, State};
use crate::intercom::Rate;
use crate::rate_limit::{EDGE_MS, Lane, Permit, PermitRequest, RunPace, minute_end_ms};
use crate::runtime::clients::StepError;

/// The most permits that are acquired ahead, in whole jobs. Prepaid permits are used even if another
/// invocation gets a 429, so more would extend that time.
const JOBS_AHEAD_MAX: usize = 3;
/// Messages of one event, in the template and in the emulator.
const MESSAGES_AT_ONCE: usize = 10;

/// Permits to write users, which expire with their rate window.
pub(super) struct Permits {
    /// The number of users.
    pub(super) items: usize,
    /// The time until which a request can use them, in Unix milliseconds.
    pub(super) until_ms: i64,
    /// The same for a run with a pace: the end of the minute less the edge.
    minute_until_ms: Option<i64>,
}

impl Permits {
    /// Permits for a run that are charged up to `end_ms`, the end of a window. With a pace, that window is
    /// in the minute that they are charged to.
    pub(super) fn new(run: &Run, items: u32, end_ms: i64) -> Self {
        let minute_until_ms = run.limits.max_per_minute.map(|_| minute_end_ms(end_ms - 1) - EDGE_MS);
        Self { items: items as usize, until_ms: end_ms - EDGE_MS, minute_until_ms }
    }

    /// Removes the permits of this many users, and returns them.
    pub(super) fn take(&mut self, users: usize) -> Self {
        let items = users.min(self.items);
        self.items -= items;
        Self { items, ..*self }
    }

    /// Returns the time until which a request can use them, in Unix milliseconds: in the window, and in
    /// the minute of a run's pace.
    pub(super) fn usable_until_ms(&self) -> i64 {
        self.minute_until_ms.map_or(self.until_ms, |minute_ms| minute_ms.min(self.until_ms))
    }

    /// Returns whether the minute of a run's pace is over at `now_ms`.
    pub(super) fn minute_is_over(&self, now_ms: i64) -> bool {
        self.minute_until_ms.is_some_and(|until_ms| now_ms >= until_ms)
    }
}

/// Returns the most users that are sent together: those of one job, or of all messages of an event.
pub(super) fn users_at_once(way: Way) -> usize {
    match way {
        Way::Job => WRITE_USERS_MAX,
        Way::Answer => MESSAGES_AT_ONCE * WRITE_USERS_MAX,
    }
}

impl Round<'_> {
    /// Uses permits for a bulk request of this many users, and returns them. If the request is charged
    /// as one, the others cover no further request.
    pub(super) fn spend(&self, run: &Run, permits: &mut Permits, users: usize) -> Permits {
        let spent = permits.take(users);
        if self.charge_of(run, Way::Job) == BulkCharge::Request {
            self.give_back_minute(run, permits);
        }
        spent
    }

    /// Returns the permits for this many users, and keeps the others for later requests.
    pub(super) fn give_back(&self, run: &Run, way: Way, permits: &Permits, users: usize) -> Permits {
        let Permits { items: all, until_ms, minute_until_ms } = *permits;
        let rest = all.saturating_sub(users) as u32;
        let operations = match self.charge_of(run, way) {
            BulkCharge::Item => rest,
            BulkCharge::Request => u32::from(users == 0),
        };
        let lane = Lane::Submit { reads: run.state == State::Running };
        self.clients.limiter.give_back(lane, until_ms + EDGE_MS, operations);
        if let (Some(pace), Some(minute_until_ms)) = (RunPace::of(run), minute_until_ms) {
            self.clients.limiter.give_back_minute(&pace, minute_until_ms + EDGE_MS, rest);
        }
        Permits { items: all.min(users), ..*permits }
    }

    /// Keeps the users of a pace's minute that these permits leave unused for later requests, or that a
    /// request without effect used. The permits of the rate limit expire with their window.
    pub(super) fn give_back_minute(&self, run: &Run, permits: &mut Permits) {
        let users = std::mem::take(&mut permits.items) as u32;
        if let (Some(pace), Some(minute_until_ms)) = (RunPace::of(run), permits.minute_until_ms) {
            self.clients.limiter.give_back_minute(&pace, minute_until_ms + EDGE_MS, users);
        }
    }

    /// Acquires permits for a further bulk request of this many users, before which the caller reads
    /// the run.
    pub(super) async fn pay_for(&mut self, run: &Run, users: usize) -> Result<Permit, StepError> {
        self.pay(run, Way::Job, users..=users, users).await
    }

    /// Acquires permits to write this many users; `ahead` are expected in total. Waits for a window
    /// that has them, as long as the invocation lasts. With a pace, it may be fewer.
    pub(super) async fn pay(
        &mut self,
        run: &Run,
        way: Way,
        users: RangeInclusive<usize>,
        ahead: usize,
    ) -> Result<Permit, StepError> {
        let lane = Lane::Submit { reads: run.state == State::Running };
        let ahead = ahead.min(JOBS_AHEAD_MAX * WRITE_USERS_MAX) as u32;
        let (least, most) = (*users.start() as u32, *users.end() as u32);
        let request = PermitRequest { lane, least, most, ahead, charge: self.charge_of(run, way) };
        let (limiter, deadline) = (&self.clients.limiter, self.at.leaving(FOR_A_JOB_MS));
        Ok(match RunPace::of(run) {
            Some(pace) => limiter.acquire_paced(&pace, request, &deadline).await?,
            None => limiter.acquire(request, &deadline).await?,
        })
    }

    /// Notes the cost of bulk requests by the rate headers of their answers, where a setting says it.
    pub(super) fn see_charge(&mut self, run: &Run, rate: Option<Rate>, users: usize) {
        let Some(seen) = self.charge_seen.add(rate, users as u32) else { return };
        let set = self.clients.settings.bulk_charge;
        if !run.api.capabilities().bulk_charge_is_set {
            return;
        }
        let seen_text: &'static str = seen.into();
        if run.bulk_charge_seen != Some(seen) {
            self.charge_to_note = Some((run.id.clone(), seen));
        }
        if self.outcome.bulk_charge_seen.replace(seen_text) != Some(seen_text) && seen != set {
            tracing::warn!(
                run = run.id.as_str(),
                seen = seen_text,
                "the rate headers suggest another cost of a bulk request than INTERCOM_BULK_CHARGE says"
            );
        }
    }

    /// Stores the cost that the rate headers suggest with the run, which shows it. Nothing depends on it.
    pub(super) async fn note_charge(&mut self) {
        let Some((run, seen)) = self.charge_to_note.take() else { return };
        if let Err(error) = self.clients.ledger.note_bulk_charge(&run, seen).await {
            tracing::debug!(%error, "cannot note the cost of a bulk request; a later invocation does");
        }
    }

    /// Returns how requests of a run are charged.
    fn charge_of(&self, run: &Run, way: Way) -> BulkCharge {
        let is_set = way == Way::Job && run.api.capabilities().bulk_charge_is_set;
        if is_set { self.clients.settings.bulk_charge } else { BulkCharge::Item }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use serde_json::json;

    use super::*;

    #[test]
    fn permits_are_used_in_the_time_that_is_charged() {
        let run: Run = serde_json::from_value(json!({"v": 3, "run": "p.1", "plan": "p", "state": "running",
            "generation": 1, "started_ms": 0, "deadline_ms": 1_000}))
        .unwrap();
        let mut paced = run.clone();
        paced.limits.max_per_minute = NonZeroU32::new(20);
        for (end_ms, until_ms, minute_until_ms) in
            [(10_000, 9_750, 59_750), (60_000, 59_750, 59_750), (70_000, 69_750, 119_750)]
        {
            let permits = Permits::new(&paced, 7, end_ms);
            assert_eq!(
                (permits.items, permits.until_ms, permits.minute_until_ms),
                (7, until_ms, Some(minute_until_ms))
            );
            assert_eq!(Permits::new(&run, 7, end_ms).usable_until_ms(), until_ms);
        }
    }
}
