//! The progress line: how far, how fast, how long still, and why it waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use intercom_bulk::run::{Cursor, Phase, Run, State};

use crate::engine::Engine;
use crate::show;

/// No estimate before so much of the work is done: the first pages say little.
const ESTIMATE_FROM: f64 = 0.01;
/// No rate before this time has passed.
const RATE_FROM: Duration = Duration::from_secs(1);

/// A run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    state: State,
    generation: u32,
    users: u64,
    count: Option<u64>,
    patches: u64,
    sent: Sent,
    /// Pages are turned: between two generations nothing moves that a rate or an estimate could tell of.
    turning: bool,
    /// A dry run sends nothing.
    dry_run: bool,
    waits: Option<String>,
    elapsed: Duration,
}

/// What was submitted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Users in bulk jobs.
    pub users: u64,
    /// Bulk jobs.
    pub jobs: u64,
    /// Those whose end is known.
    pub closed: u64,
}

impl Sample {
    /// Takes what an engine knows that works on the run's generation since `elapsed`.
    pub fn take(engine: &Engine, run: &Run, cursor: &Cursor, elapsed: Duration) -> Self {
        let done = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let done = Sent {
            users: done(&engine.done.submitted),
            jobs: done(&engine.done.jobs),
            closed: done(&engine.done.closed),
        };
        Self::of(run, cursor, done, engine.now_ms(), elapsed)
    }

    /// Makes it of a run's rows and what was submitted in the time that `elapsed`.
    pub fn of(run: &Run, cursor: &Cursor, sent: Sent, now_ms: i64, elapsed: Duration) -> Self {
        let left_ms = cursor.waits_until_ms() - now_ms;
        let waits = cursor.waits.as_ref().filter(|_| cursor.phase != Phase::Ended && run.state == State::Running);
        let waits = waits.map(|why| match left_ms {
            ..=1_000 => format!("waits: {why}"),
            _ => format!("waits {} s: {why}", left_ms / 1000),
        });
        let draining = match run.state {
            State::Draining if sent.users < cursor.tally.patches => {
                Some("submits what is left, as fast as the rate limit lets it")
            }
            State::Draining => Some("waits for Intercom to end the jobs"),
            _ => None,
        };
        Self {
            state: run.state,
            generation: run.generation,
            users: cursor.tally.users,
            count: run.listed.or(run.count).map(|count| run.rails.limit.map_or(count, |limit| limit.min(count))),
            patches: cursor.tally.patches,
            sent,
            turning: run.state == State::Running && cursor.phase == Phase::Turning,
            dry_run: run.rails.dry_run,
            waits: waits.or_else(|| draining.map(ToOwned::to_owned)),
            elapsed,
        }
    }

    /// The line, what matters most first: a narrow terminal cuts its end.
    pub fn line(&self) -> String {
        let mut line = self.state.to_string();
        let count = self.count.filter(|count| *count > 0);
        if let Some(count) = count {
            let percent = (100.0 * self.users as f64 / count as f64).min(100.0);
            line.push_str(&format!(" {percent:.0} %"));
        }
        if self.generation > 1 {
            line.push_str(&format!(", generation {}", self.generation));
        }
        if let Some(left) = self.left() {
            line.push_str(&format!(", {} left", show::duration(left)));
        }
        if let Some(why) = &self.waits {
            line.push_str(&format!(", {why}"));
        }
        let of = count.map(|count| format!(" of {count}")).unwrap_or_default();
        line.push_str(&format!(" | {}{of} users", self.users));
        if self.turning && self.elapsed >= RATE_FROM {
            line.push_str(&format!(", {:.0}/s", self.users as f64 / self.elapsed.as_secs_f64()));
        }
        line.push_str(&format!(" | {} to change", self.patches));
        if !self.dry_run {
            line.push_str(&format!(", {} in {} jobs, {} ended", self.sent.users, self.sent.jobs, self.sent.closed));
        }
        line
    }

    /// Why nothing moves at this moment, if there is a reason.
    pub fn waits(&self) -> Option<&str> {
        self.waits.as_deref()
    }

    /// The time left, by the slower of reading and submitting; none before a hundredth of both is done.
    pub fn left(&self) -> Option<Duration> {
        let read = match (self.state, self.count) {
            (State::Running, Some(count)) if self.turning => (self.users as f64 / count.max(1) as f64).min(1.0),
            (State::Draining, _) => 1.0,
            _ => return None,
        };
        if read < ESTIMATE_FROM {
            return None;
        }
        // How many patches there will be is told by how many there were.
        let submitted = match self.patches {
            0 => 1.0,
            _ if self.dry_run => 1.0,
            patches => self.sent.users as f64 / (patches as f64 / read),
        };
        let done = read.min(submitted);
        let left = (ESTIMATE_FROM..1.0).contains(&done).then(|| self.elapsed.mul_f64((1.0 - done) / done));
        left.filter(|left| left.as_secs() > 0)
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
            users: 5_000,
            count: Some(20_000),
            patches: 4_000,
            sent: Sent { users: 1_000, jobs: 10, closed: 4 },
            turning: true,
            dry_run: false,
            waits: None,
            elapsed: Duration::from_secs(10),
        }
    }

    #[test]
    fn the_slower_of_reading_and_submitting_tells_what_is_left() {
        // A quarter is read, a sixteenth submitted: 150 s at this pace.
        assert_eq!(sample().left().map(|left| left.as_secs()), Some(150));
        let line =
            "running 25 %, 2 min 30 s left | 5000 of 20000 users, 500/s | 4000 to change, 1000 in 10 jobs, 4 ended";
        assert_eq!(sample().line(), line);
        let first = Sample { elapsed: Duration::from_millis(1), sent: Sent::default(), ..sample() };
        assert_eq!(first.line(), "running 25 % | 5000 of 20000 users | 4000 to change, 0 in 0 jobs, 0 ended");
        let dry_run = Sample { dry_run: true, sent: Sent::default(), ..sample() };
        assert_eq!(dry_run.line(), "running 25 %, 30 s left | 5000 of 20000 users, 500/s | 4000 to change");
    }

    #[test]
    fn the_first_hundredth_tells_nothing() {
        assert_eq!(Sample { users: 199, ..sample() }.left(), None, "of reading");
        let slow = Sample { sent: Sent { users: 100, ..Sent::default() }, ..sample() };
        assert_eq!(slow.left(), None, "of submitting, which is what a low limit makes slow");
        assert_eq!(Sample { count: None, ..sample() }.left(), None);
    }

    #[test]
    fn between_generations_nothing_is_estimated() {
        let between = Sample { turning: false, generation: 1, waits: Some("waits: 3 parts".into()), ..sample() };
        let line = "running 25 %, waits: 3 parts | 5000 of 20000 users | 4000 to change, 1000 in 10 jobs, 4 ended";
        assert_eq!(between.line(), line);
    }

    #[test]
    fn a_wait_says_why_beside_what_is_left() {
        let line = Sample { waits: Some("waits 64 s: another scroll is open".into()), ..sample() }.line();
        assert!(line.starts_with("running 25 %, 2 min 30 s left, waits 64 s: another scroll is open | "), "{line}");
    }
}
