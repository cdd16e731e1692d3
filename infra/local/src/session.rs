//! An engine at work in this process: started with an event, watched until the run has ended, stopped in order.

use std::io::IsTerminal;
use std::time::Duration;

use intercom_bulk::ledger::LedgerError;
use intercom_bulk::run::{Cursor, Run, RunId};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::progress::{Progress, Sample};
use crate::show;

/// Between looks at the run.
const LOOK: Duration = Duration::from_millis(200);
/// Between progress lines where they cannot be drawn over each other.
const LINE: Duration = Duration::from_secs(5);

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
    // Steps that are under way finish; their claims are short, so that a crash here would lose nothing either.
    let _ = working.await;
    watched
}

async fn watch_run(engine: &Engine, id: &RunId, quiet: bool) -> Result<Session, SessionError> {
    let began = Instant::now();
    let mut progress = Progress::new(quiet, std::io::stderr().is_terminal());
    let mut next_line = began;
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
        if over || progress.is_live() || now >= next_line {
            next_line = now + LINE;
            progress.show(&Sample::take(engine, &run, &cursor, now - began));
        }
        if over {
            progress.end();
            show::note(quiet, "");
            return Ok(Session::Over { run: Box::new(run), cursor: Box::new(cursor), took: now - began });
        }
    }
}
