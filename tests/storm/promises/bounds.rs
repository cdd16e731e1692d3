//! Promise 6: turns, generations and waiting are bounded.

use std::hash::{DefaultHasher, Hash, Hasher};

use intercom_bulk::domain::run::{GAPS_MAX, GENERATIONS_MAX, IDLE_TURNS_MAX, RunId, STALLED_MAX};

use crate::seams::names::AwsCall;
use crate::storm::Storm;

/// Repeated submissions in vain: this many at once, and one more in each `SUBMISSION_MS` on
/// average. After the first failures a part comes every five minutes. Its users are then sent a few
/// times, to tell an outage from a user's fault.
const SUBMISSIONS_MAX: i64 = 24;
const SUBMISSION_MS: i64 = 25_000;
/// A page of at most so many users: nearly all of their requests of API 2.x are under way, 32 at once,
/// before the first one fails.
const PAGE_AT_ONCE: usize = 40;
/// With at least so many open users, and more than three open parts, a run waits for the end of an outage
/// until its deadline.
const USERS_MANY: usize = 20;

impl Storm {
    /// Checks a submission that Intercom answered: while it fails, the same submission of a
    /// generation is rarely repeated.
    ///
    /// Submissions in a job whose items were refused count from the start.
    pub(super) fn submits_a_few_times(&self, of: (&str, u32), asked: u64, in_vain: bool) {
        let mut hasher = DefaultHasher::new();
        (of, asked).hash(&mut hasher);
        let mut memory = self.promises.memory();
        if !in_vain {
            memory.submissions.remove(&hasher.finish());
            return;
        }
        let now_ms = self.now_ms();
        let (count, since_ms) = memory.submissions.entry(hasher.finish()).or_insert((0, now_ms));
        *count += 1;
        let many = *count > SUBMISSIONS_MAX + (now_ms - *since_ms) / SUBMISSION_MS;
        drop(memory);
        if many {
            self.weather.bug(format!("6: the same was submitted in vain more than {SUBMISSIONS_MAX} times"));
        }
    }

    /// Returns whether failing requests for users whom Intercom never accepts may look like an outage: no
    /// request for another user began after the first failure.
    pub(super) fn looks_like_an_outage(&self) -> bool {
        let poisoned = self.world.0.state().poisoned.len();
        !self.checks_values() && self.story.options.page_size <= PAGE_AT_ONCE && poisoned >= USERS_MANY
    }

    /// Checks the commit of a run's cursor.
    pub(super) fn cursor_is_in_bounds(&self, run: &RunId, call: &AwsCall) {
        let story = &self.story;
        let resumes = (story.resumes.len() + story.acts.len() + story.verbs.len() + story.canaries()) as u64;
        let bounds = [
            ("idle turns", call.number("idle_turns"), u64::from(IDLE_TURNS_MAX)),
            ("gaps", call.gaps().count() as u64, GAPS_MAX as u64),
            ("generations", call.number("generation"), u64::from(GENERATIONS_MAX) + resumes),
            ("stalled generations", call.number("stalled"), STALLED_MAX.unsigned_abs().into()),
        ];
        for (name, count, most) in bounds {
            if count > most {
                self.weather.bug(format!("6: {run}: {count} {name}, and {most} are the most"));
            }
        }
        let turn = call.number("turn");
        let mut memory = self.promises.memory();
        let Some(seen) = memory.runs.get_mut(run.as_str()) else { return };
        let before = std::mem::replace(&mut seen.turn, turn);
        drop(memory);
        if turn != before && turn != before + 1 {
            self.weather.bug(format!("{run}: a commit leads from turn {before} to turn {turn}"));
        }
    }
}
