//! The stored plan that a start names. An undo holds it, so that no later start sets its values again.

use crate::domain::run::{Source, Start};
use crate::plan::Plan;
use crate::runtime::clients::{Clients, StepError};

/// Returns the plan that is stored under this name.
///
/// # Errors
/// [`StepError::NoPlan`] without one, and [`StepError::Held`] if an undo holds it.
pub(super) async fn plan(clients: &Clients, name: &str) -> Result<Plan, StepError> {
    let found = clients.ledger.stored_plan(name).await?;
    let found = found.ok_or_else(|| StepError::NoPlan { name: name.to_owned() })?;
    if let Some(undo) = found.held {
        return Err(StepError::Held { plan: name.to_owned(), undo });
    }
    Ok(Plan::from_json(&found.plan)?)
}

/// Holds the plan of a start that is an undo, before its run begins: a start of the plan behind it must not
/// set the values again. A dry run holds nothing.
pub(super) async fn hold(clients: &Clients, start: &Start) -> Result<(), StepError> {
    if holds(start) {
        clients.ledger.hold_plan(&start.plan, &start.run()).await?;
    }
    Ok(())
}

/// Ends the hold of a start whose run does not begin, or not yet. A start that is repeated has a run.
pub(super) async fn unhold(clients: &Clients, start: &Start) -> Result<(), StepError> {
    if holds(start) && clients.ledger.run(&start.run()).await?.is_none() {
        clients.ledger.unhold_plan_of(&start.plan, &start.run()).await?;
    }
    Ok(())
}

fn holds(start: &Start) -> bool {
    matches!(start.source, Source::Undo(_)) && !start.limits.dry_run
}
