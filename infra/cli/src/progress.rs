//! The progress line: progress, time left, number of users, and the reason of a wait.

use std::time::Duration;

use intercom_bulk::domain::run::{Cursor, Phase, ReadBack, Run, State};
use intercom_bulk::ledger::{Ledger, LedgerError};

use crate::estimate::Work;
use crate::jobs_seen::JobCounts;
use crate::output::{self, count};

/// The first rate is shown after this time.
const RATE_FROM: Duration = Duration::from_secs(1);
/// The maximum percentage of a run that has not ended.
const PERCENT_MOST: u64 = 99;

/// A run at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    generation: u32,
    /// The progress of the whole run, in percent.
    pub percent: Option<u64>,
    /// The time left; `None` before it can be estimated.
    pub left: Option<Duration>,
    users: u64,
    count: Option<u64>,
    patches: u64,
    sent: u64,
    jobs_open: u64,
    /// Users read per second, while pages are read.
    pub(crate) rate: Option<f64>,
    /// A dry run sends nothing.
    dry_run: bool,
    /// The reason of a wait, if any.
    pub(crate) waits: Option<String>,
}

impl Sample {
    /// Returns the sample with the reason of failing requests, if any.
    #[must_use]
    pub fn held(self, why: Option<String>) -> Self {
        let waits = why.map(|why| format!("cannot submit, retrying: {why}")).or(self.waits);
        Self { waits, ..self }
    }

    /// Returns the sample with the progress of the check of written values, if the run makes it.
    pub async fn reading_back(self, ledger: &Ledger, run: &Run, now_ms: i64) -> Result<Self, LedgerError> {
        if run.state != State::Verifying {
            return Ok(self);
        }
        let progress = ledger.read_back(&run.id).await?;
        Ok(Self { waits: progress.map(|progress| reading_back(&progress, now_ms)).or(self.waits), ..self })
    }

    /// Creates a sample from a run's rows.
    ///
    /// `reading` is the time since its generation began. `tail` is the time from a bulk request to
    /// the end of its job.
    pub fn of(run: &Run, cursor: &Cursor, jobs: &JobCounts, now_ms: i64, reading: Duration, tail: Duration) -> Self {
        let turning = run.state == State::Running && cursor.phase == Phase::Turning;
        let all_read = matches!(run.state, State::Draining | State::Verifying);
        let patches = if run.limits.dry_run { 0 } else { cursor.tally.patches };
        let users = run.listed.or(run.count).map(|count| run.limit().map_or(count, |limit| limit.min(count)));
        let sends = &jobs.sends;
        let in_turn = run.limits.hold_back();
        let max_per_minute = run.limits.max_per_minute.map(|pace| pace.get().into());
        let read = cursor.tally.users;
        let work =
            Work { read, count: users, all_read, in_turn, patches, reading, sends, max_per_minute, now_ms, tail };
        let sent = work.sent();
        let moves = turning || all_read && sent < patches;
        let rate = cursor.tally.users as f64 / reading.as_secs_f64().max(f64::EPSILON);
        Self {
            generation: run.generation,
            percent: if matches!(run.state, State::Complete | State::CompleteWithErrors) {
                Some(100)
            } else {
                work.done().map(|done| ((done * 100.0) as u64).min(PERCENT_MOST))
            },
            left: work.left().filter(|_| moves),
            users: cursor.tally.users,
            count: users.filter(|count| *count > 0),
            patches: cursor.tally.patches,
            sent,
            jobs_open: jobs.made - jobs.ended,
            rate: (turning && reading >= RATE_FROM).then_some(rate),
            dry_run: run.limits.dry_run,
            waits: waits(run, cursor, sent < patches, now_ms),
        }
    }

    /// Returns the line. Numbers come first and the reason last, because a terminal cuts the end.
    pub fn line(&self) -> String {
        let mut parts = Vec::new();
        let pass = (self.generation > 1).then(|| format!("pass {}", self.generation));
        let percent = self.percent.map(|percent| format!("{percent}%"));
        let first: Vec<String> = percent.into_iter().chain(pass).collect();
        parts.extend((!first.is_empty()).then(|| first.join(", ")));
        parts.extend(self.left.map(|left| format!("{} left", output::about(left))));
        let of = self.count.map(|count| format!("/{count}")).unwrap_or_default();
        parts.push(format!("{}{of} read", self.users));
        parts.push(if self.dry_run {
            format!("{} to change", self.patches)
        } else {
            format!("{}/{} sent", self.sent, self.patches)
        });
        parts.extend((self.jobs_open > 0).then(|| format!("{} open", count(self.jobs_open, "job"))));
        parts.extend(self.rate.map(|rate| format!("{rate:.0} users/s")));
        parts.extend(self.waits.clone());
        parts.join(" | ")
    }
}

/// Returns the reason of a wait, as text.
fn waits(run: &Run, cursor: &Cursor, to_send: bool, now_ms: i64) -> Option<String> {
    match run.state {
        State::Running if cursor.phase != Phase::Ended => {
            let held_back = run.held_back.then(|| "sends after the last page (--max-changes)".to_owned());
            let waits = cursor.waits.as_deref().map(output::flags).map(|why| {
                let left = Duration::from_millis((cursor.waits_until_ms() - now_ms).max(0) as u64);
                if left < Duration::from_secs(2) {
                    return format!("waits: {why}");
                }
                format!("waits {}: {why}", output::duration(left))
            });
            waits.or(held_back)
        }
        State::Draining if run.limits.dry_run => None,
        State::Draining if to_send => Some(match run.limits.max_per_minute {
            Some(pace) => format!("submitting remaining patches ({pace} users a minute at most)"),
            None => "submitting remaining patches (rate limited)".to_owned(),
        }),
        State::Verifying => Some("reading back some of the users written".to_owned()),
        State::Draining => Some("waiting for Intercom to finish the jobs".to_owned()),
        _ => None,
    }
}

/// Returns what the check of written values does now.
fn reading_back(progress: &ReadBack, now_ms: i64) -> String {
    if let Some(why) = progress.failing() {
        return format!("cannot read users back, retrying: {why}");
    }
    match progress.differing() {
        Some((users, until_ms)) if progress.is_waiting(now_ms) => {
            let left = output::duration(Duration::from_millis((until_ms - now_ms).max(0) as u64));
            format!("{} not as written; read again in {left}", count(users as u64, "value"))
        }
        _ if progress.users == 0 => "choosing some of the users written".to_owned(),
        _ => format!("reading back {} of the users written", progress.users),
    }
}

/// Prints progress: one line that is replaced on a terminal, or one line after the other.
#[derive(Debug)]
pub struct Progress {
    quiet: bool,
    live: bool,
    drawn: bool,
}

impl Progress {
    /// Creates the output for a terminal (`live`), a log, or neither (`quiet`).
    pub fn new(quiet: bool, live: bool) -> Self {
        Self { quiet, live: live && !quiet, drawn: false }
    }

    /// Returns whether the line is replaced.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Shows a sample.
    pub fn show(&mut self, sample: &Sample) {
        if self.live {
            output::draw(&sample.line());
            self.drawn = true;
        } else {
            output::note(self.quiet, &sample.line());
        }
    }

    /// Keeps the last line on the terminal.
    pub fn stop(&mut self) {
        if std::mem::take(&mut self.drawn) {
            output::note(self.quiet, "");
        }
    }

    /// Removes the last line, before a summary.
    pub fn end(&mut self) {
        if std::mem::take(&mut self.drawn) {
            output::draw("");
        }
    }
}

#[cfg(test)]
mod tests {
    use intercom_bulk::domain::kept::Fate;
    use intercom_bulk::domain::patch::Target;
    use intercom_bulk::domain::run::{FailedReads, Seen};
    use intercom_bulk::domain::user::UserId;

    use super::*;

    fn sample() -> Sample {
        Sample {
            generation: 1,
            percent: Some(6),
            left: Some(Duration::from_secs(150)),
            users: 5_000,
            count: Some(20_000),
            patches: 4_000,
            sent: 1_000,
            jobs_open: 6,
            rate: Some(500.0),
            dry_run: false,
            waits: None,
        }
    }

    #[test]
    fn progress_line_ends_with_the_reason() {
        let line = "6% | 2 min 30 s left | 5000/20000 read | 1000/4000 sent | 6 jobs open | 500 users/s";
        assert_eq!(sample().line(), line);
        let waits = Some("waits 64 s: another scroll is open".to_owned());
        let waiting = Sample { generation: 2, left: None, rate: None, jobs_open: 1, waits, ..sample() };
        let line = "6%, pass 2 | 5000/20000 read | 1000/4000 sent | 1 job open | waits 64 s: another scroll is open";
        assert_eq!(waiting.line(), line);
        let dry_run = Sample { dry_run: true, sent: 0, jobs_open: 0, ..sample() };
        assert_eq!(dry_run.line(), "6% | 2 min 30 s left | 5000/20000 read | 4000 to change | 500 users/s");
        let uncounted = Sample { percent: None, left: None, count: None, rate: None, ..sample() };
        assert_eq!(uncounted.line(), "5000 read | 1000/4000 sent | 6 jobs open");
    }

    #[test]
    fn check_of_written_values_is_told_in_words() {
        let mut progress = ReadBack::begin(1, 1, Vec::new());
        assert_eq!(reading_back(&progress, 0), "choosing some of the users written");
        progress.sampled(1_000);
        assert_eq!(reading_back(&progress, 0), "reading back 100 of the users written");
        let user = UserId::new("a").unwrap();
        let differs = vec![(Target::Field("name".to_owned()), Fate::Old)];
        for place in 0..100 {
            let seen = if place < 2 { Seen::Values(differs.clone()) } else { Seen::Gone };
            progress.record(place, &user, seen, 180_000);
        }
        assert_eq!(reading_back(&progress, 60_000), "2 values not as written; read again in 2 min 0 s");
        progress.fails(FailedReads { now_ms: 0, resumed_ms: 0, why: "503", refused: false });
        assert_eq!(reading_back(&progress, 60_000), "cannot read users back, retrying: 503");
    }

    #[test]
    fn large_numbers_fit_sixty_columns() {
        let left = Some(Duration::from_secs(41 * 60 + 7));
        let large = Sample { percent: Some(63), left, users: 400_000, count: Some(400_000), ..sample() };
        let large = Sample { patches: 333_000, sent: 152_157, ..large };
        assert!(
            output::fit(&large.line(), 60).starts_with("63% | 41 min left | 400000/400000 read | 152157/333000 sent")
        );
        assert_eq!(output::fit(&large.line(), 60).chars().count(), 60);
    }
}
