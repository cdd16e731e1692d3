//! Lease and commit of a turn: two conditional writes to the cursor.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::active::EndEffect;
use super::attributes::{self, attribute, key, n, run_pk, s};
use super::{Key, Ledger, LedgerError, PageRow, Write};
use crate::domain::run::decide::Commit;
use crate::domain::run::{Cursor, FORMAT, Lease, Phase, Run, RunId, State};

/// The outcome of a request for a lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Leased {
    /// The lease is ours. The cursor is as before it, with the expired lease of a crashed owner if
    /// there is one.
    Ours(Box<Cursor>),
    /// Another owner has the lease, or it is not this turn; the present cursor.
    Not(Box<Cursor>),
    /// The run does not exist.
    Unknown,
}

/// The changes of a commit besides the cursor.
#[derive(Clone, Copy, Debug)]
pub struct Committing<'a> {
    /// The change of the run.
    pub commit: &'a Commit,
    /// The page that the turn read, if it made parts.
    pub page: Option<&'a PageRow>,
}

impl Ledger {
    /// Leases a turn and reads the cursor in one conditional write.
    pub async fn lease(&self, run: &RunId, turn: u64, lease: &Lease, now_ms: i64) -> Result<Leased, LedgerError> {
        let update =
            "SET died = if_not_exists(claim, :nobody), claim = :claim, claims = if_not_exists(claims, :none) + :one";
        let write = Write::update(&cursor_key(run), update)
            .when(
                "turn = :turn AND not_before_ms <= :now \
                 AND (attribute_not_exists(claim) OR claim.until_ms < :now) AND v <= :format",
            )
            .with(":claim", attribute(lease, "CURSOR")?)
            .with(":nobody", AttributeValue::Null(true))
            .with(":turn", n(turn))
            .with(":now", n(now_ms))
            .with(":format", n(FORMAT))
            .with(":none", n(0))
            .with(":one", n(1));
        if let Some(before) = self.send_for(write, Some(ReturnValue::AllOld)).await? {
            let cursor: Cursor = attributes::read(before, "CURSOR")?;
            return Ok(Leased::Ours(Box::new(Cursor { died: None, ..cursor })));
        }
        let Some(mut there) = self.cursor(run).await? else { return Ok(Leased::Unknown) };
        // The lease is ours: the answer to our first try was lost. Restore the expired lease from
        // `died`.
        if there.turn == turn && there.lease.as_ref().is_some_and(|now| now.owner == lease.owner) {
            there.lease = there.died.take();
            there.leases = there.leases.saturating_sub(1);
            return Ok(Leased::Ours(Box::new(there)));
        }
        Ok(Leased::Not(Box::new(there)))
    }

    /// Releases a lease whose owner did nothing that can cost a page. Restores the cursor `before`
    /// the lease, including an expired lease that was taken over.
    pub async fn release_lease(&self, before: &Cursor, owner: &str) -> Result<(), LedgerError> {
        let at = cursor_key(&before.run);
        let write = match &before.lease {
            None => Write::update(&at, "SET claims = :claims REMOVE claim, died"),
            Some(died) => Write::update(&at, "SET claims = :claims, claim = :died REMOVE died")
                .with(":died", attribute(died, "CURSOR")?),
        };
        self.send(as_read(write, before.turn, Some(owner)).with(":claims", n(before.leases))).await.map(|_| ())
    }

    /// Ends the leases of a run's turn and parts, whose owners are gone. The generation that ends
    /// because of it does not count against the bounds.
    pub async fn end_leases(&self, run: &RunId, now_ms: i64) -> Result<(), LedgerError> {
        let until_ms = now_ms - 1;
        if let Some(cursor) = self.cursor(run).await? {
            let (at, excused) = (cursor_key(run), AttributeValue::Bool(true));
            let write = match cursor.owner() {
                Some(owner) => Write::update(&at, "SET excused = :excused, claim.until_ms = :until")
                    .when("turn = :turn AND claim.#owner = :owner")
                    .with(":owner", s(owner))
                    .with(":until", n(until_ms)),
                None => Write::update(&at, "SET excused = :excused").when("turn = :turn"),
            };
            self.send(write.with(":excused", excused).with(":turn", n(cursor.turn))).await?;
        }
        self.end_part_leases(run, until_ms).await
    }

    /// Returns the cursor of a run.
    pub async fn cursor(&self, run: &RunId) -> Result<Option<Cursor>, LedgerError> {
        self.get(&cursor_key(run)).await
    }

    /// Commits a turn if `owner` still holds the lease: `next` becomes the cursor, with `turn` + 1
    /// and without a lease. `page` becomes the committed reading of its page. If the pages have ended,
    /// the same transaction releases parts that were held back and requests that they are sent.
    /// Returns `None`, and writes nothing, if turn, lease or run changed.
    pub async fn commit(
        &self,
        run: &Run,
        mut next: Cursor,
        owner: &str,
        Committing { commit, page }: Committing<'_>,
        now_ms: i64,
    ) -> Result<Option<Cursor>, LedgerError> {
        let turn = next.turn;
        let before = next.clone();
        next.turn += 1;
        next.lease = None;
        next.died = None;
        next.leases = 0;
        next.resends = 0;
        next.resent_ms = 0;
        next.committed.by = Some(owner.to_owned());
        next.committed.at_ms = now_ms;
        let put = as_read(Write::put(attributes::item(&cursor_key(&run.id), &next)?), turn, Some(owner));
        let mut writes = vec![put];
        if let Some(page) = page {
            writes.push(Self::page_write(&run.id, page)?);
        }
        let done = match commit {
            Commit::Turn => self.send_all(writes).await?,
            Commit::State { state, reason } => {
                let ended_ms = state.ended().then_some(now_ms);
                let releases = releases_parts(run, &next, *state);
                writes.extend(releases.then(|| Self::resend_write(&run.id, now_ms)));
                let stops = !state.works();
                writes.extend(stops.then(|| Self::report_write(&run.id, now_ms)).transpose()?);
                let held_back = run.held_back && !releases;
                let changed = Run { state: *state, reason: reason.clone(), ended_ms, held_back, ..run.clone() };
                let release = state.ended().then(|| EndEffect::of(&changed, &before));
                self.change_run(run, &changed, writes, release).await?
            }
            Commit::Generation => {
                let (generation, held_back) = (next.generation, run.keeps_parts() && run.limits.hold_back());
                let changed = Run { generation, state: State::Running, reason: None, held_back, ..run.clone() };
                self.change_run(run, &changed, writes, None).await?
            }
        };
        if done {
            return Ok(Some(next));
        }
        // If the answer to our own write was lost, the cursor shows that we made it.
        let there = self.cursor(&run.id).await?;
        Ok(there.filter(|there| there.turn == next.turn && there.committed.by == next.committed.by))
    }

    /// Adds 1 to the cursor's turn, so that no message can lease it. The holder of a lease may
    /// still request a page, but cannot commit.
    pub(super) fn close(cursor: &Cursor) -> Write {
        let write = Write::update(&cursor_key(&cursor.run), "SET turn = :next").with(":next", n(cursor.turn + 1));
        as_read(write, cursor.turn, cursor.owner())
    }

    /// Counts a resend of the present turn's message by the tick, and stores why the run waits.
    pub async fn resend(&self, cursor: &Cursor, waits: &str, now_ms: i64) -> Result<(), LedgerError> {
        let write = Write::update(&cursor_key(&cursor.run), "SET nudges = :nudges, resent_ms = :now, waits = :waits")
            .when("turn = :turn")
            .with(":nudges", n(cursor.resends + 1))
            .with(":now", n(now_ms))
            .with(":waits", s(waits))
            .with(":turn", n(cursor.turn));
        self.send(write).await.map(|_| ())
    }

    /// Moves a run's cursor into settling from outside a turn, because of a resume or a restart.
    /// The next generation does not count against the bounds. Returns `None` if the turn, its lease
    /// or the run changed since the read.
    ///
    /// The owner of the present lease may have requested a page as late as `called_ms`. The cursor
    /// stores that time, so that another restart does not forget it. `queue_lost`: the in-memory
    /// queue died with its process, so no worker is running.
    pub async fn resettle(
        &self,
        run: &Run,
        cursor: &Cursor,
        called_ms: i64,
        queue_lost: bool,
        now_ms: i64,
    ) -> Result<Option<Cursor>, LedgerError> {
        let mut next = cursor.clone();
        next.lease = None;
        if run.reads_exclusively() && cursor.phase == Phase::Turning {
            next.exclusive.called_ms = cursor.exclusive.called_ms.max(called_ms);
        }
        let free_at_ms = next.reading_free_at_ms().max(now_ms);
        // `queue_lost`: no owner of a lease is alive. The turn runs at once and reports the whole
        // wait.
        next.not_before_ms = if queue_lost { now_ms } else { free_at_ms };
        next.settle(now_ms);
        next.waits_until_ms = Some(free_at_ms);
        next.counted = next.counted.saturating_sub(1);
        // The requested generation is not a stall, however far the previous one got.
        next.stalled = -1;
        next.furthest = 0;
        next.position.forget_reading();
        next.settling.queue_lost = queue_lost;
        next.settling.written_by_ms = run.written_by_ms(now_ms);
        next.waits = Some("a resume: the next generation begins after all parts and jobs have ended".to_owned());
        next.turn += 1;
        next.died = None;
        next.leases = 0;
        next.resends = 0;
        next.resent_ms = 0;
        let put = Write::put(attributes::item(&cursor_key(&run.id), &next)?);
        let writes = vec![as_read(put, cursor.turn, cursor.owner())];
        let running = run.continued(State::Running, now_ms);
        Ok(self.change_run(run, &running, writes, None).await?.then_some(next))
    }
}

/// Returns whether a commit releases the parts that were held back: the pages have ended, and the run
/// goes on.
fn releases_parts(run: &Run, next: &Cursor, state: State) -> bool {
    run.held_back && next.phase == Phase::Ended && !state.ended()
}

fn cursor_key(run: &RunId) -> Key {
    key(run_pk(run), "CURSOR")
}

/// Adds the condition that turn and lease are unchanged since the read. A new owner may request a
/// page, and a decision based on this read would not know of it.
fn as_read(write: Write, turn: u64, owner: Option<&str>) -> Write {
    let write = write.with(":turn", n(turn));
    match owner {
        None => write.when("turn = :turn AND attribute_not_exists(claim)"),
        Some(owner) => write.when("turn = :turn AND claim.#owner = :owner").with(":owner", s(owner)),
    }
}
