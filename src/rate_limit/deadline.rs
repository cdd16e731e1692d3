//! The deadline up to which a caller waits for permits.

use std::time::Duration;

use tokio::sync::watch;

use crate::domain::clock::Clock;

/// The latest time at which permits are useful to a caller.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// The caller's clock.
    pub clock: Clock,
    /// The latest useful time, in Unix milliseconds.
    pub until_ms: i64,
    /// Turns true when the caller must start no further request. `None` on Lambda.
    pub stop: Option<watch::Receiver<bool>>,
}

impl Deadline {
    /// Returns whether permits are useless now: the time is up, or the caller must stop.
    pub(super) fn is_over(&self) -> bool {
        self.clock.now_ms() > self.until_ms || self.stop.as_ref().is_some_and(|stop| *stop.borrow())
    }

    /// Waits this long, or until the caller must stop.
    pub async fn rest(&self, ms: i64) {
        let time = tokio::time::sleep(Duration::from_millis(ms.max(0).unsigned_abs()));
        let Some(mut stop) = self.stop.clone() else { return time.await };
        let stopped = async move {
            if stop.wait_for(|stopping| *stopping).await.is_err() {
                // The sender is gone, so no stop will come.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = time => {}
            () = stopped => {}
        }
    }
}
