//! Parts that their run accepts now, and the conditions of each request.

use super::batch::LEASE_MARGIN_MS;
use super::permits::Permits;
use super::send::Stop;
use super::{Round, Work};
use crate::domain::part::{Origin, Part};
use crate::domain::run::{FORMAT_1, Run};
use crate::intercom::{CALL_TIMEOUT, Intercom};
use crate::ledger::PartEnd;
use crate::rate_limit::EDGE_MS;
use crate::runtime::clients::StepError;

/// Age after which a run is read again before a request, in milliseconds.
pub(super) const READ_STALE_MS: i64 = 1_000;
/// Reads before a request if each one takes longer than that.
const READS_MAX: u32 = 3;

impl Round<'_> {
    /// Reads the parts' run and leaves out parts that it does not accept now. Their messages are
    /// deleted. Returns `None` if no parts are left.
    pub(super) async fn wanted(&mut self, works: &mut Vec<Work>) -> Result<Option<Run>, StepError> {
        let Some(first) = works.first() else { return Ok(None) };
        let read_ms = self.at.clock.now_ms();
        let run = self.clients.ledger.run(&first.part.run).await?;
        if run.is_none() {
            // The run does not exist or has expired. Rows written for it would never expire.
            tracing::warn!(run = first.part.run.as_str(), parts = works.len(), "dropping parts of an unknown run");
            self.outcome.dropped += works.drain(..).count() as u64;
            return Ok(None);
        }
        self.read_ms = read_ms;
        let Some(run) = run.filter(Run::submits) else {
            self.leave_out(std::mem::take(works)).await?;
            return Ok(None);
        };
        let (present, older): (Vec<Work>, Vec<Work>) =
            works.drain(..).partition(|work| work.part.id.generation >= run.generation);
        self.leave_out(older).await?;
        for work in present {
            if self.is_committed(&run, &work.part).await? {
                works.push(work);
            } else {
                tracing::warn!(run = run.id.as_str(), part = %work.part.id, "dropping a part of a void reading");
                self.outcome.dropped += 1;
            }
        }
        Ok((!works.is_empty()).then_some(run))
    }

    /// Leaves out parts that their run does not accept now. In a run that keeps its parts, a later
    /// message can bring them again.
    async fn leave_out(&mut self, works: Vec<Work>) -> Result<(), StepError> {
        let (kept, format_1): (Vec<Work>, Vec<Work>) = works.into_iter().partition(|work| work.part.v > FORMAT_1);
        self.outcome.left_out += kept.len() as u64;
        self.drop_all(&format_1).await
    }

    /// Returns whether the reading that made the part was committed. Each page is read once per
    /// invocation.
    async fn is_committed(&mut self, run: &Run, part: &Part) -> Result<bool, StepError> {
        let (page, reading) = match part.id.origin {
            Origin::Page { page, reading: Some(reading), .. } => (page, reading),
            Origin::Page { reading: None, .. } => return Ok(!run.keeps_parts()),
            Origin::Job { .. } => return Ok(true),
        };
        let at = (part.run.clone(), part.id.generation, page);
        if let Some(won) = self.pages.get(&at) {
            return Ok(*won == Some(reading));
        }
        let row = self.clients.ledger.committed_page(&part.run, part.id.generation, page).await?;
        let won = row.map(|row| row.reading);
        self.pages.insert(at, won);
        Ok(won == Some(reading))
    }

    /// Returns the end of the leases of this invocation, in Unix milliseconds.
    pub(super) fn leased_until_ms(&self) -> i64 {
        self.at.deadline_ms + LEASE_MARGIN_MS
    }

    /// Returns the latest time at which a write may begin: its time-out is over before the invocation ends.
    fn latest_ms(&self) -> i64 {
        self.at.deadline_ms - CALL_TIMEOUT.as_millis() as i64
    }

    /// Returns why no request may begin now: the run does not submit any more, by a read of the last
    /// second, or the request's time-out is later than the end of the invocation. The leases outlive
    /// that end.
    pub(super) async fn may_not_write(&mut self, run: &mut Run) -> Result<Option<Stop>, StepError> {
        let is_stale = |round: &Self| round.at.clock.now_ms() - round.read_ms > READ_STALE_MS;
        for _ in 0..READS_MAX {
            if !is_stale(self) {
                break;
            }
            if !self.still_submits(run).await? {
                return Ok(Some(Stop::Over));
            }
        }
        let now_ms = self.at.clock.now_ms();
        let is_late = now_ms > self.latest_ms();
        Ok((is_stale(self) || is_late).then_some(Stop::Later(now_ms + READ_STALE_MS)))
    }

    /// Returns the client for a write, after [`Self::may_not_write`] returned nothing. The client sends
    /// the request, or repeats it with another token, only while that answer and the permits hold.
    pub(super) fn writer(&self, run: &Run, permits: &Permits) -> Intercom {
        let until_ms = (self.read_ms + READ_STALE_MS).min(self.latest_ms()).min(permits.until_ms + EDGE_MS);
        self.clients.of_run(run).beginning_by(self.at.clock, until_ms)
    }

    /// Drops parts of format 1 of an older generation, or of a run that no longer submits, and
    /// records this.
    pub(super) async fn drop_all(&mut self, works: &[Work]) -> Result<(), StepError> {
        for work in works {
            let now_ms = self.at.clock.now_ms();
            self.clients.ledger.end_part(&work.part, PartEnd::Dropped, &self.at.request_id, now_ms).await?;
            self.outcome.dropped += 1;
        }
        Ok(())
    }
}
