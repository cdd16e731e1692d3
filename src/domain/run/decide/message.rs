//! A message without a lease for its turn, and a turn without a message.

use crate::domain::run::{Cursor, Phase, REST_MOST_MS, Run, State, TurnOrder};

/// The delay of a message after the end of its turn's lease, in milliseconds.
const AFTER_LEASE_MS: i64 = 1_000;
/// The delay of a message that is ahead of the cursor, in milliseconds.
const AHEAD_MS: i64 = 1_000;

/// The fate of a message whose turn could not be leased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The messages that follow the turn's commit are sent again, because they may be lost: those
    /// of the page's parts, and that of the present turn.
    Heal {
        /// The delay of the turn's message, in milliseconds; no delay if negative. `None` if the
        /// pages have ended.
        delay_ms: Option<i64>,
    },
    /// The same turn's message is sent again for the time at which the turn may be leased.
    Wait {
        /// The delay of the new message, in milliseconds.
        delay_ms: i64,
    },
    /// The message is left in the queue and comes back after this time.
    Hide {
        /// The time, in milliseconds.
        for_ms: i64,
    },
    /// The message is left in the queue and comes back by the queue's time-out.
    Leave,
    /// The message is not needed any more.
    Drop,
}

/// Decides by the order of the message's turn and the cursor's.
pub fn not_leased(cursor: &Cursor, turn: u64, message: &str, now_ms: i64) -> Delivery {
    let early_ms = cursor.not_before_ms - now_ms;
    let made_the_commit = cursor.committed.message.as_deref() == Some(message);
    match (cursor.standing(turn), &cursor.lease) {
        // If an invocation crashes between the commit and the send, its message is delivered again.
        // Another message of that turn is a duplicate. A message in response to it would exist
        // until the end of the run.
        (TurnOrder::Before, _) if made_the_commit => {
            Delivery::Heal { delay_ms: (cursor.phase != Phase::Ended).then_some(early_ms) }
        }
        (TurnOrder::Present, None) if early_ms > 0 => Delivery::Wait { delay_ms: early_ms },
        // Its own lease: the invocation is at work, or crashed and its lease has not expired yet.
        (TurnOrder::Present, Some(lease)) if lease.message == message => {
            Delivery::Hide { for_ms: lease.until_ms - now_ms + AFTER_LEASE_MS }
        }
        (TurnOrder::Ahead, _) => Delivery::Hide { for_ms: AHEAD_MS },
        // The lease expired between its write and this read.
        (TurnOrder::Present, None) => Delivery::Leave,
        (TurnOrder::Before | TurnOrder::Older | TurnOrder::Present, _) => Delivery::Drop,
    }
}

/// Returns whether the present turn's message may be lost: nothing happened for `first_ms` after
/// the turn could be leased, and for longer after each resend.
pub fn is_stuck(run: &Run, cursor: &Cursor, first_ms: i64, now_ms: i64) -> bool {
    let leased_until_ms = cursor.lease.as_ref().map_or(0, |lease| lease.until_ms);
    let sent_ms = cursor.committed.at_ms.max(cursor.resent_ms).max(run.resumed_ms);
    let busy_until_ms = leased_until_ms.max(cursor.not_before_ms).max(sent_ms);
    let turns = run.state == State::Running && cursor.phase != Phase::Ended;
    turns && now_ms - busy_until_ms > stuck_ms(first_ms, cursor.resends)
}

/// Returns the time without progress before the next resend, in milliseconds. It grows with each
/// resend, because an outage of the queue costs only time. The run's deadline bounds it.
fn stuck_ms(first_ms: i64, times: u32) -> i64 {
    first_ms.saturating_mul(1 << times.min(10)).min(REST_MOST_MS.max(first_ms))
}
