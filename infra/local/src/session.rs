//! An engine at work in this process: started with an event, watched until the run has ended, stopped in order.

use std::io::IsTerminal;
use std::time::Duration;

use intercom_bulk::ledger::LedgerError;
use intercom_bulk::run::{Cursor, Run, RunId};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::progress::{Progress, Sample};
use crate::show;

/// Between looks at the run.
const LOOK: Duration = Duration::from_millis(200);
/// Between progress lines where they cannot be drawn over each other.
const LINE: Duration = Duration::from_secs(5);
/// How long steps may finish behind a run's end before it is said that they do.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a session ended.
#[derive(Debug)]
pub enum Session {
    /// The run ended, or waits for a decision.
    Over {
        /// The run.
        run: Box<Run>,
        /// Where its pages stand.
        cursor: Box<Cursor>,
        /// How long this session worked on it.
        took: Duration,
    },
    /// Ctrl-C: the ledger has everything to go on with.
    Interrupted,
}

/// Why a session could not go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// Scroll refused the event.
    #[error("{0}")]
    Refused(String),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The run is not in the ledger although it was started.
    #[error("the run {0} is not in the ledger: was its state removed meanwhile?")]
    Gone(RunId),
}

/// Sends `event` to scroll and drives the steps until `run` has ended or pauses, or the user stops it.
pub async fn drive(engine: &Engine, event: Value, run: &RunId, quiet: bool) -> Result<Session, SessionError> {
    let (stop, stopped) = watch::channel(false);
    let working = tokio::spawn({
        let engine = engine.clone();
        async move { engine.run(stopped).await }
    });
    let started = engine.scroll(event).await.map_err(SessionError::Refused);
    let watched = match started {
        Ok(_) => watch_run(engine, run, quiet).await,
        Err(refused) => Err(refused),
    };
    let _ = stop.send(true);
    finish(engine, working, matches!(watched, Ok(Session::Interrupted))).await;
    watched
}

/// Lets the steps that are under way come to their end, unless the user does not wait for them: what they leave is what
/// a crash leaves, and that loses nothing.
async fn finish(engine: &Engine, mut working: JoinHandle<()>, interrupted: bool) {
    let again = tokio::signal::ctrl_c();
    tokio::pin!(again);
    let patience = if interrupted { Duration::ZERO } else { PATIENCE };
    tokio::select! {
        biased;
        _ = &mut again => return working.abort(),
        done = tokio::time::timeout(patience, &mut working) => {
            if done.is_ok() {
                return;
            }
        }
    }
    show::note(false, &finishing(&engine.under_way(), interrupted));
    tokio::select! {
        _ = &mut working => {}
        _ = &mut again => working.abort(),
    }
}

/// What is waited for after a stop. It is said in JSON's mode, too: a command that hangs in silence is killed.
fn finishing(steps: &[&str], interrupted: bool) -> String {
    let steps = if steps.is_empty() { "the steps".to_owned() } else { steps.join(" and ") };
    let limit = if steps.contains("submit") { ", which may wait for the rate limit" } else { "" };
    let again = if interrupted { "Ctrl-C again" } else { "Ctrl-C" };
    format!("Waits for {steps} to finish{limit}. {again} stops now; nothing is lost by it.")
}

async fn watch_run(engine: &Engine, id: &RunId, quiet: bool) -> Result<Session, SessionError> {
    let began = Instant::now();
    let mut progress = Progress::new(quiet, std::io::stderr().is_terminal());
    let mut next_line = began;
    // A generation reads everybody again: its rate and its estimate begin with it.
    let mut generation: Option<(u32, Instant)> = None;
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    loop {
        tokio::select! {
            _ = &mut interrupted => {
                progress.end();
                return Ok(Session::Interrupted);
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        let found = engine.clients.ledger.run(id).await?.zip(engine.clients.ledger.cursor(id).await?);
        let Some((run, cursor)) = found else {
            // It waits behind the run that is active.
            if engine.clients.ledger.waiting().await?.iter().any(|start| start.run() == *id) {
                continue;
            }
            return Err(SessionError::Gone(id.clone()));
        };
        let over = run.state.ended() || run.state == intercom_bulk::run::State::Paused;
        let now = Instant::now();
        let since = match generation {
            None => began,
            Some((number, since)) if number == run.generation => since,
            Some(_) => now,
        };
        generation = Some((run.generation, since));
        if over || progress.is_live() || now >= next_line {
            next_line = now + LINE;
            progress.show(&Sample::take(engine, &run, &cursor, now - since));
        }
        if over {
            progress.end();
            show::note(quiet, "");
            return Ok(Session::Over { run: Box::new(run), cursor: Box::new(cursor), took: now - began });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_says_what_it_waits_for() {
        let words = finishing(&["scroll", "submit"], true);
        assert_eq!(
            words,
            "Waits for scroll and submit to finish, which may wait for the rate limit. Ctrl-C again stops now; nothing \
             is lost by it."
        );
        assert_eq!(finishing(&[], false), "Waits for the steps to finish. Ctrl-C stops now; nothing is lost by it.");
    }
}
