//! `put` and `start`, and where the other commands find a deployed stack.

use std::path::PathBuf;

use clap::Args;
use intercom_bulk::aws::Aws;
use intercom_bulk::ledger::Ledger;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::bounds::{Bounds, run_of};
use super::{CommandError, run};
use crate::output;
use crate::stack::{account, output};
use intercom_bulk_emulator::engine::machine_wall;

const CODES: &str = "Exit codes: 0 done · 1 failed · 64 wrong usage: an argument, a plan, a stack or credentials are missing, \
    and nothing was started";

/// A stack on AWS, or behind `AWS_ENDPOINT_URL`. Region and keys are the environment's, or the AWS CLI's.
#[derive(Clone, Debug, Args)]
pub(super) struct Deployed {
    /// A deployed stack, by its name; its table and queue are among its outputs
    #[arg(long, value_name = "NAME")]
    stack: Option<String>,
    /// The ledger's table, instead of a stack
    #[arg(long, value_name = "TABLE", env = "LEDGER_TABLE")]
    ledger_table: Option<String>,
}

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk put [OPTIONS] <PLAN>", after_help = CODES)]
pub(super) struct Put {
    /// The plan, a TOML or JSON file; it is stored under the name it bears
    plan: PathBuf,
    /// One JSON object, on standard output
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    deployed: Deployed,
}

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk start [OPTIONS] <PLAN>", after_help = CODES)]
pub(super) struct Start {
    /// The name of a stored plan
    plan: String,
    #[command(flatten)]
    bounds: Bounds,
    /// One JSON object, on standard output
    #[arg(long)]
    json: bool,
    /// The pages queue, instead of a stack
    #[arg(long, value_name = "URL", env = "PAGES_QUEUE_URL")]
    pages_queue_url: Option<String>,
    #[command(flatten)]
    deployed: Deployed,
}

impl Deployed {
    /// Whether one was named.
    pub(super) fn is_named(&self) -> bool {
        self.stack.is_some() || self.ledger_table.is_some()
    }

    /// Its ledger.
    pub(super) async fn ledger(&self) -> Result<Ledger, CommandError> {
        self.named("LEDGER_TABLE")?;
        self.ledger_of(&account().await?).await
    }

    /// Refuses where neither a stack nor a table is named: credentials are worth asking for only then.
    fn named(&self, variable: &str) -> Result<(), CommandError> {
        if self.is_named() { Ok(()) } else { Err(unnamed(variable)) }
    }

    async fn ledger_of(&self, aws: &Aws) -> Result<Ledger, CommandError> {
        let table = match (&self.ledger_table, &self.stack) {
            (_, Some(stack)) => output(aws, stack, "LedgerTable", machine_wall()()).await?,
            (Some(table), None) => table.clone(),
            (None, None) => return Err(unnamed("LEDGER_TABLE")),
        };
        Ok(Ledger::new(aws.dynamodb(), table))
    }
}

fn unnamed(variable: &str) -> CommandError {
    CommandError::Usage(format!("which stack? --stack NAME, or {variable}"))
}

impl Put {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let plan = run::read_plan(&self.plan)?;
        let ledger = self.deployed.ledger().await?;
        ledger.put_plan(plan.name(), &plan.to_json()).await?;
        for warning in plan.warnings() {
            output::note(self.json, &format!("Warning: {warning}"));
        }
        if self.json {
            output::json(&json!({ "plan": plan.name() }));
        } else {
            output::line(&format!(
                "Plan {} is stored. A run that is under way keeps the one it began with.",
                plan.name()
            ));
        }
        Ok(0)
    }
}

impl Start {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        self.deployed.named("LEDGER_TABLE")?;
        if self.deployed.stack.is_none() && self.pages_queue_url.is_none() {
            return Err(unnamed("PAGES_QUEUE_URL"));
        }
        let aws = account().await?;
        let ledger = self.deployed.ledger_of(&aws).await?;
        if ledger.stored_plan(&self.plan).await?.is_none() {
            let words = format!("there is no plan \"{}\" in the ledger: store it with `put FILE` first", self.plan);
            return Err(CommandError::Usage(words));
        }
        let queue = match (&self.pages_queue_url, &self.deployed.stack) {
            (_, Some(stack)) => output(&aws, stack, "PagesQueueUrl", machine_wall()()).await?,
            (Some(url), None) => url.clone(),
            (None, None) => return Err(unnamed("PAGES_QUEUE_URL")),
        };
        let mut at = Timestamp::from_second(machine_wall()() / 1000).unwrap_or(Timestamp::UNIX_EPOCH);
        // The same start in the same second has the same name, as a run or as a start that waits.
        let waiting = ledger.waiting().await?;
        let (start, id) = loop {
            let start = self.bounds.start(&json!(self.plan), at);
            let id = run_of(&start)?;
            if waiting.iter().all(|waits| waits.start.run() != id) && ledger.run(&id).await?.is_none() {
                break (start, id);
            }
            at = at.saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
        };
        let sent = aws.sqs().send_message().queue_url(queue).message_body(start.to_string()).send().await;
        sent.map_err(|error| {
            CommandError::Step(format!("the start could not be sent: {}", error.into_service_error()))
        })?;
        if self.json {
            output::json(&json!({ "run": id }));
        } else {
            let behind = match ledger.active().await?.run {
                Some(active) if active != id => format!(" It waits for the end of {active}."),
                _ => String::new(),
            };
            output::line(&format!("Run {id} is asked for; `status --run {id}` shows it.{behind}"));
        }
        Ok(0)
    }
}
