//! `run`: runs a plan on a workspace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use intercom_bulk::control;
use intercom_bulk::domain::api::ApiChoice;
use intercom_bulk::domain::run::{Limits, Run, RunId, State, WorkspaceBinding};
use intercom_bulk::domain::user::UserId;
use intercom_bulk::intercom::{Intercom, advice, over_https};
use intercom_bulk::ledger::{Ledger, LedgerError};
use intercom_bulk::plan::Plan;
use intercom_bulk::runtime::config::{Settings, WorkspaceSettings};
use serde_json::{Value, json};

use super::bounds::{self, Bounds};
use super::choice::{Chooser, Unknown};
use super::local::{Shown, Worker, new_start, restarted, tell_under_way};
use super::{Access, CommandError, RUN_CODES, saved};
use crate::notify::Notify;
use crate::output;
use crate::preview;
use crate::saved::SavedFile;
use crate::state_dir::{Place, whose, workspace_name};
use intercom_bulk_emulator::engine::{Engine, machine_wall};

/// The time limit of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk run [OPTIONS] <PLAN>", after_help = RUN_CODES)]
pub(super) struct RunPlan {
    /// The plan, a TOML or JSON file
    plan: PathBuf,
    #[command(flatten)]
    bounds: Bounds,
    /// Write the changes of a saved preview (`preview --save`), and no others. Each of its users is read by id;
    /// one whose old or new value is not as in the preview is not written, and listed as `changed_since_preview`.
    /// On this machine only: a deployed stack cannot run a saved preview
    #[arg(long, value_name = "FILE", conflicts_with_all = ["limit", "users"])]
    saved: Option<PathBuf>,
    #[command(flatten)]
    confirmation: Confirmation,
    /// End a run that an operator paused, or a retry or an undo that was stopped, and begin this one. Without it,
    /// such a run keeps its place
    #[arg(long)]
    supersede: bool,
    /// Print only one JSON object, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    notify: Notify,
    #[command(flatten)]
    access: Access,
}

/// The question before a run.
#[derive(Debug, Args)]
struct Confirmation {
    /// Do not ask for confirmation before changing a real workspace
    #[arg(long)]
    yes: bool,
    /// Also show the first changes and ask for confirmation on a simulated workspace
    #[arg(long, conflicts_with = "yes")]
    ask: bool,
}

/// Reads a plan file: JSON if it ends with `.json`, otherwise TOML.
pub(super) fn read_plan(path: &Path) -> Result<Plan, CommandError> {
    let failed = |source| CommandError::PlanFile { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let file = path.display().to_string();
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    Ok(if is_json { Plan::from_json_text(&file, &text) } else { Plan::from_toml(&file, &text) }?)
}

/// Returns a client of the workspace in the settings.
pub(super) fn connect(access: &Access) -> Result<(Intercom, WorkspaceSettings, Settings), CommandError> {
    let workspace = WorkspaceSettings::read(|name| access.setting(name))?;
    let mut settings = Settings::read(|name| access.setting(name))?;
    settings.pace = intercom_bulk::runtime::config::Pace::LOCAL;
    let transport = over_https(CONNECT_TIMEOUT)?;
    let intercom = Intercom::new(transport, workspace.base_url.clone(), workspace.token.here()?, workspace.api);
    Ok((intercom, workspace, settings))
}

impl RunPlan {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let plan = read_plan(&self.plan)?;
        let (intercom, reached, settings) = connect(&self.access)?;
        let mut chooser = Chooser::new(&intercom);
        let told = match chooser.workspace().await {
            Ok(told) => Some(told),
            // A saved preview is of one workspace.
            Err(_) if self.access.state.is_some() && self.saved.is_none() => None,
            Err(Unknown::Intercom { api, error }) => {
                return Err(CommandError::Whose { advice: advice(api, &error), error: Box::new(error) });
            }
            Err(refused @ Unknown::Api(_)) => return Err(refused.into()),
        };
        let app_id = told.as_ref().map(|told| told.app_id.clone());
        let mut saved = match &self.saved {
            Some(path) => {
                let choice = self.choice(&mut chooser, &plan, &reached, app_id.as_deref()).await?;
                let token = WorkspaceBinding { host: intercom.host().to_owned(), app_id: app_id.clone() };
                Some(saved::open(path, &plan, &token, &choice)?)
            }
            None => None,
        };
        if saved.as_ref().is_some_and(|file| file.end.users == 0) {
            output::note(self.json, "The saved preview has no changes, so there is nothing to write.");
            return Ok(0);
        }
        let Confirmation { yes, ask } = self.confirmation;
        if (ask || !reached.base_url.is_loopback()) && !yes {
            let name = told.and_then(|told| told.name).or_else(|| app_id.clone());
            let workspace = name.unwrap_or_else(|| reached.base_url.to_string());
            let choice = self.choice(&mut chooser, &plan, &reached, app_id.as_deref()).await?;
            let intercom = intercom.of_version(choice.version);
            output::note(false, &output::api_line(choice.version, &choice.reason));
            let asked = Asked { plan: &plan, workspace: &workspace, saved: saved.as_mut() };
            if !self.confirmed(&intercom, asked).await? {
                output::note(false, "Nothing was changed.");
                return Ok(1);
            }
        }
        let name = workspace_name(reached.base_url.as_str(), &app_id.unwrap_or_default());
        let place = Place::take(self.access.state.as_deref(), &name)?;
        if let Some(words) = whose(&place.path, self.access.state.as_deref()) {
            output::note(false, &words);
        }
        let worker = Worker::open(place, intercom, settings).await?;
        let (event, id) = self.event(&worker.engine, &plan, saved.as_mut()).await?;
        let shown = Shown { json: self.json, state: self.access.state.as_deref() };
        worker.work(event, &id, shown, &self.notify).await
    }

    /// Returns the version of the API that a run of the plan would use.
    async fn choice(
        &self,
        chooser: &mut Chooser,
        plan: &Plan,
        reached: &WorkspaceSettings,
        app_id: Option<&str>,
    ) -> Result<ApiChoice, CommandError> {
        Ok(chooser.prospect(&self.access, reached, plan, app_id.unwrap_or_default()).await?.choice)
    }

    /// Returns the limits of the run. The users of a preview have shown the paths that the plan reads.
    fn limits(&self) -> Limits {
        let limits = self.bounds.limits();
        Limits { accept_unseen: limits.accept_unseen || self.saved.is_some(), ..limits }
    }

    /// Returns the first event: resume an active run of this plan, or replace one of another plan
    /// or version.
    async fn event(
        &self,
        engine: &Engine,
        plan: &Plan,
        saved: Option<&mut SavedFile>,
    ) -> Result<(Value, RunId), CommandError> {
        let ledger = &engine.clients.ledger;
        let preview = saved.as_ref().map(|file| file.preview());
        if let Some(active) = ledger.active().await?.run
            && let Some(run) = ledger.run(&active).await?
        {
            if let Some(why) = unfinished(&run).filter(|_| !self.supersede) {
                return Err(CommandError::Usage(why));
            }
            let same = run.plan == plan.name() && ledger.plan_of(&active).await? == plan.to_json();
            let same = same && run.limits == self.limits() && run.saved == preview;
            let same = same && (preview.is_some() || self.for_users_of(ledger, &run).await?);
            if same && run.state != State::Paused {
                output::note(self.json, &format!("Run {active} has not ended; resuming it."));
                tell_under_way(engine, &run, self.json).await?;
                return Ok((restarted(), active));
            }
            if !run.gives_way(self.supersede) && run.state == State::Paused {
                return Err(CommandError::Held { run: run.id });
            }
            self.give_way(engine, &run).await?;
        }
        let started = new_start(ledger, |at| {
            let mut event = bounds::start(&plan.to_json(), at, &self.bounds.scope.users, &self.limits());
            if let Some(preview) = &preview {
                event["saved"] = json!(preview);
            }
            event
        });
        let (event, id) = started.await?;
        if let Some(file) = saved {
            saved::store(file, ledger, &id, engine.now_ms()).await?;
        }
        Ok((event, id))
    }

    /// Returns whether a run has the requested users: the whole workspace, or the same list.
    async fn for_users_of(&self, ledger: &Ledger, run: &Run) -> Result<bool, LedgerError> {
        let asked: BTreeSet<&str> = self.bounds.scope.users.iter().map(String::as_str).collect();
        if run.listed.is_none() || asked.is_empty() {
            return Ok(run.listed.is_none() && asked.is_empty());
        }
        let mut listed = BTreeSet::new();
        for page in 1.. {
            let users = ledger.listed(&run.id, page).await?;
            if users.is_empty() {
                break;
            }
            listed.extend(users);
        }
        Ok(listed.iter().map(UserId::as_str).eq(asked))
    }

    async fn give_way(&self, engine: &Engine, run: &Run) -> Result<(), CommandError> {
        let reason =
            "replaced before its end: another plan, another version of it, other options or other users were started";
        let (ledger, now_ms) = (&engine.clients.ledger, engine.now_ms());
        // One process works on a ledger. The new run waits for requests of the previous process, but
        // not for the end of its leases.
        ledger.end_leases(&run.id, now_ms).await?;
        control::cancel(ledger, run, reason, now_ms).await?;
        let was = if run.state == State::Paused { "was paused" } else { "had not ended" };
        let words = format!("Run {} {was}; it is cancelled, and a new run reads from the first user.", run.id);
        output::note(self.json, &words);
        Ok(())
    }

    /// Shows the workspace, the plan and the first users' changes, and asks for confirmation.
    async fn confirmed(&self, intercom: &Intercom, asked: Asked<'_>) -> Result<bool, CommandError> {
        let Asked { plan, workspace, saved } = asked;
        if let Some(file) = saved {
            saved::show(file, plan, workspace)?;
            return at_terminal("Write them?");
        }
        let first = intercom.first_users().await;
        let users = first.map_err(|error| CommandError::intercom(intercom.api(), error))?.value.users;
        output::note(false, &format!("Workspace: {workspace}"));
        output::note(false, &format!("Plan: {}, which sets {}", plan.name(), plan.targets().join(", ")));
        for warning in plan.warnings() {
            output::note(false, &format!("Warning: {warning}"));
        }
        let plan = plan.on_day_of(machine_wall()().div_euclid(1000));
        let of_plan = users.iter().filter(|user| plan.contacts().skip(user).is_none());
        let patches: Vec<_> = of_plan.filter_map(|user| plan.evaluate(user).patch).collect();
        output::note(false, &format!("Of the first {} users {} would change:", users.len(), patches.len()));
        for line in preview::changes(&patches) {
            output::note(false, &line);
        }
        output::note(false, "Changing an attribute can send messages, start series and call webhooks.");
        at_terminal(&format!("Run it on {}?", self.bounds.whom()))
    }
}

/// The subject of the question before a run.
struct Asked<'a> {
    plan: &'a Plan,
    workspace: &'a str,
    saved: Option<&'a mut SavedFile>,
}

/// Asks for a confirmation at a terminal.
fn at_terminal(question: &str) -> Result<bool, CommandError> {
    if !std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        let words = "this would change a real workspace: answer at a terminal, or add --yes";
        return Err(CommandError::Usage(words.to_owned()));
    }
    Ok(output::confirm(question))
}

/// Returns why a run of a plan does not begin, if the active run is a retry or an undo that was stopped: the plan
/// would set the values that an undo restores. A preview of an undo changes nothing, and gives way.
fn unfinished(run: &Run) -> Option<String> {
    let what = output::of_earlier(run).filter(|_| run.hold().is_none() && !run.limits.dry_run)?;
    let id = &run.id;
    Some(format!(
        "run {id} has not ended: it {what}. `intercom-bulk resume` finishes it, `intercom-bulk cancel` ends it, and \
         --supersede ends it and begins this run"
    ))
}
