//! `preview`: the dry run of a plan.

use std::path::PathBuf;

use clap::Args;
use intercom_bulk::run::Rails;

use super::bounds::{self, user_id};
use super::run::{connect, now, read_plan, stopped};
use super::{Access, CommandError, INTERRUPTED, workspace};
use crate::aws::Account;
use crate::engine::{Engine, EngineError, machine_wall};
use crate::preview::Found;
use crate::session::{Session, drive};
use crate::show;

#[derive(Debug, Args)]
pub(super) struct Preview {
    /// The plan, a TOML or JSON file
    plan: PathBuf,
    /// Only the first N users of the workspace
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only this user (Intercom's id); may be given again
    #[arg(long = "user", value_name = "ID", value_parser = user_id)]
    users: Vec<String>,
    /// Only one JSON object, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Preview {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let plan = read_plan(&self.plan)?;
        let (intercom, _, settings) = connect(&self.access)?;
        // A run waits for minutes where Intercom is out of reach; whoever asks what would happen is told at once.
        if let Err(error) = workspace::of_token(&intercom).await
            && workspace::passing(&error).is_some()
        {
            return Err(error.into());
        }
        let quota_percent = settings.quota_percent;
        // A ledger of its own, in memory: a dry run leaves nothing behind.
        let account = Account::open(None).map_err(EngineError::from)?;
        let engine = Engine::open(&account.dynamodb, &account.sqs, intercom, settings, machine_wall()).await?;
        let at = now(&engine);
        // It is to come to its end: attributes that nobody has are told there.
        let rails = Rails { dry_run: true, limit: self.limit, accept_unseen: true, ..Rails::default() };
        let event = bounds::start(&plan.to_json(), at, &self.users, &rails);
        let id = bounds::run_of(&event)?;
        match drive(&engine, event, &id, self.json).await.map_err(stopped)? {
            Session::Interrupted => {
                show::note(false, "Stopped. A dry run changes nothing and leaves nothing behind.");
                Ok(INTERRUPTED)
            }
            Session::Over { run, cursor, .. } => {
                let quota = engine.clients.ledger.quota(quota_percent).await?;
                let found = Found::read(&engine.clients.ledger, &plan, &run, &cursor, quota).await?;
                found.show(self.json);
                Ok(found.exit_code())
            }
        }
    }
}
