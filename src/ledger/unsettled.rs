//! Ended runs that are not settled, in the partition of `ACTIVE`. The transaction that ends a run
//! writes its item. A look at the run changes or deletes it.

use super::active::{ACTIVE, active_key};
use super::attributes::{self, key, n, s};
use super::{Active, Key, Ledger, LedgerError, Write};
use crate::domain::run::{Run, RunId, Unsettled};

fn unsettled_key(run: &RunId) -> Key {
    key(ACTIVE, format!("UNSETTLED#{run}"))
}

impl Ledger {
    /// Returns the write of a run that is not settled, for the transaction that ends it.
    pub(super) fn unsettled_run(unsettled: &Unsettled) -> Result<Write, LedgerError> {
        Ok(Write::put(attributes::item(&unsettled_key(&unsettled.id), unsettled)?))
    }

    /// Records the runs that are not settled of those whose ends the version before this one wrote.
    /// It has no effect if another writer did so, or another run was active since `seen` was read.
    pub async fn record_last(
        &self,
        seen: &Active,
        unsettled: impl Iterator<Item = Unsettled>,
    ) -> Result<(), LedgerError> {
        let Some(last) = &seen.last else { return Ok(()) };
        let record = Write::update(&active_key(), "SET recorded = :last")
            .when("#last = :last AND (attribute_not_exists(recorded) OR recorded <> :last)")
            .with(":last", s(last));
        let entries = unsettled.map(|run| Self::unsettled_run(&run));
        self.transact(std::iter::once(Ok(record)).chain(entries).collect::<Result<_, _>>()?).await.map(|_| ())
    }

    /// Stores what a look at a run found. It has no effect if the run was settled, looked at or
    /// released since it was read as `was`.
    pub async fn put_unsettled(&self, was: &Unsettled, now: &Unsettled) -> Result<bool, LedgerError> {
        self.send(as_read(Self::unsettled_run(now)?, was)).await
    }

    /// Removes a run that is settled. Lists show its writes from `visible_at_ms` on. It has no effect if
    /// the run was looked at or released since it was read.
    pub async fn remove_unsettled(&self, was: &Unsettled, visible_at_ms: Option<i64>) -> Result<bool, LedgerError> {
        let removed = || as_read(Write::delete(&unsettled_key(&was.id)), was);
        if let Some(at_ms) = visible_at_ms
            && self.transact(vec![removed(), Self::visible_write(at_ms)]).await?
        {
            return Ok(true);
        }
        // Another run's writes are visible later.
        self.send(removed()).await
    }

    /// Notes that no list is read before this time (Unix milliseconds), unless a later time is noted.
    pub async fn put_visible_at(&self, at_ms: i64) -> Result<(), LedgerError> {
        self.send(Self::visible_write(at_ms)).await.map(|_| ())
    }

    fn visible_write(at_ms: i64) -> Write {
        Write::update(&active_key(), "SET visible_at_ms = :visible")
            .when("attribute_not_exists(visible_at_ms) OR visible_at_ms < :visible")
            .with(":visible", n(at_ms))
    }

    /// Stores an operator's release of an ended run, and appends it to the run's reason. It has no
    /// effect if the run was settled, looked at or released since it was read as `was`.
    pub async fn release(&self, was: &Unsettled, now: &Unsettled, run: &Run, note: &str) -> Result<bool, LedgerError> {
        let reason = run.reason.as_deref().map(|reason| format!("{reason}; {note}"));
        let noted = Write::update(&key(attributes::run_pk(&run.id), "RUN"), "SET #reason = :reason")
            .when("#state = :state")
            .with(":state", s(run.state))
            .with(":reason", s(reason.as_deref().unwrap_or(note)));
        self.transact(vec![as_read(Self::unsettled_run(now)?, was), noted]).await
    }
}

/// Adds the condition that the item is as it was read.
fn as_read(write: Write, was: &Unsettled) -> Write {
    write.when("looks = :looks AND due_ms = :due").with(":looks", n(was.looks)).with(":due", n(was.due_ms))
}
