//! When messages become visible, on awsim's clock.

use std::time::Duration;

use awsim_sqs::state::SqsState;

/// How early a time-out is taken as ended, so that awsim, which looks a moment later, finds none that has.
const AHEAD: Duration = Duration::from_millis(5);

/// Puts messages whose visibility time-out has ended back in their queue.
///
/// awsim would do so itself and count a receive for it, halving a redrive policy's `maxReceiveCount`.
pub(super) fn expire(state: &SqsState, queue: &str) {
    let Some(mut queue) = state.queues.get_mut(queue) else {
        return;
    };
    let now = clock() + AHEAD;
    let ended: Vec<String> = queue
        .inflight
        .values()
        .filter(|message| message.visible_at.is_none_or(|at| at <= now))
        .map(|message| message.receipt_handle.clone())
        .collect();
    for handle in ended {
        if let Some(received) = queue.inflight.remove(&handle) {
            queue.messages.push_front(received.message);
        }
    }
}

/// The time until the next delay or visibility time-out of the queue ends, if any runs.
pub(super) fn next_visible_in(state: &SqsState, queue: &str) -> Option<Duration> {
    let queue = state.queues.get(queue)?;
    let now = clock();
    let delayed = queue.messages.iter().filter_map(|message| message.delay_until);
    let received = queue.inflight.values().filter_map(|message| message.visible_at);
    delayed.chain(received).filter(|at| *at > now).min().map(|at| at.saturating_duration_since(now))
}

/// awsim keeps its times on the system's monotonic clock, so they can be compared with no other.
#[expect(clippy::disallowed_methods, reason = "awsim's times are of this clock")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
