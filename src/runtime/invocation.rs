//! One invocation of a step: its clock, its request id, and its deadline.

use tokio::sync::watch;

use crate::domain::clock::Clock;
use crate::rate_limit::Deadline;

/// The invocation that a step runs in.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The clock of the invocation.
    pub clock: Clock,
    /// Lambda's request id. It is the owner of all leases of this invocation.
    pub request_id: String,
    /// The time at which Lambda ends the invocation, in Unix milliseconds.
    pub deadline_ms: i64,
    /// Turns true when the invocation must start no further request (Ctrl-C of the local command).
    /// `None` on Lambda.
    pub stop: Option<watch::Receiver<bool>>,
}

impl Invocation {
    /// Returns whether the invocation must start no further request. A request in progress is
    /// finished and recorded.
    pub fn is_stopping(&self) -> bool {
        self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }

    /// Returns the deadline for waits that leave `ms` of the invocation's time.
    pub fn leaving(&self, ms: i64) -> Deadline {
        Deadline { clock: self.clock, until_ms: self.deadline_ms - ms, stop: self.stop.clone() }
    }

    /// Waits this many milliseconds, or until the invocation must stop.
    pub async fn rest(&self, ms: i64) {
        self.leaving(0).rest(ms).await;
    }

    /// Returns the milliseconds left before the deadline, or 0 if it is past.
    pub fn left_ms(&self) -> i64 {
        (self.deadline_ms - self.clock.now_ms()).max(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stop_ends_a_wait() {
        let (sender, receiver) = watch::channel(false);
        let clock = Clock::starting_at(0);
        let at = Invocation { clock, request_id: String::new(), deadline_ms: 60_000, stop: Some(receiver) };
        let asked = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            sender.send(true).unwrap();
        };
        tokio::join!(at.rest(10_000), asked);
        assert_eq!((clock.now_ms(), at.is_stopping()), (300, true));
        let (sender, receiver) = watch::channel(false);
        drop(sender);
        Invocation { stop: Some(receiver), ..at.clone() }.rest(200).await;
        Invocation { stop: None, ..at }.rest(500).await;
        assert_eq!(clock.now_ms(), 1_000);
    }
}
