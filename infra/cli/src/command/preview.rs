//! `preview`: the dry run of a plan.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use intercom_bulk::control;
use intercom_bulk::domain::attribute::creatable;
use intercom_bulk::domain::run::{Limits, PreviousValues, Run};

use super::bounds::{self, Pacing, Scope};
use super::choice::{Chooser, Prospect};
use super::local::{now, stopped};
use super::run::{connect, read_plan};
use super::validate::check_cases;
use super::{Access, CommandError, INTERRUPTED};
use crate::output;
use crate::preview::Found;
use crate::saved::{NewFile, SavedError};
use crate::session::{Session, drive};
use intercom_bulk::intercom::Intercom;
use intercom_bulk::plan::Plan;
use intercom_bulk::rate_limit::Quota;
use intercom_bulk_emulator::aws::Account;
use intercom_bulk_emulator::engine::{Engine, EngineError, machine_wall};

/// A note about a dry run that left an exclusive reading open.
const HELD: &str = "Intercom keeps the scroll open for a minute; a `run` before then waits for it.";

/// Time-out of the list of attributes.
const LIST_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk preview [OPTIONS] <PLAN>")]
#[command(
    after_help = "The test cases of the plan run first: if one fails, nothing is read, and `validate` shows them.\n\
    Exit codes: 0 nothing would change · 1 failed, also a test case · 2 something would change · 3 it did not see all users · \
    64 wrong usage · 130 interrupted by Ctrl-C, SIGTERM or SIGHUP"
)]
pub(super) struct Preview {
    /// The plan, a TOML or JSON file
    plan: PathBuf,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    pacing: Pacing,
    /// Go on although the workspace does not have a custom attribute of the plan, and name those that
    /// `run --create-attributes` would create
    #[arg(long)]
    create_attributes: bool,
    /// Save all changes to FILE, for `run --saved FILE`. It has ids and values of users; only you can read it
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Print only one JSON object, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: Access,
}

impl Preview {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let plan = read_plan(&self.plan)?;
        check_cases(&self.plan, &plan)?;
        let (intercom, reached, settings) = connect(&self.access)?;
        // Before users are read: the folder may not be writable.
        let file = self.save.as_deref().map(NewFile::create).transpose()?;
        // A run waits for minutes while Intercom is unreachable; a preview fails at once.
        let mut chooser = Chooser::new(&intercom);
        let Prospect { choice, runs_before } = chooser.looks(&self.access, &reached, &plan).await?;
        let intercom = intercom.of_version(choice.version);
        let would_create = if self.create_attributes { would_create(&intercom, &plan).await } else { Vec::new() };
        let quota_percent = settings.quota_percent;
        // A separate ledger in memory: a dry run leaves no state.
        let account = Account::open(None).map_err(EngineError::from)?;
        let engine = Engine::open(&account.dynamodb, &account.sqs, intercom, settings, machine_wall()).await?;
        let at = now();
        // The dry run must reach its end, because only then it reports attributes that no user has.
        let limits = Limits {
            dry_run: true,
            keep_changes: file.is_some(),
            limit: self.scope.limit,
            accept_unseen: true,
            max_per_minute: self.pacing.max_per_minute,
            no_wait: self.pacing.no_wait,
            create_attributes: self.create_attributes,
            ..Limits::default()
        };
        let event = bounds::start(&plan.to_json(), at, &self.scope.users, &limits);
        let id = bounds::run_of(&event)?;
        if let Some(runs) = runs_before {
            // Without the times of the last writes the list is read at once, as of a new ledger.
            if let Ok(at_ms) = control::lists_show_from_ms(&runs, engine.now_ms()).await {
                engine.clients.ledger.put_visible_at(at_ms).await?;
            }
            // The sample serves a warning only.
            if let Ok(sample) = runs.previous_sample(plan.name(), engine.now_ms(), None).await {
                engine.clients.previous.keep(&id, PreviousValues::of(sample));
            }
        }
        match drive(&engine, event, &id, self.json).await.map_err(stopped)? {
            Session::Interrupted => {
                output::note(false, &format!("Stopped. A dry run changes nothing. {HELD}"));
                Ok(INTERRUPTED)
            }
            Session::Over { run, cursor, .. } => {
                let quota = Quota::of(&engine.clients.ledger.limit().await?, quota_percent, i64::MAX);
                // The run of this ledger has the choice as its setting.
                let run = Run { version_reason: Some(choice.reason), ..*run };
                let found = Found::read(&engine.clients.ledger, &plan, &run, &cursor, quota).await?;
                let saved = match file {
                    Some(file) => Some(file.save(&engine.clients.ledger, &plan, &run, &cursor, at).await),
                    None => None,
                };
                let (saved, unsaved) = match saved.transpose() {
                    Ok(saved) => (saved, None),
                    Err(error) => (None, Some(error)),
                };
                let found = Found { would_create, saved, ..found };
                found.show(self.json);
                if !self.json && cursor.reading_free_at_ms() > engine.now_ms() {
                    output::note(false, HELD);
                }
                match unsaved {
                    None => Ok(found.exit_code()),
                    // The exit code says that the dry run did not see all users.
                    Some(CommandError::Saved(error @ SavedError::NotAll)) => {
                        output::note(false, &format!("Note: {error}."));
                        Ok(found.exit_code())
                    }
                    Some(error) => Err(error),
                }
            }
        }
    }
}

/// Returns the custom attributes of the plan that a run would create, each with its type. The dry run
/// checks the list again, so an error of this request needs no message of its own.
async fn would_create(intercom: &Intercom, plan: &Plan) -> Vec<String> {
    let planned = plan.attributes();
    if planned.is_empty() || !intercom.api().capabilities().attributes_must_exist {
        return Vec::new();
    }
    let listed = intercom.attributes(LIST_TIMEOUT).await.ok().and_then(|reply| reply.value);
    let missing = listed.iter().flat_map(|listed| creatable(&planned, listed));
    missing.map(|one| format!("\"{}\" ({})", one.name, one.kind.data_type())).collect()
}
