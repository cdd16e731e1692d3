//! Requests for one user each that are under way. They go on while the caller waits for the ledger.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::writes::Write;
use crate::domain::api::Written;
use crate::domain::clock::Clock;
use crate::intercom::{Error, Intercom, Reply, route};

/// A future on the heap. Nested in one another, those of the steps would fill a thread's stack.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request that has ended.
pub(super) struct Answered {
    pub(super) write: Write,
    /// The time of its begin, in Unix milliseconds.
    pub(super) begun_ms: i64,
    pub(super) answer: Result<Reply<Written>, Error>,
}

/// Requests under way, and those whose answers are not handled yet.
pub(super) struct UnderWay {
    clock: Clock,
    requests: FuturesUnordered<Boxed<'static, Answered>>,
    answered: VecDeque<Answered>,
    stopped: Arc<AtomicBool>,
}

impl UnderWay {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, requests: FuturesUnordered::new(), answered: VecDeque::new(), stopped: Arc::default() }
    }

    /// Returns the number of requests whose answers are not handled yet.
    pub(super) fn count(&self) -> usize {
        self.requests.len() + self.answered.len()
    }

    /// Begins a request by this client, which sends it in time or not at all.
    pub(super) fn begin(&mut self, intercom: Intercom, write: Write) {
        let (clock, stopped) = (self.clock, self.stopped.clone());
        self.requests.push(Box::pin(async move {
            let begun_ms = clock.now_ms();
            let answer = if stopped.load(Ordering::Relaxed) {
                Err(Error::TooLate { route: route::SUBMIT })
            } else {
                intercom.write(&write.item.patch).await
            };
            Answered { write, begun_ms, answer }
        }));
    }

    /// Begins no request any more: those that have not begun end with [`Error::TooLate`].
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Waits for the next answer. Returns `None` if no request is under way.
    pub(super) async fn next(&mut self) -> Option<Answered> {
        match self.answered.pop_front() {
            Some(answered) => Some(answered),
            None => self.requests.next().await,
        }
    }

    /// Does other work while the requests go on. A request that waited for its first step would begin
    /// long after it was authorised.
    pub(super) async fn during<T>(&mut self, mut work: Boxed<'_, T>) -> T {
        loop {
            tokio::select! {
                biased;
                Some(answered) = self.requests.next() => self.answered.push_back(answered),
                done = &mut work => return done,
            }
        }
    }
}
