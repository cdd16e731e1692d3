//! Intercom's count of the workspace's users.

use std::time::Duration;

use crate::domain::run::{MaxChanges, Source, Start};
use crate::intercom::{Disposition, disposition};
use crate::rate_limit::{Lane, Permit, PermitRequest};
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
    if start.source != Source::All {
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
    let deadline = at.leaving(COUNT_MS);
    if let Permit::Wait(_) = clients.limiter.acquire(PermitRequest::one(Lane::Check), &deadline).await? {
        return Ok(Err(Uncounted::for_now("the rate limit's window is spent")));
    }
    match clients.intercom.count_users(COUNT_TIMEOUT).await {
        Ok(reply) => Ok(Ok(reply.value)),
        Err(error) => {
            let disposition = disposition(&error);
            let for_good = matches!(disposition, Disposition::RunFault | Disposition::NotFound);
            Ok(Err(Uncounted { reason: error.to_string(), for_good }))
        }
    }
}
