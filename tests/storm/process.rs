//! A function's process: its accidents at await points, and the record of its invocations.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};

use crate::accident::Accident;
use crate::await_point::{AwaitPoint, Side, Step};
use crate::storm::{Storm, Who};

/// The duration of a freeze: some seconds, or beyond a page's time and its message's visibility.
/// Lambda's time-out of the invocation keeps running.
const FROZEN_S: std::ops::RangeInclusive<u64> = 1..=12;
const FROZEN_LONG_S: std::ops::RangeInclusive<u64> = 20..=310;

/// The time after the calm during which check's processes still die, hang and freeze.
pub(crate) const CHECK_AFTER_CALM: Duration = Duration::from_mins(20);

/// The state of a process after its next await point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    #[default]
    GoesOn,
    Dies,
    /// It does nothing until Lambda's time-out ends it.
    Hangs,
    /// It does nothing for this time, and continues.
    Frozen(Duration),
}

impl Fate {
    fn accident(self) -> Option<Accident> {
        match self {
            Self::GoesOn => None,
            Self::Dies => Some(Accident::Death),
            Self::Hangs => Some(Accident::Hang),
            Self::Frozen(_) => Some(Accident::Freeze),
        }
    }
}

impl Storm {
    /// Runs an invocation's future. Returns `None` if the process died.
    pub(crate) async fn watched<F: Future>(&self, who: Who, future: F) -> Option<F::Output> {
        let mut future = Some(Box::pin(future));
        let (mut hangs, mut frozen): (bool, Option<Pin<Box<Sleep>>>) = (false, None);
        poll_fn(|context| {
            if hangs || frozen.as_mut().is_some_and(|until| until.as_mut().poll(context).is_pending()) {
                return Poll::Pending;
            }
            frozen = None;
            let Some(running) = future.as_mut() else { return Poll::Ready(None) };
            self.polls(Some(who));
            let polled = polled(running.as_mut(), context);
            self.polls(None);
            match (polled, self.fate(who)) {
                (Err(panic), _) => {
                    self.weather.bug(format!("an invocation of {:?} panics: {panic}", self.step_of(who)));
                    future = None;
                    Poll::Ready(None)
                }
                (Ok(Poll::Ready(done)), _) => Poll::Ready(Some(done)),
                (Ok(Poll::Pending), Fate::Dies) => {
                    future = None;
                    Poll::Ready(None)
                }
                (Ok(Poll::Pending), Fate::Hangs) => {
                    hangs = true;
                    Poll::Pending
                }
                (Ok(Poll::Pending), Fate::Frozen(time)) => {
                    let mut until = Box::pin(sleep(time));
                    // Registers the waker; the wait is not over yet.
                    let _ = until.as_mut().poll(context);
                    frozen = Some(until);
                    Poll::Pending
                }
                (Ok(Poll::Pending), Fate::GoesOn) => Poll::Pending,
            }
        })
        .await
    }

    /// An await point: the process may end here, or pause for a while.
    pub(crate) async fn pass(&self, who: Option<Who>, call: &str, side: Side) {
        let Some((who, step)) = who.and_then(|who| Some((who, self.step_of(who)?))) else { return };
        let point = AwaitPoint { step, call: call.into(), side };
        let fate = self.draw_fate(step);
        if let Some(accident) = fate.accident() {
            self.weather.note(|| format!("#{who} {fate:?} at: {point}"));
            self.weather.passes(point, Some(accident));
            self.promises.troubled(Some(who));
            self.promises.troubled_at_cursor(Some(who));
            self.set_fate(who, fate);
            // A frozen process is polled again after its time; a dead or hanging one never.
            tokio::task::yield_now().await;
        } else {
            self.weather.passes(point, None);
        }
    }

    fn draw_fate(&self, step: Step) -> Fate {
        // Most jobs end after the calm begins, and check has its work then.
        let after = if step == Step::Check { CHECK_AFTER_CALM } else { Duration::ZERO };
        let strikes = |accident| self.weather.strikes_until(accident, after);
        if strikes(Accident::Death) {
            return Fate::Dies;
        }
        if strikes(Accident::Hang) {
            return Fate::Hangs;
        }
        if !strikes(Accident::Freeze) {
            return Fate::GoesOn;
        }
        let range = if self.weather.draw(0..=1) == 0 { FROZEN_S } else { FROZEN_LONG_S };
        Fate::Frozen(Duration::from_secs(self.weather.draw(range)))
    }

    /// Runs a task of the world concurrently. A panic in it is a bug of the story.
    pub(crate) fn spawn(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let storm = self.clone();
        let mut future = Box::pin(future);
        tokio::spawn(async move {
            if let Err(panic) = poll_fn(|context| match polled(future.as_mut(), context) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(())) => Poll::Ready(Ok(())),
                Err(panic) => Poll::Ready(Err(panic)),
            })
            .await
            {
                storm.weather.bug(format!("a task of the world panics: {panic}"));
            }
        })
    }
}

/// Polls a future. Returns the message of its panic, if it panics.
fn polled<F: Future>(future: Pin<&mut F>, context: &mut Context<'_>) -> Result<Poll<F::Output>, String> {
    catch_unwind(AssertUnwindSafe(|| future.poll(context))).map_err(|panic| message(&*panic))
}

/// Returns the message of a panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}
