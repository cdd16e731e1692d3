//! `pause` and `cancel`: an operator's requests for a run, on this machine or on a stack.

use clap::Args;
use intercom_bulk::domain::clock::Clock;
use intercom_bulk::domain::run::RunId;
use intercom_bulk::runtime::event::{ControlEvent, Target};
use intercom_bulk::steps::control;
use serde_json::{Value, json};

use super::CommandError;
use super::completions::runs;
use super::ledger_options::LedgerOptions;
use super::stack_options::StackOptions;
use crate::output;
use crate::stack;
use intercom_bulk_emulator::engine::machine_wall;

/// The exit codes of `pause` and `cancel`, for their help.
const CODES: &str = "Exit codes: 0 done, or it was so already · 1 failed, or the run has ended otherwise · 64 wrong usage: no run is active, \
                     no such run (with --stack 1), or a stack or credentials are missing";

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk pause [OPTIONS] [RUN]", after_help = CODES)]
#[command(long_about = "Pause a run: it keeps its place until `resume`.\n\n\
    The page and the bulk job under way are finished. No further page is read and no further job is made; jobs that \
    Intercom has taken go on. Starts wait behind the run, also those of a schedule; `start --supersede` ends it. Its \
    deadline stands still. After 30 days, over all pauses, it is cancelled.\n\n\
    With API 1.x a scroll expires within a minute. `resume` then reads the users again; those that are done cost a read \
    and no write.\n\n\
    On this machine a `run` at work ends with exit code 4.")]
pub(super) struct Pause {
    #[command(flatten)]
    of: Requested,
}

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk cancel [OPTIONS] [RUN]", after_help = CODES)]
#[command(long_about = "End a run for good; users that are changed stay changed.\n\n\
    The page and the bulk job under way are finished. What is queued is dropped. Jobs that Intercom has taken are \
    carried out; `status` counts them until the last one is closed. A start that waits begins next.")]
pub(super) struct Cancel {
    #[command(flatten)]
    of: Requested,
    /// The reason, for `status` and `history`
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// The run of a request, and its ledger.
#[derive(Debug, Args)]
struct Requested {
    /// The run [default: the active one]
    #[arg(value_name = "RUN", value_parser = run_id, add = runs())]
    run: Option<RunId>,
    #[command(flatten)]
    from: LedgerOptions,
}

/// Parses the id of a run.
pub(super) fn run_id(text: &str) -> Result<RunId, String> {
    let wrong = "expected the id of a run, such as has-avatar.20161124T100500Z; `history` lists them";
    RunId::parse(text).ok_or_else(|| wrong.to_owned())
}

/// Returns the run that a command line names.
pub(super) fn target(run: Option<RunId>) -> Target {
    run.map_or(Target::Active, Target::Run)
}

impl Pause {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let event = ControlEvent::Pause(target(self.of.run.clone()));
        self.of.carry_out(&event, "paused").await
    }
}

impl Cancel {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        let event = ControlEvent::Cancel { target: target(self.of.run.clone()), reason: self.reason };
        self.of.carry_out(&event, "cancelled").await
    }
}

impl Requested {
    /// Carries the event out and shows its outcome. `wanted` is the state that it asks for.
    async fn carry_out(&self, event: &ControlEvent, wanted: &str) -> Result<u8, CommandError> {
        let outcome = if let Some(deployed) = self.from.deployed() {
            invoke(deployed, event).await?
        } else {
            // The ledger's file can be written while a `run` works on it. That notices within a
            // second.
            let (ledger, _) = self.from.ledger_and_folder().await?;
            let done = control::stop(&ledger, event, Clock::starting_at(machine_wall()())).await;
            json!(done.map_err(|error| CommandError::Usage(error.to_string()))?)
        };
        show(&outcome, self.from.json)?;
        Ok(u8::from(outcome["state"] != wanted))
    }
}

/// Invokes the control function of a stack.
pub(super) async fn invoke(deployed: &StackOptions, event: &ControlEvent) -> Result<Value, CommandError> {
    let Some(name) = &deployed.stack else {
        let words = "which stack? --stack NAME. Without a stack, invoke the function control with a file of events/";
        return Err(CommandError::Usage(words.to_owned()));
    };
    let aws = stack::account().await?;
    Ok(stack::control(&aws, name, &event.to_json(), machine_wall()()).await?)
}

/// Shows the outcome of a request.
///
/// # Errors
/// Wrong usage if no run is active.
pub(super) fn show(outcome: &Value, json: bool) -> Result<(), CommandError> {
    if outcome["run"].is_null() {
        let words = "no run is active; `history` lists the runs, and `status --run ID` shows a start that waits";
        return Err(CommandError::Usage(words.to_owned()));
    }
    output::result(json, outcome, || words(outcome));
    Ok(())
}

/// Returns the outcome of a request in words.
fn words(outcome: &Value) -> String {
    let text = |key: &str| outcome[key].as_str().unwrap_or_default();
    let (run, state) = (text("run"), text("state"));
    match text("did") {
        "paused" => format!(
            "Run {run} is paused. The page and the job under way are finished. `resume` continues it; until then starts \
             wait behind it."
        ),
        "cancelled" => format!(
            "Run {run} is cancelled. Jobs that Intercom has taken are carried out; `status --run {run}` counts them."
        ),
        "resumed" => format!("Run {run} continues: it is {state}."),
        "requested" => format!("Run {run} is requested: {}. `status --run {run}` shows it.", text("hint")),
        "released" => format!("Run {run} is released: {}.", text("hint")),
        _ if state.is_empty() => format!("Nothing was changed: run {run} waits; {}.", text("hint")),
        _ => format!("Nothing was changed: run {run} is {state}; {}.", text("hint")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_one_sentence_for_the_operator() {
        let said = |did: &str, state: &str| words(&json!({"did": did, "run": "p.1", "state": state, "hint": "why"}));
        assert!(said("paused", "paused").starts_with("Run p.1 is paused. "));
        assert!(said("cancelled", "cancelled").contains("`status --run p.1`"));
        assert_eq!(said("resumed", "draining"), "Run p.1 continues: it is draining.");
        assert_eq!(said("nothing", "complete"), "Nothing was changed: run p.1 is complete; why.");
        assert_eq!(said("requested", ""), "Run p.1 is requested: why. `status --run p.1` shows it.");
        assert_eq!(said("nothing", ""), "Nothing was changed: run p.1 waits; why.");
        let nothing = show(&json!({"did": "nothing", "hint": "no run is active"}), true);
        assert!(matches!(nothing, Err(CommandError::Usage(_))));
    }
}
