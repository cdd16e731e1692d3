//! Promise 5: a stop takes effect within one page and one job.

use std::collections::BTreeSet;
use std::time::Duration;

use intercom_bulk::domain::run::{Run, RunId, State};

use super::{Action, Promises, RunSeen};
use crate::process::CHECK_AFTER_CALM;
use crate::storm::{BEGIN_MS, Storm, Who};

impl Storm {
    /// Checks a request for a page: the run reads pages. One late request is allowed if the
    /// invocation read the run before it stopped.
    pub(super) async fn run_turns(&self, who: Option<Who>, run: &RunId) {
        self.leaves_a_newer_run(who, run.as_str(), "a page is requested");
        let Ok(Some(row)) = self.ledger.run(run).await else {
            return self.weather.bug(format!("2: a page is requested for {run}, which does not exist"));
        };
        if row.state != State::Running {
            self.late(who, run, &format!("a page is requested, and it is {}", row.state));
        }
    }

    /// Checks a request for a job: the run submits, and its generation is the current one.
    pub(super) async fn run_submits(&self, who: Option<Who>, run: &str, generation: u32) {
        let Some(id) = RunId::parse(run) else { return };
        self.leaves_a_newer_run(who, run, "a job is requested");
        let Ok(Some(row)) = self.ledger.run(&id).await else {
            return self.weather.bug(format!("5: a job is requested for {run}, which does not exist"));
        };
        if !row.state.submits() {
            self.late(who, &id, &format!("a job is requested, and it is {}", row.state));
        } else if row.generation > generation {
            let text = format!("a job of generation {generation} is requested, and {} is current", row.generation);
            self.late(who, &id, &text);
        }
        let held_back = self.promises.memory().holds_back(run, generation);
        if held_back {
            let text = format!("5: a job of generation {generation} is requested for {run}, which is held back");
            self.weather.bug(text);
        }
    }

    fn late(&self, who: Option<Who>, run: &RunId, text: &str) {
        let mut memory = self.promises.memory();
        let changed_ms = memory.runs.get(run.as_str()).map_or(i64::MIN, |run| run.changed_ms);
        let Some(did) = who.map(|who| memory.by.entry(who).or_default()) else { return };
        let first = did.late_requests.insert((run.to_string(), changed_ms)) && did.read_ms(run.as_str()) <= changed_ms;
        drop(memory);
        if !first {
            self.weather.bug(format!("5: {run}: {text}, and the run was read since, or this is the second time"));
        }
    }

    /// Checks a write of a run's row for a new state or generation.
    pub(crate) async fn run_may_have_changed(&self, id: &RunId) {
        let Ok(Some(row)) = self.ledger.run(id).await else { return };
        self.pause_is_kept(&row);
        let Some((was, generation)) = self.promises.run_was(&row, self.now_ms()) else { return };
        self.weather.note(|| {
            format!(
                "{id}: {} → {} generation {} {}",
                word(was),
                row.state,
                row.generation,
                row.reason.as_deref().unwrap_or_default()
            )
        });
        if !may_follow(was, row.state) {
            self.weather.bug(format!("{id} goes from {} to {}", word(was), row.state));
        }
        if row.generation < generation {
            self.weather.bug(format!("{id} goes from generation {generation} to {}", row.generation));
        }
        if row.generation > generation {
            self.older_jobs_are_over(id, row.generation);
        }
        if was.is_none() {
            let calm = self.story.calm_after;
            self.weather.run_begins(calm.is_none_or(|calm| self.weather.elapsed() < calm));
            self.run_begins(id);
        }
        if row.state == State::Paused {
            self.pause_has_a_cause(&row);
        }
        if row.state == State::Draining {
            self.drains_within_max_changes(&row).await;
        }
        if row.state.ended() {
            self.weather.run_ended(row.state.as_str(), self.lasted(id));
            self.ended_run_is_waited_for(id).await;
            self.run_tells_the_truth(&row).await;
        }
    }
}

/// Returns whether a run may have this state after that one, or, without one, when it is read for the first time.
fn may_follow(was: Option<State>, now: State) -> bool {
    match was {
        Some(was) => was == now || was.may_become(now),
        None => matches!(now, State::Running | State::Cancelled | State::Failed),
    }
}

fn word(state: Option<State>) -> &'static str {
    state.map_or("new", State::as_str)
}

impl Storm {
    /// Returns the undisturbed time of a run; zero if a disturbance is endless.
    fn lasted(&self, id: &RunId) -> Duration {
        let since_ms = self.promises.memory().runs.get(id.as_str()).map(|seen| seen.since_ms);
        let calm_ms = self.calm_ms().filter(|_| !self.story.endless);
        let lasted_ms = since_ms.zip(calm_ms).map_or(0, |(since_ms, calm_ms)| self.now_ms() - since_ms.max(calm_ms));
        Duration::from_millis(lasted_ms.max(0).unsigned_abs())
    }

    /// Returns the start of the calm, in Unix milliseconds.
    pub(crate) fn calm_ms(&self) -> Option<i64> {
        Some(BEGIN_MS + (self.story.quiet_after()? + CHECK_AFTER_CALM).as_millis() as i64)
    }
}

impl Action {
    /// Returns the time of its last read of a run's row, or 0.
    pub(super) fn read_ms(&self, run: &str) -> i64 {
        self.runs_read.get(run).copied().unwrap_or_default()
    }
}

impl Promises {
    /// Returns a run's previous state and generation, if they changed.
    fn run_was(&self, row: &Run, now_ms: i64) -> Option<(Option<State>, u32)> {
        let mut memory = self.memory();
        let order = memory.runs.len();
        let (state, generation) = (row.state, 1);
        let is_new = !memory.runs.contains_key(row.id.as_str());
        let limits = row.limits.clone();
        let app_id = row.workspace.as_ref().and_then(|workspace| workspace.app_id.clone());
        let new = RunSeen {
            order,
            state,
            generation,
            since_ms: now_ms,
            changed_ms: now_ms,
            reads: false,
            read_generation: 0,
            turn: 0,
            parts: (0, 0),
            pages: BTreeSet::new(),
            limits,
            app_id: app_id.clone(),
            limit: row.limit(),
            released: BTreeSet::new(),
        };
        let seen = memory.runs.entry(row.id.to_string()).or_insert(new);
        let was = ((!is_new).then_some(seen.state), seen.generation);
        (seen.state, seen.generation, seen.limit) = (row.state, row.generation, row.limit());
        seen.app_id = seen.app_id.take().or(app_id);
        let changed = was != (Some(row.state), row.generation);
        if was.0 == Some(State::Paused) || seen.state == State::Paused {
            seen.since_ms = now_ms;
        }
        if changed {
            seen.changed_ms = now_ms;
        }
        changed.then_some(was)
    }
}
