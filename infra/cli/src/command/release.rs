//! `release`: lets later runs begin before the jobs of an ended run are closed.

use std::io::IsTerminal;

use clap::Args;
use intercom_bulk::domain::clock::Clock;
use intercom_bulk::domain::run::RunId;
use intercom_bulk::runtime::config::{Pace, Settings, environment};
use intercom_bulk::runtime::event::ControlEvent;
use intercom_bulk::steps::control;
use serde_json::json;

use super::CommandError;
use super::completions::runs;
use super::control::{invoke, run_id, show};
use super::ledger_options::LedgerOptions;
use crate::output;
use intercom_bulk_emulator::engine::machine_wall;

/// The exit codes of `release`, for its help.
const CODES: &str = "Exit codes: 0 released, or no run waits for it · 1 failed, not confirmed, or the run has not ended · 64 wrong usage: no \
                     such run (with --stack 1), no terminal and no --yes, or a stack or credentials are missing";

#[derive(Debug, Args)]
#[command(override_usage = "intercom-bulk release [OPTIONS] <RUN>", after_help = CODES)]
#[command(long_about = "Let later runs begin before the jobs of an ended run are closed.\n\n\
    A run waits until Intercom has closed every job of the runs before it, because a job that is carried out late would \
    overwrite newer values by older ones. `status` names the job, and since when it is waited for. Release its run if that \
    job will not end, or if its values do no harm. The requests of the run are still waited for, which takes minutes.\n\n\
    An older value may come later, and the run's reason says so from then on.")]
pub(super) struct Release {
    /// The ended run
    #[arg(value_name = "RUN", value_parser = run_id, add = runs())]
    run: RunId,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    from: LedgerOptions,
}

impl Release {
    pub(super) async fn run(self) -> Result<u8, CommandError> {
        if !self.yes && !self.confirmed()? {
            output::note(false, "Nothing was changed.");
            return Ok(1);
        }
        let outcome = if let Some(deployed) = self.from.deployed() {
            invoke(deployed, &ControlEvent::Release(self.run.clone())).await?
        } else {
            let (ledger, _) = self.from.ledger_and_folder().await?;
            let settings = Settings { pace: Pace::LOCAL, ..Settings::read(environment)? };
            let clock = Clock::starting_at(machine_wall()());
            let done = control::release(&ledger, &self.run, &settings.settle_times(), clock).await;
            json!(done.map_err(|error| CommandError::Usage(error.to_string()))?)
        };
        show(&outcome, self.from.json)?;
        // An unsettled run has ended.
        Ok(u8::from(["running", "draining", "verifying", "paused"].iter().any(|state| outcome["state"] == *state)))
    }

    fn confirmed(&self) -> Result<bool, CommandError> {
        output::note(
            false,
            &format!("Later runs will not wait for the jobs of {}: an older value may come later.", self.run),
        );
        if !std::io::stdin().is_terminal() {
            return Err(CommandError::Usage("answer at a terminal, or add --yes".to_owned()));
        }
        Ok(output::confirm("Release it?"))
    }
}
