//! Stored plans, and each run's copy of its plan.

use super::active::StoredPlan;
use super::attributes::{key, run_pk, s};
use super::{Ledger, LedgerError, Write};
use crate::domain::run::RunId;

impl Ledger {
    /// Returns the run's own copy of its plan, as JSON.
    pub async fn plan_of(&self, run: &RunId) -> Result<serde_json::Value, LedgerError> {
        let stored: Option<StoredPlan> = self.get(&key(run_pk(run), "PLAN")).await?;
        plan_value(stored.map(|stored| stored.plan), run.as_str())
    }

    /// Stores a plan under its name, so that a start can name it. An undo does not hold it any more.
    pub async fn put_plan(&self, name: &str, plan: &serde_json::Value) -> Result<(), LedgerError> {
        self.put(&key("PLANS", name), &StoredPlan::of(plan)).await
    }

    /// Returns a stored plan.
    pub async fn stored_plan(&self, name: &str) -> Result<Option<serde_json::Value>, LedgerError> {
        let stored: Option<StoredPlan> = self.get(&key("PLANS", name)).await?;
        stored.map(|stored| plan_value(Some(stored.plan), name)).transpose()
    }

    /// Returns the undo that holds a stored plan, if one does: no start by its name begins.
    pub async fn hold_of_plan(&self, name: &str) -> Result<Option<RunId>, LedgerError> {
        let stored: Option<StoredPlan> = self.get(&key("PLANS", name)).await?;
        Ok(stored.and_then(|stored| stored.held))
    }

    /// Holds a plan for an undo, if it is stored.
    pub async fn hold_plan(&self, name: &str, undo: &RunId) -> Result<(), LedgerError> {
        let write =
            Write::update(&key("PLANS", name), "SET held = :undo").when("attribute_exists(pk)").with(":undo", s(undo));
        self.send(write).await.map(|_| ())
    }

    /// Ends the hold of a plan.
    pub async fn unhold_plan(&self, name: &str) -> Result<(), LedgerError> {
        let write = Write::update(&key("PLANS", name), "REMOVE held").when("attribute_exists(pk)");
        self.send(write).await.map(|_| ())
    }
}

fn plan_value(text: Option<String>, name: &str) -> Result<serde_json::Value, LedgerError> {
    let missing = || LedgerError::Missing { what: "plan", key: name.to_owned() };
    serde_json::from_str(&text.ok_or_else(missing)?).map_err(|_| missing())
}
