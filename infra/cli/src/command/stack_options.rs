//! The options that name a deployed stack.

use clap::Args;
use intercom_bulk::aws::Aws;
use intercom_bulk::ledger::Ledger;
use intercom_bulk::runtime::settings::{LEDGER_TABLE, Setting};

use super::CommandError;
use crate::stack::{account, output};
use intercom_bulk_emulator::engine::machine_wall;

/// The exit codes of `put` and `start`, for their help.
pub(super) const CODES: &str = "Exit codes: 0 done · 1 failed · 64 wrong usage: an argument, a plan, a stack or credentials are missing, \
    and nothing was started";

/// A stack on AWS, or at `AWS_ENDPOINT_URL`. Region and keys come from the environment or the AWS
/// CLI.
#[derive(Clone, Debug, Args)]
pub(super) struct StackOptions {
    /// Name of a deployed stack; its outputs name its table and its queue
    #[arg(long, value_name = "NAME")]
    pub(super) stack: Option<String>,
    /// DynamoDB table of the ledger, instead of a stack
    #[arg(long, value_name = "TABLE", env = LEDGER_TABLE.name)]
    ledger_table: Option<String>,
}

impl StackOptions {
    /// Returns whether a stack or a table is named.
    pub(super) fn is_named(&self) -> bool {
        self.stack.is_some() || self.ledger_table.is_some()
    }

    /// Opens the ledger of the stack.
    pub(super) async fn ledger(&self) -> Result<Ledger, CommandError> {
        self.check()?;
        self.ledger_of(&account().await?).await
    }

    /// Fails if neither a stack nor a table is named. Call it before credentials are read.
    pub(super) fn check(&self) -> Result<(), CommandError> {
        if self.is_named() { Ok(()) } else { Err(unnamed(&LEDGER_TABLE)) }
    }

    /// Opens the ledger of the stack in an account.
    pub(super) async fn ledger_of(&self, aws: &Aws) -> Result<Ledger, CommandError> {
        let table = match (&self.ledger_table, &self.stack) {
            (_, Some(stack)) => output(aws, stack, "LedgerTable", machine_wall()()).await?,
            (Some(table), None) => table.clone(),
            (None, None) => return Err(unnamed(&LEDGER_TABLE)),
        };
        Ok(Ledger::new(aws.dynamodb(), table))
    }
}

/// Returns the error of a command that needs `--stack` or this setting.
pub(super) fn unnamed(setting: &Setting) -> CommandError {
    CommandError::Usage(format!("which stack? --stack NAME, or {}", setting.name))
}
