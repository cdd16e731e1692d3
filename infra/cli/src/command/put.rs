//! `put`: uploads a plan to a deployed stack.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::stack_options::{CODES, StackOptions};
use super::{CommandError, run};
use crate::output;

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk put [OPTIONS] <PLAN>", after_help = CODES)]
pub(super) struct Put {
    /// The plan, a TOML or JSON file; its name in the file becomes its name in the stack
    plan: PathBuf,
    /// Print one JSON object, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployed: StackOptions,
}

impl Put {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let plan = run::read_plan(&self.plan)?;
        let ledger = self.deployed.ledger().await?;
        ledger.put_plan(plan.name(), &plan.to_json()).await?;
        for warning in plan.warnings() {
            output::note(self.json, &format!("Warning: {warning}"));
        }
        output::result(self.json, &json!({ "plan": plan.name() }), || {
            format!("Plan {} is stored. A run that is under way keeps the one it began with.", plan.name())
        });
        Ok(0)
    }
}
