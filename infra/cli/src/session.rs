//! An engine at work in this process: started with an event, watched until the run has ended, stopped in order.

use std::io::IsTerminal;
use std::time::Duration;

use intercom_bulk::domain::run::{Cursor, Phase, Run, RunId};
use intercom_bulk::ledger::LedgerError;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::jobs_seen::{Jobs, JobsSeen};
use crate::output;
use crate::progress::{Progress, Sample};
use crate::stop::Stops;
use intercom_bulk_emulator::engine::Engine;

/// Between looks at the run.
const LOOK: Duration = Duration::from_millis(200);
/// Between progress lines where they cannot be drawn over each other.
const LINE: Duration = Duration::from_secs(5);
/// A wait from which on its whole reason is shown on a line of its own: a terminal cuts the progress line.
const LONG_WAIT_MS: i64 = 30_000;
/// Between two counts of the jobs, and this many times as long as the last one took: a count reads many rows.
const COUNT: Duration = Duration::from_secs(1);
const COUNT_RESTS: u32 = 20;
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
    /// Ctrl-C, SIGTERM or SIGHUP: the ledger has everything to go on with.
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
    let mut stops = Stops::listen();
    let (stop, stopped) = watch::channel(false);
    let engine = engine.stopped_by(stopped.clone());
    let working = tokio::spawn({
        let engine = engine.clone();
        async move { engine.run(stopped).await }
    });
    let started = tokio::select! {
        started = engine.scroll(event) => started.map(|_| true).map_err(SessionError::Refused),
        // What a start has not committed by then was not started.
        () = stops.next() => Ok(false),
    };
    let watched = match started {
        Ok(true) => watch_run(&engine, run, quiet, &mut stops).await,
        Ok(false) => Ok(Session::Interrupted),
        Err(refused) => Err(refused),
    };
    let _ = stop.send(true);
    finish(&engine, working, matches!(watched, Ok(Session::Interrupted)), &mut stops).await;
    watched
}

/// Lets the requests that are under way come to their end and be recorded, unless a second signal asks for an end at
/// once: that leaves what a crash leaves.
async fn finish(engine: &Engine, mut working: JoinHandle<()>, interrupted: bool, stops: &mut Stops) {
    let patience = if interrupted { Duration::ZERO } else { PATIENCE };
    tokio::select! {
        biased;
        () = stops.next() => return working.abort(),
        done = tokio::time::timeout(patience, &mut working) => {
            if done.is_ok() {
                return;
            }
        }
    }
    let life = Duration::from_millis(engine.clients.settings.job_life_ms.max(0).unsigned_abs());
    output::note(false, &finishing(&engine.under_way(), interrupted, life));
    tokio::select! {
        _ = &mut working => {}
        () = stops.next() => working.abort(),
    }
}

/// States what a stop waits for, and what it costs not to wait. It is shown with `--json`, too: an operator kills a command
/// that hangs in silence.
fn finishing(steps: &[&str], interrupted: bool, job_life: Duration) -> String {
    let steps_words = if steps.is_empty() { "the steps".to_owned() } else { steps.join(" and ") };
    let again = if interrupted { "Ctrl-C again" } else { "Ctrl-C" };
    let cost = if steps.contains(&"submit") {
        let life = output::duration(job_life);
        format!(
            ", and costs up to {life}: whether Intercom took the bulk request under way is then not known, and the next \
             start waits until it can set no value any more"
        )
    } else {
        "; no user is lost by it".to_owned()
    };
    format!(
        "Waits for {steps_words} to finish the requests under way, which takes seconds. {again} stops at once{cost}."
    )
}

async fn watch_run(engine: &Engine, id: &RunId, quiet: bool, stops: &mut Stops) -> Result<Session, SessionError> {
    let began = Instant::now();
    let mut progress = Progress::new(quiet, std::io::stderr().is_terminal());
    let mut next_line = began;
    let mut watched = Watched::new(engine, began);
    let mut shown_wait = None;
    loop {
        tokio::select! {
            () = stops.next() => {
                progress.stop();
                return Ok(Session::Interrupted);
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        let found = engine.clients.ledger.run(id).await?.zip(engine.clients.ledger.cursor(id).await?);
        let Some((run, cursor)) = found else {
            // It waits behind the run that is active.
            if engine.clients.ledger.waiting().await?.iter().any(|waiting| waiting.start.run() == *id) {
                continue;
            }
            return Err(SessionError::Gone(id.clone()));
        };
        let over = run.state.ended() || run.state == intercom_bulk::domain::run::State::Paused;
        let now = Instant::now();
        if cursor.waits != shown_wait
            && let Some(words) = long_wait(&cursor, engine.now_ms())
        {
            shown_wait.clone_from(&cursor.waits);
            progress.end();
            output::note(quiet, &words);
        }
        if over {
            progress.end();
            return Ok(Session::Over { run: Box::new(run), cursor: Box::new(cursor), took: now - began });
        }
        let sample = watched.sample(&run, &cursor, now).await?;
        if progress.is_live() || now >= next_line {
            next_line = now + LINE;
            progress.show(&sample);
        }
    }
}

/// What is remembered of a run between two looks at it.
struct Watched<'a> {
    engine: &'a Engine,
    /// When the present generation had read nothing.
    unread: (u32, Instant),
    seen: JobsSeen,
    jobs: Jobs,
    count_at: Instant,
}

impl<'a> Watched<'a> {
    fn new(engine: &'a Engine, began: Instant) -> Self {
        Self { engine, unread: (0, began), seen: JobsSeen::default(), jobs: Jobs::default(), count_at: began }
    }

    /// The run at this moment. Its jobs are counted more seldom than it is looked at, and at once in a new generation.
    async fn sample(&mut self, run: &Run, cursor: &Cursor, now: Instant) -> Result<Sample, LedgerError> {
        let is_new = self.unread.0 != run.generation;
        if is_new || cursor.tally.users == 0 {
            self.unread = (run.generation, now);
        }
        if is_new || now >= self.count_at {
            self.jobs = self.seen.read(&self.engine.clients.ledger, run).await?;
            self.count_at = now + COUNT.max(now.elapsed() * COUNT_RESTS);
        }
        let settings = &self.engine.clients.settings;
        let tail = Duration::from_millis(settings.pace.look_first_ms as u64) + self.engine.ticks.1;
        let sample = Sample::of(run, cursor, &self.jobs, self.engine.now_ms(), now - self.unread.1, tail);
        Ok(sample.held(self.engine.done.held().filter(|_| run.state.submits())))
    }
}

/// A long wait with its reason and the time of day when it is over at the latest; none where nothing waits for long.
fn long_wait(cursor: &Cursor, now_ms: i64) -> Option<String> {
    let why = cursor.waits.as_ref().filter(|_| cursor.phase != Phase::Ended)?;
    let left_ms = cursor.waits_until_ms() - now_ms;
    let until = Timestamp::from_millisecond(cursor.waits_until_ms()).ok()?.strftime("%H:%M:%S");
    let left = output::duration(Duration::from_millis(left_ms.max(0).unsigned_abs()));
    (left_ms >= LONG_WAIT_MS).then(|| format!("Waits until {until} UTC ({left}) at the latest: {why}."))
}

#[cfg(test)]
mod tests {
    use intercom_bulk::domain::run::SCROLL_LIFE_MS;

    use super::*;

    #[test]
    fn a_long_wait_is_shown_whole_with_its_time_of_day() {
        let mut cursor = Cursor::first(RunId::of("p", 0), 65_000, SCROLL_LIFE_MS);
        assert_eq!(long_wait(&cursor, 0), None, "nothing is waited for");
        cursor.waits = Some("a bulk request was under way".to_owned());
        assert_eq!(
            long_wait(&cursor, 0).as_deref(),
            Some("Waits until 00:01:05 UTC (1 min 5 s) at the latest: a bulk request was under way.")
        );
        assert_eq!(long_wait(&cursor, 40_000), None, "a short one is in the progress line");
        cursor.waits_until_ms = Some(900_000);
        let whole = long_wait(&cursor, 40_000).unwrap();
        assert!(
            whole.starts_with("Waits until 00:15:00 UTC (14 min 20 s)"),
            "the whole wait, not its next look: {whole}"
        );
    }

    #[test]
    fn a_stop_says_what_it_waits_for() {
        let words = finishing(&["scroll", "submit"], true, Duration::from_mins(15));
        assert_eq!(
            words,
            "Waits for scroll and submit to finish the requests under way, which takes seconds. Ctrl-C again stops at \
             once, and costs up to 15 min 0 s: whether Intercom took the bulk request under way is then not known, and \
             the next start waits until it can set no value any more."
        );
        assert_eq!(
            finishing(&[], false, Duration::ZERO),
            "Waits for the steps to finish the requests under way, which takes seconds. Ctrl-C stops at once; no user is \
             lost by it."
        );
    }
}
