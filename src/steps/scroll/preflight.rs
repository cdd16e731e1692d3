//! The check of a plan's attributes before a run begins, on an API that creates none by a write.

use super::count::COUNT_MS;
use crate::domain::attribute::unwritable;
use crate::intercom::{CALL_TIMEOUT, Disposition, disposition};
use crate::plan::Plan;
use crate::rate_limit::{Lane, Permit, PermitRequest};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Checks that the workspace has the attributes that the plan writes, with the right types. Without
/// the permission to list attributes, the run begins: many refusals in a row pause it. Returns why
/// they cannot be listed now, if so.
///
/// # Errors
/// [`StepError::Attributes`] if one of them cannot be written.
pub(super) async fn attributes_exist(
    clients: &Clients,
    plan: &Plan,
    at: &Invocation,
) -> Result<Result<(), String>, StepError> {
    let planned = plan.attributes();
    if planned.is_empty() || !clients.intercom.api().capabilities().attributes_must_exist {
        return Ok(Ok(()));
    }
    let later = |reason: &str| Ok(Err(reason.to_owned()));
    if at.left_ms() < COUNT_MS {
        return later("this invocation has no time left for it");
    }
    let deadline = at.leaving(COUNT_MS);
    if let Permit::Wait(_) = clients.limiter.acquire(PermitRequest::one(Lane::Check), &deadline).await? {
        return later("the rate limit's window is spent");
    }
    let timeout = CALL_TIMEOUT.min(std::time::Duration::from_millis(at.left_ms().max(0).unsigned_abs()));
    match clients.intercom.attributes(timeout).await {
        Ok(reply) => {
            let problems = unwritable(&planned, &reply.value);
            if problems.is_empty() { Ok(Ok(())) } else { Err(StepError::Attributes { problems }) }
        }
        Err(error) if matches!(disposition(&error), Disposition::RunFault | Disposition::NotFound) => {
            tracing::warn!(%error, "cannot list the attributes; the run begins without the check");
            Ok(Ok(()))
        }
        Err(error) => later(&error.to_string()),
    }
}
