//! Lease and commit of a turn: two conditional writes to the cursor.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValue, TransactWriteItem, Update};

use super::active::built;
use super::error::conditional;
use super::items::{self, key, n, run_pk, s};
use super::{Ledger, LedgerError};
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

/// The additional changes of a commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Commit {
    /// None: the cursor alone.
    Turn,
    /// The run's state. A final state releases `ACTIVE`.
    State(State, Option<String>),
    /// The run's generation, and therefore the parts that submit accepts.
    Generation,
}

impl Ledger {
    /// Leases a turn and reads the cursor in one conditional write.
    pub async fn lease(&self, run: &RunId, turn: u64, lease: &Lease, now_ms: i64) -> Result<Leased, LedgerError> {
        let value: AttributeValue = serde_dynamo::to_attribute_value(lease)
            .map_err(|source| LedgerError::Encode { key: "CURSOR".to_owned(), source })?;
        let sent = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(run_pk(run), "CURSOR").attributes()))
            .update_expression(
                "SET died = if_not_exists(claim, :nobody), claim = :claim, claims = if_not_exists(claims, :none) + :one",
            )
            .condition_expression(
                "turn = :turn AND not_before_ms <= :now \
                 AND (attribute_not_exists(claim) OR claim.until_ms < :now) AND v <= :format",
            )
            .expression_attribute_values(":claim", value)
            .expression_attribute_values(":nobody", AttributeValue::Null(true))
            .expression_attribute_values(":turn", n(turn))
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":format", n(FORMAT))
            .expression_attribute_values(":none", n(0))
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::AllOld)
            .send()
            .await;
        match sent {
            Ok(done) => {
                let cursor: Cursor = items::read(done.attributes.unwrap_or_default(), "CURSOR")?;
                Ok(Leased::Ours(Box::new(Cursor { died: None, ..cursor })))
            }
            Err(e) => match e.as_service_error() {
                Some(service) if service.is_conditional_check_failed_exception() => {
                    let Some(mut there) = self.cursor(run).await? else { return Ok(Leased::Unknown) };
                    // The lease is ours: the answer to our first try was lost. Restore the expired
                    // lease from `died`.
                    if there.turn == turn && there.lease.as_ref().is_some_and(|now| now.owner == lease.owner) {
                        there.lease = there.died.take();
                        there.leases = there.leases.saturating_sub(1);
                        return Ok(Leased::Ours(Box::new(there)));
                    }
                    Ok(Leased::Not(Box::new(there)))
                }
                _ => Err(LedgerError::call("UpdateItem", e)),
            },
        }
    }

    /// Releases a lease whose owner did nothing that can cost a page. Restores the cursor `before`
    /// the lease, including an expired lease that was taken over.
    pub async fn release_lease(&self, before: &Cursor, owner: &str) -> Result<(), LedgerError> {
        let (condition, names, mut values) = as_read(before.turn, Some(owner));
        values.insert(":claims".to_owned(), n(before.leases));
        let update = match &before.lease {
            None => "SET claims = :claims REMOVE claim, died",
            Some(died) => {
                let died: AttributeValue = serde_dynamo::to_attribute_value(died)
                    .map_err(|source| LedgerError::Encode { key: "CURSOR".to_owned(), source })?;
                values.insert(":died".to_owned(), died);
                "SET claims = :claims, claim = :died REMOVE died"
            }
        };
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(key(run_pk(&before.run), "CURSOR").attributes()))
            .update_expression(update)
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(Some(values))
            .send()
            .await;
        conditional("UpdateItem", sent).map(|_| ())
    }

    /// Returns the cursor of a run.
    pub async fn cursor(&self, run: &RunId) -> Result<Option<Cursor>, LedgerError> {
        self.get(&key(run_pk(run), "CURSOR")).await
    }

    /// Commits a turn if `owner` still holds the lease: `next` becomes the cursor, with `turn` + 1
    /// and without a lease. Returns `None`, and writes nothing, if turn, lease or run changed.
    pub async fn commit(
        &self,
        run: &Run,
        mut next: Cursor,
        owner: &str,
        commit: &Commit,
        now_ms: i64,
    ) -> Result<Option<Cursor>, LedgerError> {
        let (condition, names, values) = as_read(next.turn, Some(owner));
        let free_at_ms = next.scroll_free_at_ms();
        next.turn += 1;
        next.lease = None;
        next.died = None;
        next.leases = 0;
        next.resends = 0;
        next.resent_ms = 0;
        next.committed_by = Some(owner.to_owned());
        next.committed_ms = now_ms;
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(items::write(&key(run_pk(&run.id), "CURSOR"), &next)?))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(Some(values));
        let put = built(put.build())?;
        let done = match commit {
            Commit::Turn => self.put_cursor(put).await?,
            Commit::State(state, reason) => {
                let ended_ms = state.ended().then_some(now_ms);
                let release = state.ended().then_some(free_at_ms);
                let changed = Run { state: *state, reason: reason.clone(), ended_ms, ..run.clone() };
                self.change_run(run, &changed, vec![TransactWriteItem::builder().put(put).build()], release).await?
            }
            Commit::Generation => {
                let changed = Run { generation: next.generation, state: State::Running, reason: None, ..run.clone() };
                self.change_run(run, &changed, vec![TransactWriteItem::builder().put(put).build()], None).await?
            }
        };
        if done {
            return Ok(Some(next));
        }
        // If the answer to our own write was lost, the cursor shows that we made it.
        let there = self.cursor(&run.id).await?;
        Ok(there.filter(|there| there.turn == next.turn && there.committed_by == next.committed_by))
    }

    /// Adds 1 to the cursor's turn, so that no message can lease it. The holder of a lease may
    /// still call the scroll, but cannot commit.
    pub(super) fn close(&self, cursor: &Cursor) -> Result<TransactWriteItem, LedgerError> {
        let (condition, names, mut values) = as_read(cursor.turn, cursor.owner());
        values.insert(":next".to_owned(), n(cursor.turn + 1));
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(run_pk(&cursor.run), "CURSOR").attributes()))
            .update_expression("SET turn = :next")
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(Some(values));
        Ok(TransactWriteItem::builder().update(built(update.build())?).build())
    }

    async fn put_cursor(&self, put: Put) -> Result<bool, LedgerError> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(put.item));
        let sent = request
            .set_condition_expression(put.condition_expression)
            .set_expression_attribute_names(put.expression_attribute_names)
            .set_expression_attribute_values(put.expression_attribute_values)
            .send()
            .await;
        Ok(conditional("PutItem", sent)?.is_some())
    }

    /// Counts a resend of the present turn's message by the tick, and stores why the run waits.
    pub async fn resend(&self, cursor: &Cursor, waits: &str, now_ms: i64) -> Result<(), LedgerError> {
        let request = self.client.update_item().table_name(&self.table);
        let sent = request
            .set_key(Some(key(run_pk(&cursor.run), "CURSOR").attributes()))
            .update_expression("SET nudges = :nudges, resent_ms = :now, waits = :waits")
            .condition_expression("turn = :turn")
            .expression_attribute_values(":nudges", n(cursor.resends + 1))
            .expression_attribute_values(":now", n(now_ms))
            .expression_attribute_values(":waits", s(waits))
            .expression_attribute_values(":turn", n(cursor.turn))
            .send()
            .await;
        conditional("UpdateItem", sent).map(|_| ())
    }

    /// Moves a run's cursor into settling from outside a turn, because of a resume or a restart.
    /// The next generation does not count against the bounds. Returns `None` if the turn, its lease
    /// or the run changed since the read.
    ///
    /// The owner of the present lease may have called the scroll as late as `called_ms`. The cursor
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
        if run.listed.is_none() && cursor.phase == Phase::Turning {
            next.called_ms = cursor.called_ms.max(called_ms);
        }
        let free_at_ms = next.scroll_free_at_ms().max(now_ms);
        // `queue_lost`: no owner of a lease is alive. The turn runs at once and reports the whole
        // wait.
        next.not_before_ms = if queue_lost { now_ms } else { free_at_ms };
        next.settle(now_ms);
        next.waits_until_ms = Some(free_at_ms);
        next.counted = next.counted.saturating_sub(1);
        // The requested generation is not a stall, however far the previous one got.
        next.stalled = -1;
        next.furthest = 0;
        next.scroll = None;
        next.queue_lost = queue_lost;
        next.waits = Some("a restart: the next generation begins after all parts and jobs have ended".to_owned());
        next.turn += 1;
        next.died = None;
        next.leases = 0;
        next.resends = 0;
        next.resent_ms = 0;
        let (condition, names, values) = as_read(cursor.turn, cursor.owner());
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(items::write(&key(run_pk(&run.id), "CURSOR"), &next)?))
            .condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(Some(values));
        let writes = vec![TransactWriteItem::builder().put(built(put.build())?).build()];
        let running = Run { state: State::Running, reason: None, ..run.clone() };
        Ok(self.change_run(run, &running, writes, None).await?.then_some(next))
    }
}

/// Returns the condition that turn and lease are unchanged since the read, with its names and
/// values. A new owner may call the scroll, and a decision based on this read would not know of it.
fn as_read(
    turn: u64,
    owner: Option<&str>,
) -> (&'static str, Option<HashMap<String, String>>, HashMap<String, AttributeValue>) {
    let mut values = HashMap::from([(":turn".to_owned(), n(turn))]);
    let Some(owner) = owner else { return ("turn = :turn AND attribute_not_exists(claim)", None, values) };
    values.insert(":owner".to_owned(), s(owner));
    let names = HashMap::from([("#owner".to_owned(), "owner".to_owned())]);
    ("turn = :turn AND claim.#owner = :owner", Some(names), values)
}
