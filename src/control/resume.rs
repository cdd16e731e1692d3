//! Continues a run after a pause or a restart.

use super::pause::TRIES_MAX;
use super::{ActiveRun, active_run, log_state};
use crate::domain::clock::Clock;
use crate::domain::run::decide::{ResumeFacts, ResumeWay, after_pause};
use crate::domain::run::{Cursor, Phase, Run, RunId, State, Turn};
use crate::ledger::{Consistency, Ledger, LedgerError};
use crate::runtime::event::Resume;

/// The result of a request to resume.
#[derive(Clone, Debug, PartialEq)]
pub enum Resumed {
    /// A new generation is prepared. The caller sends the message of this cursor's turn.
    Regenerated(Box<Cursor>),
    /// After a restart of the only process, the run continues where it is.
    Restarted(Continued),
    /// After a pause, the run continues where it is.
    Continued(Continued),
    /// The run needs no new generation, because only its jobs are unfinished, or its cursor moved
    /// at each try.
    Unchanged(RunId),
    /// No run is active.
    NoRun,
}

/// A run that continues where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Continued {
    /// The run.
    pub run: RunId,
    /// The turn whose message the caller sends; `None` if all pages are read.
    pub turn: Option<Turn>,
    /// The delay of that message, in milliseconds; no delay if negative.
    pub delay_ms: i64,
}

impl Continued {
    fn at(cursor: &Cursor, reads: bool, now_ms: i64) -> Self {
        let turn = reads.then(|| cursor.present());
        Self { run: cursor.run.clone(), turn, delay_ms: cursor.not_before_ms - now_ms }
    }
}

/// Continues the active run after a restart of the only process. Nothing that the process before it
/// leased is under way any more, so its leases end at once. The messages of the parts without end are
/// requested, because the queues ended with that process.
pub async fn restart(ledger: &Ledger, clock: Clock) -> Result<Resumed, LedgerError> {
    let Some(ActiveRun { run, .. }) = active_run(ledger).await? else { return Ok(Resumed::NoRun) };
    if !run.keeps_parts() {
        return resume(ledger, Resume::Restarted, clock).await;
    }
    ledger.end_leases(&run.id, clock.now_ms()).await?;
    if run.state == State::Paused {
        return resume(ledger, Resume::Restarted, clock).await;
    }
    ledger.request_resend(&run.id, clock.now_ms()).await?;
    let cursor = ledger.cursor(&run.id).await?;
    let continued = |cursor: Cursor| Continued::at(&cursor, cursor.phase != Phase::Ended, clock.now_ms());
    Ok(cursor.map_or(Resumed::NoRun, |cursor| Resumed::Restarted(continued(cursor))))
}

/// Continues the active run. A paused run returns to the state before, if the ledger has all that it
/// needs for that. Otherwise a new generation begins, which does not count toward the maximum number
/// of generations. The messages of the parts without end are requested: those that arrived during a
/// pause are gone.
pub async fn resume(ledger: &Ledger, why: Resume, clock: Clock) -> Result<Resumed, LedgerError> {
    let mut tries = 0;
    loop {
        let Some(ActiveRun { run, cursor }) = active_run(ledger).await? else { return Ok(Resumed::NoRun) };
        if run.state == State::Verifying {
            // Check reads users back from its stored progress.
            return Ok(Resumed::Unchanged(run.id));
        }
        if run.keeps_parts() {
            // Before the run continues: if this is interrupted in between, the tick sends them.
            ledger.request_resend(&run.id, clock.now_ms()).await?;
        }
        if run.state == State::Paused
            && let Some(continued) = continue_paused(ledger, &run, &cursor, clock).await?
        {
            return Ok(Resumed::Continued(continued));
        }
        if run.state.submits() && run.keeps_parts() && why == Resume::Requested {
            // Nothing is lost that a message cannot bring again.
            return Ok(Resumed::Continued(Continued::at(&cursor, cursor.phase != Phase::Ended, clock.now_ms())));
        }
        if run.state == State::Draining
            && ledger.accounts_counted(&run, &cursor, Consistency::Strong).await?.parts_open == 0
        {
            // Only jobs are unfinished, and check polls those.
            return Ok(Resumed::Unchanged(run.id));
        }
        let now_ms = clock.now_ms();
        let called_ms = called_ms(&cursor, why, now_ms);
        // Parts that the ledger keeps are sent again.
        let queue_lost = why == Resume::Restarted && !run.keeps_parts();
        if let Some(next) = ledger.resettle(&run, &cursor, called_ms, queue_lost, now_ms).await? {
            if run.state == State::Paused {
                log_state(&run, State::Running, None);
            }
            return Ok(Resumed::Regenerated(Box::new(next)));
        }
        // A turn was leased or committed in between.
        tries += 1;
        if tries == TRIES_MAX {
            return Ok(Resumed::Unchanged(run.id));
        }
    }
}

/// Ends a pause without a new generation. Returns `None` if the run needs one, or if it changed
/// since it was read.
async fn continue_paused(
    ledger: &Ledger,
    run: &Run,
    cursor: &Cursor,
    clock: Clock,
) -> Result<Option<Continued>, LedgerError> {
    let keeps_parts = run.keeps_parts();
    let misses_parts = !keeps_parts && {
        let accounts = ledger.accounts(run, cursor).await?;
        accounts.parts_open > 0 || accounts.totals.dropped > 0
    };
    let now_ms = clock.now_ms();
    let (state, reads) = match after_pause(run, cursor, &ResumeFacts { keeps_parts, misses_parts, now_ms }) {
        ResumeWay::Regenerates => return Ok(None),
        ResumeWay::Drains => (State::Draining, false),
        ResumeWay::ReadsOn => (State::Running, true),
    };
    if !ledger.unpause(run, state, now_ms).await? {
        return Ok(None);
    }
    log_state(run, state, None);
    // A turn that was under way may have committed since. Its next message found the run paused.
    let cursor = ledger.cursor(&run.id).await?.unwrap_or_else(|| cursor.clone());
    Ok(Some(Continued::at(&cursor, reads, now_ms)))
}

/// Returns the latest time at which the holder of the cursor's lease may request a page, in Unix
/// milliseconds; 0 without a lease. That is the lease's expiry. After a restart of the only
/// process, the holder has made its last request before now.
fn called_ms(cursor: &Cursor, why: Resume, now_ms: i64) -> i64 {
    match (&cursor.lease, why) {
        (Some(lease), Resume::Restarted) => lease.until_ms.min(now_ms),
        (Some(lease), Resume::Requested) => lease.until_ms,
        (None, _) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::run::{EXCLUSIVE_LIFE_MS, Lease};

    #[test]
    fn holder_of_a_lease_may_call_until_it_expires_or_its_process_ended() {
        let id = RunId::parse("p.1").unwrap();
        let lease = |until_ms| Lease { owner: "o".to_owned(), message: "m".to_owned(), until_ms };
        let leased =
            |until_ms| Cursor { lease: Some(lease(until_ms)), ..Cursor::first(id.clone(), 0, EXCLUSIVE_LIFE_MS) };
        for (cursor, why, expected_ms) in [
            (Cursor::first(id.clone(), 0, EXCLUSIVE_LIFE_MS), Resume::Requested, 0),
            (Cursor::first(id.clone(), 0, EXCLUSIVE_LIFE_MS), Resume::Restarted, 0),
            (leased(900), Resume::Requested, 900),
            (leased(900), Resume::Restarted, 900),
            (leased(1_100), Resume::Requested, 1_100),
            (leased(1_100), Resume::Restarted, 1_000),
        ] {
            assert_eq!(called_ms(&cursor, why, 1_000), expected_ms, "{:?} {why:?}", cursor.lease);
        }
    }
}
