//! The progress line: how far, how fast, how long still, and why it waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use intercom_bulk::run::{Cursor, Phase, Run, State};

use crate::engine::Engine;
use crate::show;

/// No estimate before so much of the work is done: the first pages say little.
const ESTIMATE_FROM: f64 = 0.01;

/// A run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    state: State,
    generation: u32,
    page: u32,
    users: u64,
    count: Option<u64>,
    patches: u64,
    submitted: u64,
    jobs: u64,
    closed: u64,
    waits: Option<String>,
    elapsed: Duration,
}

impl Sample {
    /// Takes what is known.
    pub fn take(engine: &Engine, run: &Run, cursor: &Cursor, elapsed: Duration) -> Self {
        let done = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let left_ms = cursor.not_before_ms - engine.now_ms();
        let waits = cursor.waits.clone().filter(|_| cursor.phase != Phase::Ended && run.state == State::Running);
        Self {
            state: run.state,
            generation: run.generation,
            page: cursor.page,
            users: cursor.tally.users,
            count: run.listed.or(run.count).map(|count| run.rails.limit.map_or(count, |limit| limit.min(count))),
            patches: cursor.tally.patches,
            submitted: done(&engine.done.submitted),
            jobs: done(&engine.done.jobs),
            closed: done(&engine.done.closed),
            waits: waits.map(|why| if left_ms > 1_000 { format!("{why}, {} s", left_ms / 1000) } else { why }),
            elapsed,
        }
    }

    /// The line.
    pub fn line(&self) -> String {
        let seconds = self.elapsed.as_secs_f64().max(0.001);
        let mut line = format!("{}: page {}, {} users", self.state, self.page, self.users);
        if let Some(count) = self.count.filter(|count| *count > 0) {
            let percent = (100.0 * self.users as f64 / count as f64).min(100.0);
            line.push_str(&format!(" of {count} ({percent:.0} %)"));
        }
        line.push_str(&format!(", {:.0} users/s", self.users as f64 / seconds));
        line.push_str(&format!(
            ", {} to change, {} in {} jobs, {} ended",
            self.patches, self.submitted, self.jobs, self.closed
        ));
        if self.generation > 1 {
            line.push_str(&format!(", generation {}", self.generation));
        }
        match (&self.waits, self.left()) {
            (Some(why), _) => line.push_str(&format!(" | waits: {why}")),
            (None, Some(left)) => line.push_str(&format!(" | {} left", show::duration(left))),
            (None, None) if self.state == State::Draining => line.push_str(&format!(" | {}", self.draining())),
            (None, None) => {}
        }
        line
    }

    fn draining(&self) -> &'static str {
        if self.submitted < self.patches {
            "submits what is left, as fast as the rate limit lets it"
        } else {
            "waits for Intercom to end the jobs"
        }
    }

    /// The time left, by the slower of reading and submitting.
    fn left(&self) -> Option<Duration> {
        let left = |done: u64, all: u64| {
            let share = done as f64 / all.max(1) as f64;
            (share >= ESTIMATE_FROM && done < all).then(|| self.elapsed.mul_f64((1.0 - share) / share))
        };
        let reading = self.count.and_then(|count| left(self.users, count));
        // How many patches there will be is told by how many there were.
        let share = self.count.map_or(1.0, |count| (self.users as f64 / count.max(1) as f64).clamp(0.0001, 1.0));
        let submitting = left(self.submitted, (self.patches as f64 / share) as u64);
        reading.max(submitting)
    }
}

/// The line's place: drawn over on a terminal, one after the other elsewhere.
#[derive(Debug)]
pub struct Progress {
    quiet: bool,
    live: bool,
    drawn: bool,
}

impl Progress {
    /// Progress for a person at a terminal (`live`), a log, or nobody.
    pub fn new(quiet: bool, live: bool) -> Self {
        Self { quiet, live: live && !quiet, drawn: false }
    }

    /// Whether the line is drawn over.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Shows a sample.
    pub fn show(&mut self, sample: &Sample) {
        if self.live {
            show::draw(&sample.line());
            self.drawn = true;
        } else {
            show::note(self.quiet, &sample.line());
        }
    }

    /// Leaves the last line standing.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.drawn) {
            show::note(self.quiet, "");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        Sample {
            state: State::Running,
            generation: 1,
            page: 50,
            users: 5_000,
            count: Some(20_000),
            patches: 4_000,
            submitted: 1_000,
            jobs: 10,
            closed: 4,
            waits: None,
            elapsed: Duration::from_secs(10),
        }
    }

    #[test]
    fn the_slower_of_reading_and_submitting_tells_what_is_left() {
        // A quarter is read, a sixteenth submitted: 150 s at this pace.
        assert_eq!(sample().left().map(|left| left.as_secs()), Some(150));
        assert!(sample().line().ends_with("| 2 min 30 s left"), "{}", sample().line());
    }

    #[test]
    fn a_wait_says_why() {
        let line = Sample { waits: Some("another scroll is open, 64 s".into()), ..sample() }.line();
        assert!(line.ends_with("| waits: another scroll is open, 64 s"), "{line}");
    }
}
