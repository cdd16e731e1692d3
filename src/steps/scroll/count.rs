//! Intercom's count of the workspace's users.

use std::time::Duration;

use crate::domain::run::Source;
use crate::intercom::Intercom;
use crate::rate_limit::{Lane, Permit, PermitRequest};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Time-out of a request that a start makes besides its pages. It leaves the invocation time for the
/// start itself.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(8);
/// Time that a start with such a request needs, in milliseconds.
pub(super) const COUNT_MS: i64 = REQUEST_TIMEOUT.as_millis() as i64 + 5_000;

/// Returns the number of users, for the run's deadline and progress, or `None` if unknown.
///
/// A token without permission for the count may still have permission for the run, so a failed
/// count does not fail the run. An invalid token fails at the first page.
pub(super) async fn count_users(clients: &Clients, source: &Source, at: &Invocation) -> Result<Option<u64>, StepError> {
    if *source != Source::All {
        return Ok(None);
    }
    match count(clients, &clients.intercom, at).await? {
        Ok(count) => Ok(Some(count)),
        Err(reason) => {
            tracing::warn!(reason, "cannot count the users; the run continues without an estimate");
            Ok(None)
        }
    }
}

/// Requests Intercom's count of users by this client, which speaks the run's API. Without one,
/// returns the reason.
pub(super) async fn count(
    clients: &Clients,
    intercom: &Intercom,
    at: &Invocation,
) -> Result<Result<u64, String>, StepError> {
    if let Err(reason) = may_request(clients, at).await? {
        return Ok(Err(reason.to_owned()));
    }
    let counted = intercom.count_users(REQUEST_TIMEOUT).await;
    Ok(counted.map(|reply| reply.value).map_err(|error| error.to_string()))
}

/// Acquires the permit of a request that a start makes besides its pages. Without a permit or time,
/// returns the reason.
pub(super) async fn may_request(clients: &Clients, at: &Invocation) -> Result<Result<(), &'static str>, StepError> {
    if at.left_ms() < COUNT_MS {
        return Ok(Err("this invocation has no time left for it"));
    }
    let deadline = at.leaving(COUNT_MS);
    Ok(match clients.limiter.acquire(PermitRequest::one(Lane::Check), &deadline).await? {
        Permit::Granted { .. } => Ok(()),
        Permit::Wait(_) => Err("the rate limit's window is spent"),
    })
}
