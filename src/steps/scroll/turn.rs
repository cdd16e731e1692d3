//! One turn: leased, carried out by its phase, committed, and passed on.

use std::time::Duration;

use super::{Action, ScrollOutcome, page, settle, tick};
use crate::domain::run::{Cursor, Lease, Phase, Run, State, Turn, TurnOrder};
use crate::ledger::{Commit, Leased};
use crate::queue::{Message, QueueName};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Time left from which on a failed write is tried again, and the rest before it.
const AGAIN_MS: i64 = 2_000;
const AGAIN_REST: Duration = Duration::from_millis(500);

/// What a turn decided: the next cursor, what else the commit changes, and the word for it.
pub(super) struct Decision {
    pub(super) next: Cursor,
    pub(super) commit: Commit,
    pub(super) did: Action,
}

impl Decision {
    /// The cursor alone changes.
    pub(super) fn turn(next: Cursor, did: Action) -> Self {
        Self { next, commit: Commit::Turn, did }
    }

    /// The run's state changes with it.
    pub(super) fn state(next: Cursor, state: State, reason: impl Into<String>) -> Self {
        Self { next, commit: Commit::State(state, Some(reason.into())), did: Action::Stopped }
    }

    /// The request brought no answer and cost no page. The turn waits, each time longer, until `least_ms` at the least. The
    /// run's deadline bounds it.
    pub(super) fn rest(mut next: Cursor, now_ms: i64, least_ms: i64, why: &str) -> Self {
        next.not_before_ms = next.rest(now_ms).max(least_ms);
        next.waits = Some(match next.unanswered {
            1 => why.to_owned(),
            times => format!("{why} ({times} tries since {})", time(next.unanswered_since_ms)),
        });
        Self::turn(next, Action::Waited)
    }

    /// The turn waits, and says why.
    pub(super) fn wait(mut next: Cursor, until_ms: i64, why: impl Into<String>) -> Self {
        next.not_before_ms = until_ms;
        next.waits = Some(why.into());
        next.idle_turns += 1;
        Self::turn(next, Action::Waited)
    }
}

/// A time in words, in UTC.
fn time(ms: i64) -> String {
    let at = jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

/// Handles a message that names a turn.
pub(super) async fn turn(
    clients: &Clients,
    message: &Message,
    turn: &Turn,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    outcome.run = Some(turn.run.to_string());
    let now_ms = at.clock.now_ms();
    let until_ms = now_ms + clients.settings.lease_ms();
    let lease = Lease { owner: at.request_id.clone(), message: message.id.clone(), until_ms };
    // Both at once: the run of a turn was committed before the turn's message was sent.
    let ledger = &clients.ledger;
    let (leased, run) = tokio::join!(ledger.lease(&turn.run, turn.turn, &lease, now_ms), ledger.run(&turn.run));
    let cursor = match leased? {
        Leased::Ours(cursor) => Cursor { committed_message: Some(message.id.clone()), ..*cursor },
        Leased::Not(cursor) => return not_ours(clients, message, turn, &cursor, at, outcome).await,
        Leased::Unknown => {
            outcome.did.push(Action::Dropped);
            return Ok(());
        }
    };
    let before = cursor.clone();
    let mut asked = false;
    let decided = match run.map(|run| run.filter(|run| run.state == State::Running && cursor.phase != Phase::Ended)) {
        Ok(Some(run)) => {
            let decided = decide(clients, &run, cursor, at, (outcome, &mut asked)).await;
            decided.map(|decision| (run, decision))
        }
        Ok(None) => {
            outcome.did.push(Action::Dropped);
            return Ok(());
        }
        Err(error) => Err(error.into()),
    };
    let (run, decision) = match decided {
        Ok(decided) => decided,
        Err(error) => {
            // No page was asked for, so the next invocation need not take it for lost.
            if !asked && let Err(error) = clients.ledger.release_lease(&before, &at.request_id).await {
                tracing::warn!(run = turn.run.as_str(), %error, "a claim is not given back");
            }
            return Err(error);
        }
    };
    let gaps = before.gaps.len();
    outcome.gaps += decision.next.gaps.len().saturating_sub(gaps) as u64;
    commit(clients, &run, decision, at, outcome).await
}

/// Carries a turn out by its phase. `asked` tells whether a page may be lost with this invocation.
async fn decide(
    clients: &Clients,
    run: &Run,
    cursor: Cursor,
    at: &Invocation,
    (outcome, asked): (&mut ScrollOutcome, &mut bool),
) -> Result<Decision, StepError> {
    match cursor.phase {
        Phase::Settling => settle::settle(clients, run, cursor, at).await,
        Phase::Turning | Phase::Ended => page::turn(clients, run, cursor, at, (outcome, asked)).await,
    }
}

/// Waits for a call that follows a page, and repeats it while this invocation has time: without it the page would be lost,
/// and with it a whole generation. Returns the last error from the function around it. (A macro, because the future of an
/// `AsyncFnMut` is not known to be `Send`.)
macro_rules! insist {
    ($at:expr, $call:expr) => {
        loop {
            match $call.await {
                Ok(done) => break done,
                Err(error) => {
                    let error = $crate::runtime::clients::StepError::from(error);
                    if !$crate::steps::scroll::turn::again($at, &error).await {
                        return Err(error);
                    }
                }
            }
        }
    };
}
pub(super) use insist;

/// Whether there is time for another try, after a rest.
pub(super) async fn again(at: &Invocation, error: &StepError) -> bool {
    if at.left_ms() < AGAIN_MS {
        return false;
    }
    tracing::warn!(%error, "what follows a page is tried once more");
    tokio::time::sleep(AGAIN_REST).await;
    true
}

/// Commits the decision and sends the next turn's message: the last thing that an invocation does.
async fn commit(
    clients: &Clients,
    run: &Run,
    decision: Decision,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let Decision { next, commit, did } = decision;
    let goes_on = match &commit {
        Commit::State(state, _) => *state == State::Running,
        Commit::Turn | Commit::Generation => next.phase != Phase::Ended,
    };
    let commit = match commit {
        // Not only pages may be missing: what was read can be under way.
        Commit::State(State::Incomplete, Some(reason)) => {
            let missing = tick::missing(clients, run, &next).await;
            Commit::State(State::Incomplete, Some(format!("{reason}; {missing}")))
        }
        other => other,
    };
    if let Commit::State(state, Some(reason)) = &commit {
        tracing::warn!(run = run.id.as_str(), state = state.as_str(), reason, "run changes its state");
    }
    let now_ms = at.clock.now_ms();
    let committed = insist!(at, clients.ledger.commit(run, next.clone(), &at.request_id, &commit, now_ms));
    let Some(committed) = committed else {
        // Somebody changed the run's state meanwhile (a pause, an end), or took the turn over after our lease.
        outcome.did.push(Action::Dropped);
        return Ok(());
    };
    outcome.did.push(did);
    outcome.turns += 1;
    outcome.not_complete += u64::from(did == Action::Stopped);
    if goes_on {
        let (turn, delay_ms) = (committed.present(), committed.not_before_ms - now_ms);
        insist!(at, clients.queues.send_turn(&turn, delay_ms));
    }
    Ok(())
}

/// A message whose turn could not be leased: what becomes of it depends on how its turn stands to the cursor's.
async fn not_ours(
    clients: &Clients,
    message: &Message,
    turn: &Turn,
    cursor: &Cursor,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let now_ms = at.clock.now_ms();
    let early_ms = cursor.not_before_ms - now_ms;
    let did = match (cursor.standing(turn.turn), &cursor.lease) {
        // The message that made the commit: the chain may have broken between the commit and the send. Another one of
        // that turn is a duplicate; answered with a message, each would live on to the end of the run.
        (TurnOrder::Before, _)
            if cursor.phase != Phase::Ended && cursor.committed_message.as_ref() == Some(&message.id) =>
        {
            clients.queues.send_turn(&cursor.present(), early_ms).await?;
            Action::Healed
        }
        (TurnOrder::Present, None) if early_ms > 0 => {
            clients.queues.send_turn(turn, early_ms).await?;
            Action::Waited
        }
        // Our own message again: its invocation is at work, or died and its lease has not expired yet.
        (TurnOrder::Present, Some(lease)) if lease.message == message.id => {
            hide(clients, message, lease.until_ms - now_ms + 1_000).await;
            Action::Left
        }
        (TurnOrder::Ahead, _) => {
            hide(clients, message, 1_000).await;
            Action::Left
        }
        // Expired between the lease's write and this read.
        (TurnOrder::Present, None) => Action::Left,
        (TurnOrder::Before | TurnOrder::Older | TurnOrder::Present, _) => Action::Dropped,
    };
    if did == Action::Left {
        outcome.redeliver.push(message.id.clone());
    }
    outcome.did.push(did);
    Ok(())
}

/// A message that is left comes back when it can be of use; without this, when the queue's time-out is over.
pub(super) async fn hide(clients: &Clients, message: &Message, for_ms: i64) {
    if let Err(error) = clients.queues.hide(QueueName::Pages, message, for_ms).await {
        tracing::debug!(%error, "a message keeps the queue's visibility time-out");
    }
}
