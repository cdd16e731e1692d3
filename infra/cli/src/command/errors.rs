//! `errors`: the failed users of a run.

use clap::Args;

use super::CommandError;
use super::ledger_options::RunOptions;
use crate::output;

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk errors [OPTIONS]")]
#[command(
    after_help = "Exit codes: 0 no user failed · 1 there is no run yet, or the ledger cannot be read · 2 users failed · \
    64 wrong usage, or no such run"
)]
pub(super) struct Errors {
    #[command(flatten)]
    of: RunOptions,
}

impl Errors {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let ledger = self.of.from.ledger().await?;
        let run = self.of.find(&ledger).await?;
        let json = self.of.from.json;
        let rows = ledger.errors(&run).await?;
        for row in &rows {
            output::result(json, row, || format!("{}  {}: {} ({})", row.user, row.code, row.message, row.at));
        }
        if rows.is_empty() && !json {
            output::line(&format!("No user of run {} failed.", run.id));
        }
        Ok(if rows.is_empty() { 0 } else { 2 })
    }
}
