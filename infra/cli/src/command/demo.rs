//! `demo`: a full run on a simulated workspace, verified against the workspace's final state.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use intercom_bulk::domain::api::{Api, ApiVersion};
use intercom_bulk::domain::attribute::{PlannedAttribute, ValueKind};
use intercom_bulk::domain::bucket::{Bucket, Width};
use intercom_bulk::domain::run::{Cursor, Run, State};
use intercom_bulk::domain::user::User;
use intercom_bulk::intercom::{Intercom, over_https};
use intercom_bulk::plan::Plan;
use intercom_bulk::runtime::config::{Pace, Settings, WorkspaceSettings};
use intercom_simulator::{Attribute, DataType, World};
use serde_json::json;

use super::bounds::run_of;
use super::simulate::{WorldArguments, listen};
use super::{CommandError, INTERRUPTED, RUN_CODES, run};
use crate::output;
use crate::session::{Session, drive};
use crate::summary::{Summary, jobs};
use intercom_bulk_emulator::aws::Account;
use intercom_bulk_emulator::engine::{Engine, EngineError, machine_wall};

/// The plan of the article of 2016, without its bugs.
const PLAN: &str = include_str!("../../../../plans/has-avatar.toml");

#[derive(Debug, Args)]
#[command(after_help = RUN_CODES)]
pub(super) struct Demo {
    /// A plan other than plans/has-avatar.toml
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Version of Intercom's API; 1.4 has the bulk jobs of the article, 2.17 is the newest, and preview has
    /// bulk jobs of contacts
    #[arg(long, value_name = "VERSION", default_value = ApiVersion::newest(Api::V1).as_str())]
    api: ApiVersion,
    #[command(flatten)]
    world: WorldArguments,
    /// Print only one JSON object, on standard output
    #[arg(long)]
    json: bool,
}

impl Demo {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let plan = match &self.plan {
            Some(path) => run::read_plan(path)?,
            None => Plan::from_toml("plans/has-avatar.toml", PLAN)?,
        };
        let mut options = self.world.options();
        options.contacts.attributes.extend(plan.attributes().iter().map(attribute));
        let world = World::new(options);
        let (listener, address) = listen(0).await?;
        tokio::spawn({
            let world = world.clone();
            async move { world.serve(listener).await }
        });
        let users = self.world.users;
        output::note(self.json, &format!("A simulated Intercom workspace with {users} users answers at {address}."));
        output::note(self.json, &format!("Plan {} sets {} for each of them.", plan.name(), plan.targets().join(", ")));
        let engine = engine(&address, self.api).await?;
        let scheduled_at = jiff::Timestamp::from_millisecond(engine.now_ms()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        // The simulated users are random, so an attribute that the plan reads may be rare.
        let event = json!({
            "plan": plan.to_json(), "time": scheduled_at.to_string(), "rails": {"accept_unseen": true}
        });
        let id = run_of(&event)?;
        let session = drive(&engine, event, &id, self.json).await;
        match session.map_err(|error| CommandError::Step(error.to_string()))? {
            Session::Interrupted => {
                output::note(false, "Stopped.");
                Ok(INTERRUPTED)
            }
            Session::Over { run, cursor, .. } => {
                let summary = Summary::read(&engine.clients.ledger, &run, &cursor, engine.now_ms()).await?;
                let problems = compare(&engine, &world, &plan, &run, &cursor).await?;
                for problem in &problems {
                    output::error(problem);
                }
                if problems.is_empty() && summary.exit_code() == 0 {
                    output::note(
                        self.json,
                        &format!(
                            "Checked against the workspace itself: every user has the plan's value, {}.",
                            checked(run.api)
                        ),
                    );
                }
                summary.show(self.json, None);
                Ok(if problems.is_empty() { summary.exit_code() } else { 1 })
            }
        }
    }
}

/// Returns what [`compare`] found right besides the users' values, in words.
fn checked(api: Api) -> &'static str {
    match api {
        Api::V1 => "every job id is in the ledger under the minute of its creation, every job's end is known",
        Api::V2 => "and the results in the ledger agree with the writes of the workspace",
        Api::Preview => {
            "every job id is in the ledger under the minute of its creation, every job's end is known, and the results in \
             the ledger agree with the writes of the workspace"
        }
    }
}

/// Returns an attribute that a plan writes, as a workspace of API 2.x must have it.
fn attribute(planned: &PlannedAttribute) -> Attribute {
    let data_type = match planned.kind {
        ValueKind::Bool => DataType::Boolean,
        ValueKind::Int => DataType::Integer,
        ValueKind::Float => DataType::Float,
        ValueKind::Text => DataType::String,
        ValueKind::Date => DataType::Date,
    };
    Attribute { name: planned.name.clone(), data_type, ..Attribute::default() }
}

async fn engine(address: &str, api: ApiVersion) -> Result<Engine, CommandError> {
    let setting = |name: &str| match name {
        "INTERCOM_TOKEN" => Some("demo".to_owned()),
        "INTERCOM_BASE_URL" => Some(address.to_owned()),
        _ => None,
    };
    let workspace = WorkspaceSettings::read(setting)?;
    let settings = Settings { pace: Pace::LOCAL, ..Settings::read(setting)? };
    let transport = over_https(std::time::Duration::from_secs(5))?;
    let intercom = Intercom::new(transport, workspace.base_url.clone(), workspace.token.here()?, api);
    let account = Account::open(None).map_err(EngineError::from)?;
    Ok(Engine::open(&account.dynamodb, &account.sqs, intercom, settings, machine_wall()).await?)
}

/// Compares the ledger with the workspace's state. Each returned line is a violated guarantee.
async fn compare(
    engine: &Engine,
    world: &World,
    plan: &Plan,
    run: &Run,
    cursor: &Cursor,
) -> Result<Vec<String>, CommandError> {
    let mut problems = Vec::new();
    let ledger = &engine.clients.ledger;
    let errors: BTreeSet<String> = ledger.errors(run).await?.into_iter().map(|row| row.user).collect();
    let plan = plan.on_day_of(run.day_s());
    let lacks = |user: &User| plan.evaluate(user).patch.is_some() && !errors.contains(user.id().as_str());
    let lacking = world.users().into_iter().filter_map(User::new).filter(lacks).count();
    if lacking > 0 && run.state == State::Complete {
        problems.push(format!("{lacking} users lack the plan's value although the run is complete"));
    }
    let by_bucket = jobs(ledger, run).await?;
    let state = world.state();
    if run.api != Api::V1 {
        let written = ledger.accounts(run, cursor).await?.totals.written;
        // A write whose answer a fault withholds is sent again, and the workspace counts both.
        let agrees =
            if state.fired.is_empty() { written == state.contacts.written } else { written <= state.contacts.written };
        if !agrees {
            problems
                .push(format!("the workspace has {} writes, and the ledger {written} results", state.contacts.written));
        }
    }
    for job in state.jobs.iter().filter(|job| job.answered) {
        let bucket = Bucket::of(job.created_at_ms, Width::MINUTE).to_string();
        let known = by_bucket.get(&bucket).is_some_and(|rows| rows.iter().any(|row| row.job.as_str() == job.id));
        if !known {
            problems.push(format!("job {} is not in the ledger under {bucket}", job.id));
        }
    }
    let open = by_bucket.values().flatten().filter(|row| row.end.is_none()).count();
    if open > 0 && run.state.ended() && run.state != State::Failed {
        problems.push(format!("the end of {open} jobs is not known"));
    }
    Ok(problems)
}
