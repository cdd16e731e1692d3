//! `start`: starts a stored plan on a deployed stack.

use clap::Args;
use intercom_bulk::runtime::settings::PAGES_QUEUE_URL;
use serde_json::json;

use super::CommandError;
use super::bounds::Bounds;
use super::local::new_start;
use super::stack_options::{CODES, StackOptions, unnamed};
use crate::output;
use crate::stack::{account, output};
use intercom_bulk_emulator::engine::machine_wall;

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk start [OPTIONS] <PLAN>", after_help = CODES)]
pub(super) struct Start {
    /// The name of a stored plan
    plan: String,
    #[command(flatten)]
    bounds: Bounds,
    /// End the active run if it is paused, also if an operator paused it. Without it, this start
    /// waits behind a run that an operator paused
    #[arg(long)]
    supersede: bool,
    /// End the hold of the plan by an `undo`, and start it: it may set the restored values again
    #[arg(long)]
    unhold: bool,
    /// Print one JSON object, on standard output
    #[arg(long)]
    json: bool,
    /// URL of the pages queue, instead of a stack
    #[arg(long, value_name = "URL", env = PAGES_QUEUE_URL.name)]
    pages_queue_url: Option<String>,
    #[command(flatten)]
    deployed: StackOptions,
}

impl Start {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        self.deployed.check()?;
        if self.deployed.stack.is_none() && self.pages_queue_url.is_none() {
            return Err(unnamed(&PAGES_QUEUE_URL));
        }
        let aws = account().await?;
        let ledger = self.deployed.ledger_of(&aws).await?;
        let Some(stored) = ledger.stored_plan(&self.plan).await? else {
            let words = format!("there is no plan \"{}\" in the ledger: store it with `put FILE` first", self.plan);
            return Err(CommandError::Usage(words));
        };
        if let (Some(undo), false) = (stored.held, self.unhold) {
            let words = format!(
                "{undo} undid a run of \"{}\", and a start would set the values again: add --unhold, or store the plan again \
                 with `put FILE`",
                self.plan
            );
            return Err(CommandError::Usage(words));
        }
        let queue = match (&self.pages_queue_url, &self.deployed.stack) {
            (_, Some(stack)) => output(&aws, stack, "PagesQueueUrl", machine_wall()()).await?,
            (Some(url), None) => url.clone(),
            (None, None) => return Err(unnamed(&PAGES_QUEUE_URL)),
        };
        let event = |at| {
            let mut start = self.bounds.start(&json!(self.plan), at);
            if self.supersede {
                start["supersede"] = json!(true);
            }
            if self.unhold {
                start["unhold"] = json!(true);
            }
            start
        };
        let (start, id) = new_start(&ledger, event).await?;
        let sent = aws.sqs().send_message().queue_url(queue).message_body(start.to_string()).send().await;
        sent.map_err(|error| {
            CommandError::Step(format!("the start could not be sent: {}", error.into_service_error()))
        })?;
        if self.json {
            output::json(&json!({ "run": id }));
        } else {
            let behind = match ledger.active().await?.run.filter(|active| *active != id) {
                Some(active) => match ledger.run(&active).await? {
                    Some(run) if run.gives_way(self.supersede) => format!(" It ends {active}, which is paused."),
                    Some(run) if run.hold().is_some() => format!(
                        " It waits for the end of {active}, which an operator paused: `resume` or `cancel` that run, or start \
                         with --supersede."
                    ),
                    _ => format!(" It waits for the end of {active}."),
                },
                None => String::new(),
            };
            output::line(&format!("Run {id} is requested; `status --run {id}` shows it.{behind}"));
        }
        Ok(0)
    }
}
