//! One turn: leases it, executes its phase, commits the decision, and sends the next turn's
//! message.

use std::ops::ControlFlow;
use std::time::Duration;

use super::paused::commit_while_paused;
use super::{Action, ScrollOutcome, page, reading, settle, tick};
use crate::control;
use crate::domain::part::{Part, ReadingId};
use crate::domain::run::decide::{
    Commit, Decision, Delivery, TurnFacts, after_crash, awaits_list, bounds, not_leased, until_list_shows,
    within_max_changes,
};
use crate::domain::run::{Cursor, Lease, Phase, Run, State, Turn};
use crate::ledger::{Committing, Leased, PageRow};
use crate::queue::{Message, QueueName};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// A failed call after a page is retried only with at least this much time left, in milliseconds.
const AGAIN_MS: i64 = 2_000;
/// The wait before such a retry.
const AGAIN_REST: Duration = Duration::from_millis(500);

/// A turn that this invocation has leased.
pub(super) struct LeasedTurn<'a> {
    pub(super) clients: &'a Clients,
    pub(super) run: &'a Run,
    pub(super) at: &'a Invocation,
    pub(super) outcome: &'a mut ScrollOutcome,
    /// True if a crash of this invocation may lose a page.
    pub(super) asked: bool,
    /// The reading of this lease; `None` in a run of format 1.
    pub(super) reading: Option<ReadingId>,
    /// The parts of the page that was read. Their messages are sent after the commit.
    pub(super) parts: Vec<Part>,
}

impl LeasedTurn<'_> {
    /// Returns the facts for a decision at this moment.
    pub(super) fn facts(&self) -> TurnFacts<'_> {
        TurnFacts { run: self.run, now_ms: self.at.clock.now_ms() }
    }
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
    // The two reads may run concurrently: the run was committed before the turn's message was sent.
    let ledger = &clients.ledger;
    let (leased, run) = tokio::join!(ledger.lease(&turn.run, turn.turn, &lease, now_ms), ledger.run(&turn.run));
    let cursor = match leased? {
        Leased::Ours(mut cursor) => {
            cursor.committed.message = Some(message.id.clone());
            *cursor
        }
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
            let reading = run.keeps_parts().then_some(ReadingId { turn: cursor.turn, lease: cursor.leases + 1 });
            let mut leased = LeasedTurn { clients, run: &run, at, outcome, asked: false, reading, parts: Vec::new() };
            let decided = decide(&mut leased, cursor).await;
            asked = leased.asked;
            let parts = leased.parts;
            decided.map(|decision| (run, decision, parts))
        }
        // Without the release, a resume would meet the lease of an owner that did nothing.
        Ok(None) => {
            outcome.did.push(Action::Dropped);
            give_back(clients, &before, at).await;
            return Ok(());
        }
        Err(error) => Err(error.into()),
    };
    let (run, decision, parts) = match decided {
        Ok(decided) => decided,
        Err(error) => {
            // No page was requested, so the next invocation need not record a gap.
            if !asked {
                give_back(clients, &before, at).await;
            }
            return Err(error);
        }
    };
    let gaps = before.gaps.len();
    outcome.gaps += decision.next.gaps.len().saturating_sub(gaps) as u64;
    let committed = commit(clients, &run, TurnResult { decision, parts }, at, outcome).await?;
    if !committed && !asked {
        // The run was paused in the meantime, or another invocation has the turn.
        give_back(clients, &before, at).await;
    }
    Ok(())
}

/// Releases the lease of a turn that requested no page.
async fn give_back(clients: &Clients, before: &Cursor, at: &Invocation) {
    if let Err(error) = clients.ledger.release_lease(before, &at.request_id).await {
        tracing::warn!(run = before.run.as_str(), %error, "cannot release a lease");
    }
}

/// Executes the turn's phase and returns the decision.
async fn decide(turn: &mut LeasedTurn<'_>, cursor: Cursor) -> Result<Decision, StepError> {
    let decision = by_phase(turn, cursor).await?;
    Ok(within_max_changes(decision, turn.run))
}

/// The futures of a phase are large, and each future that awaits one contains it. Therefore they are on
/// the heap: a thread's stack is 2 MiB.
async fn by_phase(turn: &mut LeasedTurn<'_>, cursor: Cursor) -> Result<Decision, StepError> {
    let cursor = match after_crash(cursor, &turn.facts()) {
        ControlFlow::Continue(cursor) => cursor,
        ControlFlow::Break(decision) => return Ok(decision),
    };
    if let Some(decision) = bounds(&cursor, &turn.facts()) {
        return Ok(decision);
    }
    if let Some(decision) = reading::end_in_time(turn, &cursor).await? {
        return Ok(decision);
    }
    if cursor.phase == Phase::Settling {
        return Box::pin(settle::settle(turn, cursor)).await;
    }
    if awaits_list(&cursor, turn.run) {
        let visible_at_ms = turn.clients.ledger.active().await?.visible_at_ms;
        if let Some(decision) = until_list_shows(&cursor, visible_at_ms, &turn.facts()) {
            return Ok(decision);
        }
    }
    Box::pin(page::turn_page(turn, cursor)).await
}

/// Awaits a call that follows a page, and repeats it while this invocation has time. If the call
/// failed, the page would be lost, and the run would need another generation. Returns the last
/// error from the enclosing function.
///
/// This is a macro because the compiler cannot prove that the future of an `AsyncFnMut` is `Send`.
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

/// Returns whether time is left for a retry. If so, waits `AGAIN_REST` first.
pub(super) async fn again(at: &Invocation, error: &StepError) -> bool {
    if at.left_ms() < AGAIN_MS {
        return false;
    }
    tracing::warn!(%error, "retrying a call that follows a page");
    tokio::time::sleep(AGAIN_REST).await;
    true
}

/// The result of a turn.
struct TurnResult {
    decision: Decision,
    /// The parts of the page. They are in the ledger.
    parts: Vec<Part>,
}

/// Commits the decision, then sends the messages of the page's parts and of the next turn. Parts that
/// are held back are not sent; the last page releases those of all pages. Returns whether the decision
/// was committed.
async fn commit(
    clients: &Clients,
    run: &Run,
    TurnResult { decision, parts }: TurnResult,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<bool, StepError> {
    let goes_on = decision.goes_on();
    let Decision { next, mut commit, action } = decision;
    // Besides unread pages, parts and jobs of earlier pages may be unfinished.
    if let Commit::State { state: State::Incomplete, reason: Some(reason) } = &mut commit {
        let missing = tick::missing(clients, run, &next).await;
        *reason = format!("{reason}; {missing}");
    }
    let now_ms = at.clock.now_ms();
    let page = PageRow::of(&parts, now_ms);
    let committing = Committing { commit: &commit, page: page.as_ref() };
    let mut committed = insist!(at, clients.ledger.commit(run, next.clone(), &at.request_id, committing, now_ms));
    if committed.is_none() {
        committed = insist!(at, commit_while_paused(clients, run, &next, committing, at));
    }
    let Some(committed) = committed else {
        // Another invocation ended or paused the run, or leased the turn after our lease expired.
        outcome.did.push(Action::Dropped);
        return Ok(false);
    };
    if let Commit::State { state, reason } = &commit {
        control::log_state(run, *state, reason.as_deref());
    }
    let did = Action::from(action);
    outcome.did.push(did);
    outcome.turns += 1;
    outcome.not_complete += u64::from(did == Action::Stopped);
    if !run.held_back {
        insist!(at, clients.queues.send_parts(&parts));
    } else if let Commit::State { state: state @ State::Draining, .. } = commit {
        let released = Run { state, held_back: false, ..run.clone() };
        send_released(clients, &released, &committed, at).await;
    }
    if goes_on {
        let (turn, delay_ms) = (committed.present(), committed.not_before_ms - now_ms);
        insist!(at, clients.queues.send_turn(&turn, delay_ms));
    }
    Ok(true)
}

/// Sends the parts that a commit released, as far as this invocation has time. The commit requested
/// it, so the tick sends the others.
async fn send_released(clients: &Clients, run: &Run, cursor: &Cursor, at: &Invocation) {
    if let Err(error) = control::resend::go_on(clients, run, cursor, at).await {
        tracing::warn!(run = run.id.as_str(), %error, "cannot send parts that were held back; the tick sends them");
    }
}

/// Handles a message whose turn could not be leased, by comparing its turn with the cursor's.
async fn not_ours(
    clients: &Clients,
    message: &Message,
    turn: &Turn,
    cursor: &Cursor,
    at: &Invocation,
    outcome: &mut ScrollOutcome,
) -> Result<(), StepError> {
    let did = match not_leased(cursor, turn.turn, &message.id, at.clock.now_ms()) {
        Delivery::Heal { delay_ms } => {
            send_page_again(clients, cursor).await?;
            if let Some(delay_ms) = delay_ms {
                clients.queues.send_turn(&cursor.present(), delay_ms).await?;
            }
            Action::Healed
        }
        Delivery::Wait { delay_ms } => {
            clients.queues.send_turn(turn, delay_ms).await?;
            Action::Waited
        }
        Delivery::Hide { for_ms } => {
            hide(clients, message, for_ms).await;
            Action::Left
        }
        Delivery::Leave => Action::Left,
        Delivery::Drop => Action::Dropped,
    };
    if did == Action::Left {
        outcome.redeliver.push(message.id.clone());
    }
    outcome.did.push(did);
    Ok(())
}

/// Sends the parts of the page that the turn before committed, if it did. Its invocation may have
/// ended before it sent them. Parts that are held back are not sent.
pub(super) async fn send_page_again(clients: &Clients, cursor: &Cursor) -> Result<(), StepError> {
    if clients.ledger.run(&cursor.run).await?.is_none_or(|run| !run.submits()) {
        return Ok(());
    }
    let page = clients.ledger.committed_page(&cursor.run, cursor.generation, cursor.page).await?;
    let Some(page) = page.filter(|page| page.reading.turn + 1 == cursor.turn) else { return Ok(()) };
    let parts = clients.ledger.bodies(&cursor.run, cursor.v, page.part_ids().collect()).await?;
    Ok(clients.queues.send_parts(&parts).await?)
}

/// Changes the visibility of a message so that the queue delivers it again when it is useful. If
/// this fails, the queue delivers it after the visibility timeout.
pub(super) async fn hide(clients: &Clients, message: &Message, for_ms: i64) {
    if let Err(error) = clients.queues.change_visibility(QueueName::Pages, message, for_ms).await {
        tracing::debug!(%error, "cannot change a message's visibility; the queue's timeout applies");
    }
}
