//! The promises (design, section 8), checked after every step of the world. What was seen at the seams is remembered, so that
//! a step costs little; the ledger and the workspace are read where a promise is about them.

mod bounds;
mod causes;
mod ends;
mod jobs;
mod limit;
mod order;
mod parts;
mod scroll;
mod secrets;
mod steps;
mod stops;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use intercom_bulk::run::{RunId, State};

use crate::storm::{Invoked, Who};

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Promises(Mutex<Memory>);

#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Runs by name.
    runs: BTreeMap<String, RunSeen>,
    /// Jobs that Intercom made for us, in that order.
    jobs: Vec<JobSeen>,
    /// Users that jobs were made for, by run.
    taken: BTreeMap<String, BTreeSet<String>>,
    /// Ids of jobs with a row.
    recorded: BTreeSet<String>,
    /// What invocations did, by their number.
    by: BTreeMap<Who, Did>,
    /// Values on their way to a user's attribute, or there already.
    values: HashMap<(String, String), Vec<order::Sent>>,
    /// Cost of the requests of each window, by its number.
    windows: BTreeMap<i64, u64>,
    /// Operations that the budget granted, over all windows, and those that were asked of Intercom.
    paid: u64,
    asked: u64,
    /// Who waits for a page of the scroll.
    pages_asked: BTreeSet<Who>,
    second_scrolls: u64,
    /// Submissions that went wrong, by a digest of what they asked for.
    submissions: HashMap<u64, u32>,
    /// The last sign of life: a request to Intercom or a commit.
    active_ms: i64,
    /// Writes to the ledger that were carried out.
    writes: u64,
}

/// A run, as its row was last seen.
#[derive(Clone, Debug)]
struct RunSeen {
    /// Runs are counted in the order in which they began.
    order: usize,
    state: State,
    generation: u32,
    /// Since when it could go its way: its beginning, or what an operator did to it last.
    since_ms: i64,
    /// When state or generation changed last.
    changed_ms: i64,
    /// Commits of its cursor.
    turn: u64,
    /// Parts that its cursor says were sent, and in which generation.
    parts: (u64, u64),
}

/// A job, as Intercom made it.
#[derive(Clone, Debug)]
struct JobSeen {
    id: String,
    run: String,
    users: usize,
    created_ms: i64,
}

/// What an invocation did so far.
#[derive(Clone, Debug, Default)]
struct Did {
    /// When it last read a run's row.
    read_run_ms: i64,
    /// The run and the generation whose changes it wrote last.
    changes: Option<(String, u32)>,
    /// Ids that Intercom gave it.
    given: Vec<String>,
    /// Parts that it claimed, with their run.
    parts: Vec<(String, String)>,
    /// A call went wrong, or the process did.
    troubled: bool,
    /// Requests for a run that had stopped or gone on meanwhile.
    late_requests: u32,
}

impl Promises {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An invocation ended without a word.
    pub(crate) fn cut_off(&self, invoked: &Invoked) {
        let number = invoked.owner.trim_start_matches("request-").parse().unwrap_or_default();
        self.memory().by.remove(&number);
    }

    /// A call of an invocation went wrong, or the process did.
    pub(crate) fn troubled(&self, who: Option<Who>) {
        if let Some(who) = who {
            self.memory().by.entry(who).or_default().troubled = true;
        }
    }

    /// How many users jobs of a run were made for.
    fn users_taken(&self, run: &RunId) -> u64 {
        self.memory().taken.get(run.as_str()).map_or(0, |users| users.len() as u64)
    }

    /// The runs that have not ended and may be expected to, with the time since which they could go their way.
    pub(crate) fn under_way(&self) -> Vec<(String, i64)> {
        let memory = self.memory();
        let goes = |seen: &RunSeen| !seen.state.ended() && seen.state != State::Paused;
        memory.runs.iter().filter(|(_, seen)| goes(seen)).map(|(run, seen)| (run.clone(), seen.since_ms)).collect()
    }

    /// When something last happened.
    pub(crate) fn active_ms(&self) -> i64 {
        self.memory().active_ms
    }

    /// How often the ledger was written.
    pub(crate) fn writes(&self) -> u64 {
        self.memory().writes
    }

    /// The runs that were begun.
    pub(crate) fn runs(&self) -> Vec<String> {
        self.memory().runs.keys().cloned().collect()
    }
}
