//! Stored plans, and each run's copy of its plan.

use super::active::PlanRow;
use super::attributes::{key, run_pk, s};
use super::{Ledger, LedgerError, Write};
use crate::domain::run::RunId;

/// A plan that is stored under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPlan {
    /// The plan, as JSON.
    pub plan: serde_json::Value,
    /// The undo that holds it, if one does: no start by the plan's name begins.
    pub held: Option<RunId>,
}

impl Ledger {
    /// Returns the run's own copy of its plan, as JSON.
    pub async fn plan_of(&self, run: &RunId) -> Result<serde_json::Value, LedgerError> {
        let stored: Option<PlanRow> = self.get(&key(run_pk(run), "PLAN")).await?;
        plan_value(stored.map(|stored| stored.plan), run.as_str())
    }

    /// Stores a plan under its name, so that a start can name it. An undo does not hold it any more.
    pub async fn put_plan(&self, name: &str, plan: &serde_json::Value) -> Result<(), LedgerError> {
        self.put(&key("PLANS", name), &PlanRow::of(plan)).await
    }

    /// Returns a stored plan.
    pub async fn stored_plan(&self, name: &str) -> Result<Option<StoredPlan>, LedgerError> {
        let stored: Option<PlanRow> = self.get(&key("PLANS", name)).await?;
        let Some(PlanRow { plan, held }) = stored else { return Ok(None) };
        Ok(Some(StoredPlan { plan: plan_value(Some(plan), name)?, held }))
    }

    /// Returns the write that holds a stored plan for an undo.
    pub(super) fn hold_write(name: &str, undo: &RunId) -> Write {
        Write::update(&key("PLANS", name), "SET held = :undo").when("attribute_exists(pk)").with(":undo", s(undo))
    }

    /// Returns the write that ends the hold of a plan.
    pub(super) fn unhold_write(name: &str) -> Write {
        Write::update(&key("PLANS", name), "REMOVE held").when("attribute_exists(pk)")
    }
}

fn plan_value(text: Option<String>, name: &str) -> Result<serde_json::Value, LedgerError> {
    let missing = || LedgerError::Missing { what: "plan", key: name.to_owned() };
    serde_json::from_str(&text.ok_or_else(missing)?).map_err(|_| missing())
}
