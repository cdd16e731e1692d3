//! An engine in this process: starts with an event, watches the run until its end, then stops.

use std::io::IsTerminal;
use std::time::Duration;

use intercom_bulk::domain::run::{Cursor, Phase, Run, RunId};
use intercom_bulk::ledger::LedgerError;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::jobs_seen::{JobCounts, JobsSeen};
use crate::output;
use crate::progress::{Progress, Sample};
use crate::stop::Stops;
use intercom_bulk_emulator::engine::Engine;

/// The interval between reads of the run.
const LOOK: Duration = Duration::from_millis(200);
/// The interval between progress lines that are not replaced.
const LINE: Duration = Duration::from_secs(5);
/// The full reason of a wait of at least this length gets its own line; a terminal cuts progress.
const LONG_WAIT_MS: i64 = 30_000;
/// The minimum interval between counts of the jobs, because a count reads many rows. The interval
/// is also at least this multiple of the last count's duration.
const COUNT: Duration = Duration::from_secs(1);
const COUNT_RESTS: u32 = 20;
/// The time after a run's end after which a message names the unfinished steps.
const PATIENCE: Duration = Duration::from_secs(1);

/// The end of a session.
#[derive(Debug)]
pub enum Session {
    /// The run ended, or waits for a decision.
    Over {
        /// The run.
        run: Box<Run>,
        /// The cursor of its pages.
        cursor: Box<Cursor>,
        /// The time that this session worked on it.
        took: Duration,
    },
    /// Ctrl-C, SIGTERM or SIGHUP: the ledger has everything to resume the run.
    Interrupted,
}

/// The reason that a session failed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum SessionError {
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("the run {0} is not in the ledger: was its state removed during the run?")]
    Gone(RunId),
}

/// Sends `event` to its step and drives the steps until `run` ends or pauses, or the user stops it.
pub async fn drive(engine: &Engine, event: Value, run: &RunId, quiet: bool) -> Result<Session, SessionError> {
    let mut stops = Stops::listen();
    let (stop, stopped) = watch::channel(false);
    let engine = engine.stopped_by(stopped.clone());
    // Before the steps work: a restart ends the leases of the process before.
    let started = tokio::select! {
        started = engine.scroll(event) => started.map(|_| true).map_err(SessionError::Refused),
        // A start that is not committed by then did not happen.
        () = stops.next() => Ok(false),
    };
    let working = tokio::spawn({
        let engine = engine.clone();
        async move { engine.run(stopped).await }
    });
    let watched = match started {
        Ok(true) => watch_run(&engine, run, quiet, &mut stops).await,
        Ok(false) => Ok(Session::Interrupted),
        Err(refused) => Err(refused),
    };
    let _ = stop.send(true);
    finish(&engine, working, matches!(watched, Ok(Session::Interrupted)), &mut stops).await;
    watched
}

/// Lets running requests finish and records their outcome.
///
/// A second signal ends the process at once; this leaves the same state as a crash.
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
    let life = Duration::from_millis(engine.clients.settings.unknown_life_ms().max(0).unsigned_abs());
    output::note(false, &finishing(&engine.under_way(), interrupted, life));
    tokio::select! {
        _ = &mut working => {}
        () = stops.next() => working.abort(),
    }
}

/// Describes the steps that a stop waits for, and the cost of ending at once.
///
/// It is also printed with `--json`, because an operator kills a command that hangs silently.
fn finishing(steps: &[&str], interrupted: bool, job_life: Duration) -> String {
    let steps_words = if steps.is_empty() { "the steps".to_owned() } else { steps.join(" and ") };
    let again = if interrupted { "Ctrl-C again" } else { "Ctrl-C" };
    let cost = if steps.contains(&"submit") {
        let life = output::duration(job_life);
        format!(
            ", and costs up to {life}: it is then unknown whether Intercom took the current bulk request, so the next \
             start waits until its job can write no more values"
        )
    } else {
        "; this loses no user".to_owned()
    };
    format!(
        "Waiting for {steps_words} to finish the current requests, which takes seconds. {again} stops at once{cost}."
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
            // The start waits for the end of the active run.
            if engine.clients.ledger.waiting().await?.iter().any(|waiting| waiting.start.run() == *id) {
                continue;
            }
            return Err(SessionError::Gone(id.clone()));
        };
        let over = !run.state.works();
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
        let sample = sample.reading_back(&engine.clients.ledger, &run, engine.now_ms()).await?;
        if progress.is_live() || now >= next_line {
            next_line = now + LINE;
            progress.show(&sample);
        }
    }
}

/// The state between two reads of the run.
struct Watched<'a> {
    engine: &'a Engine,
    /// The generation, and the time at which it had read no page.
    unread: (u32, Instant),
    seen: JobsSeen,
    jobs: JobCounts,
    count_at: Instant,
}

impl<'a> Watched<'a> {
    fn new(engine: &'a Engine, began: Instant) -> Self {
        Self { engine, unread: (0, began), seen: JobsSeen::default(), jobs: JobCounts::default(), count_at: began }
    }

    /// Reads a sample. Counts jobs less often than it reads the run, and at once in a new
    /// generation.
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

/// Returns the reason of a long wait and its latest end as a time of day, if there is one.
fn long_wait(cursor: &Cursor, now_ms: i64) -> Option<String> {
    let why = cursor.waits.as_deref().filter(|_| cursor.phase != Phase::Ended).map(output::flags)?;
    let left_ms = cursor.waits_until_ms() - now_ms;
    let until = Timestamp::from_millisecond(cursor.waits_until_ms()).ok()?.strftime("%H:%M:%S");
    let left = output::duration(Duration::from_millis(left_ms.max(0).unsigned_abs()));
    (left_ms >= LONG_WAIT_MS).then(|| format!("Waiting until {until} UTC ({left}) at the latest: {why}."))
}

#[cfg(test)]
mod tests {
    use intercom_bulk::domain::run::EXCLUSIVE_LIFE_MS;

    use super::*;

    #[test]
    fn long_wait_is_shown_with_its_time_of_day() {
        let mut cursor = Cursor::first(RunId::of("p", 0), 65_000, EXCLUSIVE_LIFE_MS);
        assert_eq!(long_wait(&cursor, 0), None, "nothing is waited for");
        cursor.waits = Some("a bulk request was under way".to_owned());
        assert_eq!(
            long_wait(&cursor, 0).as_deref(),
            Some("Waiting until 00:01:05 UTC (1 min 5 s) at the latest: a bulk request was under way.")
        );
        assert_eq!(long_wait(&cursor, 40_000), None, "a short one is in the progress line");
        cursor.waits_until_ms = Some(900_000);
        let whole = long_wait(&cursor, 40_000).unwrap();
        assert!(
            whole.starts_with("Waiting until 00:15:00 UTC (14 min 20 s)"),
            "the whole wait, not its next look: {whole}"
        );
    }

    #[test]
    fn stop_names_the_steps_it_waits_for() {
        let words = finishing(&["scroll", "submit"], true, Duration::from_mins(15));
        assert_eq!(
            words,
            "Waiting for scroll and submit to finish the current requests, which takes seconds. Ctrl-C again stops at \
             once, and costs up to 15 min 0 s: it is then unknown whether Intercom took the current bulk request, so \
             the next start waits until its job can write no more values."
        );
        assert_eq!(
            finishing(&[], false, Duration::ZERO),
            "Waiting for the steps to finish the current requests, which takes seconds. Ctrl-C stops at once; this loses \
             no user."
        );
    }
}
