//! The check of a plan's attributes before a run begins, on an API that creates none by a write.

use super::count::{REQUEST_TIMEOUT, may_request};
use crate::domain::attribute::unwritable;
use crate::intercom::{Disposition, disposition};
use crate::plan::Plan;
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
    if let Err(reason) = may_request(clients, at).await? {
        return Ok(Err(reason.to_owned()));
    }
    match clients.intercom.attributes(REQUEST_TIMEOUT).await {
        Ok(reply) => {
            let problems = unwritable(&planned, &reply.value);
            if problems.is_empty() { Ok(Ok(())) } else { Err(StepError::Attributes { problems }) }
        }
        Err(error) if matches!(disposition(&error), Disposition::RunFault | Disposition::NotFound) => {
            tracing::warn!(%error, "cannot list the attributes; the run begins without the check");
            Ok(Ok(()))
        }
        Err(error) => Ok(Err(error.to_string())),
    }
}
