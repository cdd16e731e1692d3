//! Returns messages to the queue when their visibility time-out ends, on awsim's clock.

use std::time::Duration;

use awsim_sqs::state::SqsState;

/// A time-out ends early by this much, so that awsim, which checks later, finds no expired one.
const AHEAD: Duration = Duration::from_millis(5);

/// Makes messages visible again whose visibility time-out has ended.
///
/// Awsim would count a receive for each, and so halve a redrive policy's `maxReceiveCount`.
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

/// Returns the time until the next delay or visibility time-out ends, if there is one.
pub(super) fn next_visible_in(state: &SqsState, queue: &str) -> Option<Duration> {
    let queue = state.queues.get(queue)?;
    let now = clock();
    let delayed = queue.messages.iter().filter_map(|message| message.delay_until);
    let received = queue.inflight.values().filter_map(|message| message.visible_at);
    delayed.chain(received).filter(|at| *at > now).min().map(|at| at.saturating_duration_since(now))
}

/// Awsim uses the system's monotonic clock, so its times can be compared with this clock only.
#[expect(clippy::disallowed_methods, reason = "awsim's times are of this clock")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}
