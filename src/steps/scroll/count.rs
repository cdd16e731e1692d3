//! Intercom's count of the workspace's users.

use std::time::Duration;

use crate::domain::run::{MaxChanges, Source, Start};
use crate::intercom::{Disposition, disposition};
use crate::ledger::{Lane, Permit};
use crate::rate_limit::PermitRequest;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Time-out of the count. It leaves the invocation time for the start itself.
const COUNT_TIMEOUT: Duration = Duration::from_secs(8);
/// Time that a start with a count needs, in milliseconds.
pub(super) const COUNT_MS: i64 = COUNT_TIMEOUT.as_millis() as i64 + 5_000;

/// Returns the number of users, for the run's deadline, limits and progress, or `None` if unknown.
///
/// A token without permission for the count may still have permission for the run, so a failed
/// count does not fail the run. An invalid token fails at the first page.
///
/// # Errors
/// [`StepError::NotCounted`] if `max_changes` is a percentage: without a count, it limits nothing.
pub(super) async fn count_users(clients: &Clients, start: &Start, at: &Invocation) -> Result<Option<u64>, StepError> {
    if start.source != Source::Scroll {
        return Ok(None);
    }
    match (count(clients, at).await?, start.limits.max_changes) {
        (Ok(count), _) => Ok(Some(count)),
        (Err(Uncounted { reason, for_good }), Some(MaxChanges::Percent(_))) => {
            Err(StepError::NotCounted { reason, for_good })
        }
        (Err(Uncounted { reason, .. }), _) => {
            tracing::warn!(reason, "cannot count the users; the run continues without an estimate");
            Ok(None)
        }
    }
}

/// The reason for a missing count.
pub(super) struct Uncounted {
    pub(super) reason: String,
    /// True if a retry would fail, too.
    for_good: bool,
}

impl Uncounted {
    fn for_now(reason: &str) -> Self {
        Self { reason: reason.to_owned(), for_good: false }
    }
}

/// Requests Intercom's count of users.
pub(super) async fn count(clients: &Clients, at: &Invocation) -> Result<Result<u64, Uncounted>, StepError> {
    if at.left_ms() < COUNT_MS {
        return Ok(Err(Uncounted::for_now("this invocation has no time left for it")));
    }
    if let Permit::Wait(until_ms) = clients.limiter.take(PermitRequest::one(Lane::Check), at.clock).await? {
        let wait_ms = (until_ms - at.clock.now_ms()).max(1);
        if wait_ms + COUNT_MS > at.left_ms() {
            return Ok(Err(Uncounted::for_now("the rate limit's window is spent")));
        }
        tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
        if let Permit::Wait(_) = clients.limiter.take(PermitRequest::one(Lane::Check), at.clock).await? {
            return Ok(Err(Uncounted::for_now("the rate limit's windows are spent")));
        }
    }
    match clients.intercom.count_users(COUNT_TIMEOUT).await {
        Ok(reply) => {
            clients.limiter.learn(reply.rate, at.clock).await;
            Ok(Ok(reply.value))
        }
        Err(error) => {
            clients.limiter.learn(error.rate(), at.clock).await;
            let disposition = disposition(&error, at.clock.now_s());
            if let Disposition::Limited { wait_s } = disposition {
                clients.limiter.limited(wait_s, at.clock).await;
            }
            let for_good = matches!(disposition, Disposition::RunFault | Disposition::NotFound);
            Ok(Err(Uncounted { reason: error.to_string(), for_good }))
        }
    }
}
