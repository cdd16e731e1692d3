//! The stored plan that a start names. An undo holds it, so that no later start sets its values again.

use crate::plan::Plan;
use crate::runtime::clients::{Clients, StepError};

/// Returns the plan that is stored under this name. `unhold` says that the start ends a hold.
///
/// # Errors
/// [`StepError::NoPlan`] without one, and [`StepError::Held`] if an undo holds it.
pub(super) async fn plan(clients: &Clients, name: &str, unhold: bool) -> Result<Plan, StepError> {
    let found = clients.ledger.stored_plan(name).await?;
    let found = found.ok_or_else(|| StepError::NoPlan { name: name.to_owned() })?;
    if let Some(undo) = found.held.filter(|_| !unhold) {
        return Err(StepError::Held { plan: name.to_owned(), undo });
    }
    Ok(Plan::from_json(&found.plan)?)
}
