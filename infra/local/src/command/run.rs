//! `run` and `preview`: the job on a workspace, and its dry run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use intercom_bulk::config::{Settings, Workspace};
use intercom_bulk::intercom::{Intercom, over_https};
use intercom_bulk::plan::Plan;
use intercom_bulk::run::{Rails, Run, RunId, State};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::bounds::{self, Bounds};
use super::{Access, CommandError};
use crate::aws::Account;
use crate::engine::{Engine, machine_wall};
use crate::place::{Place, workspace_name};
use crate::preview;
use crate::session::{Session, SessionError, drive};
use crate::show;
use crate::summary::Summary;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Preview {
    /// The plan, a TOML or JSON file
    plan: PathBuf,
    /// Only the first N users of the workspace
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Only this user (Intercom's id); may be given again
    #[arg(long = "user", value_name = "ID")]
    users: Vec<String>,
    /// Only one JSON object, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Args)]
pub(super) struct RunPlan {
    /// The plan, a TOML or JSON file
    plan: PathBuf,
    #[command(flatten)]
    bounds: Bounds,
    /// Do not ask before changing a real workspace
    #[arg(long)]
    yes: bool,
    /// Only one JSON object, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

/// Reads a plan file; `.json` is JSON, everything else TOML.
pub(super) fn read_plan(path: &Path) -> Result<Plan, CommandError> {
    let failed = |source| CommandError::File { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    if path.extension().is_some_and(|extension| extension == "json") {
        let value: Value = serde_json::from_str(&text).map_err(|e| failed(e.into()))?;
        return Ok(Plan::from_json(&value)?);
    }
    Ok(Plan::from_toml(&path.display().to_string(), &text)?)
}

/// A client of the workspace that the settings name.
pub(super) fn connect(access: &Access) -> Result<(Intercom, Workspace, Settings), CommandError> {
    let workspace = Workspace::read(|name| access.setting(name))?;
    let mut settings = Settings::read(|name| access.setting(name))?;
    settings.pace = intercom_bulk::config::Pace::LOCAL;
    let transport = over_https(CONNECT_TIMEOUT)?;
    let intercom = Intercom::new(transport, workspace.base_url.clone(), workspace.token()?, workspace.api);
    Ok((intercom, workspace, settings))
}

fn stopped(error: SessionError) -> CommandError {
    match error {
        SessionError::Ledger(error) => CommandError::Ledger(error),
        other => CommandError::Step(other.to_string()),
    }
}

impl Preview {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let plan = read_plan(&self.plan)?;
        let (intercom, _, settings) = connect(&self.access)?;
        let quota_percent = settings.quota_percent;
        // A ledger of its own, in memory: a dry run leaves nothing behind.
        let account = Account::open(None).map_err(crate::engine::EngineError::from)?;
        let engine = Engine::open(&account.dynamodb, &account.sqs, intercom, settings, machine_wall()).await?;
        let at = now(&engine);
        let rails = Rails { dry_run: true, limit: self.limit, accept_unseen: true, ..Rails::default() };
        let id = RunId::of(plan.name(), at.as_second());
        let event = bounds::start(&plan.to_json(), at, &self.users, &rails);
        match drive(&engine, event, &id, self.json).await.map_err(stopped)? {
            Session::Interrupted => Ok(interrupted()),
            Session::Over { run, cursor, .. } => {
                let quota = engine.clients.ledger.quota(quota_percent).await?;
                let found = preview::Found::read(&engine.clients.ledger, &run, &cursor, quota).await?;
                found.show(self.json);
                Ok(found.exit_code())
            }
        }
    }
}

impl RunPlan {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let plan = read_plan(&self.plan)?;
        let (intercom, workspace, settings) = connect(&self.access)?;
        let told = intercom.workspace().await;
        let app_id = told.as_ref().ok().map(|reply| reply.value.app_id.clone());
        if !workspace.base_url.is_loopback() && !self.yes {
            let name = told.as_ref().ok().and_then(|reply| reply.value.name.clone());
            let workspace = name.or_else(|| app_id.clone()).unwrap_or_else(|| workspace.base_url.to_string());
            if !self.confirmed(&intercom, &plan, &workspace).await? {
                show::note(false, "Nothing was changed.");
                return Ok(1);
            }
        }
        let name = workspace_name(workspace.base_url.as_str(), app_id.as_deref());
        let place = Place::take(self.access.state.as_deref(), &name)?;
        let account = Account::open(Some(&place.path)).map_err(crate::engine::EngineError::from)?;
        let engine = Engine::open(&account.dynamodb, &account.sqs, intercom, settings, machine_wall()).await?;
        let (event, id) = self.event(&engine, &plan).await?;
        match drive(&engine, event, &id, self.json).await.map_err(stopped)? {
            Session::Interrupted => Ok(interrupted()),
            Session::Over { run, cursor, .. } => {
                let summary = Summary::read(&engine.clients.ledger, &run, &cursor, engine.now_ms()).await?;
                summary.show(self.json);
                Ok(summary.exit_code())
            }
        }
    }

    /// What to begin with: a run of this plan that did not end goes on; one of another plan or version gives way.
    async fn event(&self, engine: &Engine, plan: &Plan) -> Result<(Value, RunId), CommandError> {
        let ledger = &engine.clients.ledger;
        if let Some(active) = ledger.active().await?.run
            && let Some(run) = ledger.run(&active).await?
        {
            let same = run.plan == plan.name() && ledger.plan_of(&active).await? == plan.to_json();
            if same && run.state != State::Paused && self.bounds.users.is_empty() && run.rails == self.bounds.rails() {
                show::note(self.json, &format!("Run {active} did not end; it goes on."));
                // One process works on a ledger: what the one before claimed, nobody holds any more.
                return Ok((json!({"resume": "restarted"}), active));
            }
            self.give_way(engine, &run).await?;
        }
        let at = now(engine);
        let event = self.bounds.start(&plan.to_json(), at);
        Ok((event, RunId::of(plan.name(), at.as_second())))
    }

    async fn give_way(&self, engine: &Engine, run: &Run) -> Result<(), CommandError> {
        let ledger = &engine.clients.ledger;
        let free_at_ms = ledger.cursor(&run.run).await?.map_or(0, |cursor| cursor.scroll_free_at_ms());
        let reason = "it had not ended when another plan, another version of it, or other options were started";
        ledger.end(run, State::Cancelled, Some(reason), None, engine.now_ms(), free_at_ms).await?;
        show::note(self.json, &format!("Run {} had not ended; it is cancelled, and this one begins anew.", run.run));
        Ok(())
    }

    /// Shows the workspace, the plan and what would become of the first users, and asks.
    async fn confirmed(&self, intercom: &Intercom, plan: &Plan, workspace: &str) -> Result<bool, CommandError> {
        let users = intercom.first_users().await?.value.users;
        show::note(false, &format!("Workspace: {workspace}"));
        show::note(false, &format!("Plan: {}, which sets {}", plan.name(), plan.targets().join(", ")));
        let patches: Vec<_> = users.iter().filter_map(|user| plan.evaluate(user).patch).collect();
        show::note(false, &format!("Of the first {} users {} would change:", users.len(), patches.len()));
        for line in preview::lines(&patches) {
            show::note(false, &line);
        }
        show::note(false, "Changing an attribute can send messages, start series and call webhooks.");
        if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
            let words = "this would change a real workspace: answer at a terminal, or add --yes";
            return Err(CommandError::Usage(words.to_owned()));
        }
        Ok(show::confirm("Run it on the whole workspace?"))
    }
}

fn now(engine: &Engine) -> Timestamp {
    Timestamp::from_millisecond(engine.now_ms()).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn interrupted() -> u8 {
    show::note(false, "Stopped. The same command goes on where this one was.");
    1
}
