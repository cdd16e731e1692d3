//! The promises (design, section 8), checked after every step of the world. What was seen at the seams is remembered, so that
//! a step costs little; the ledger and the workspace are read where a promise is about them.

mod binding;
mod bounds;
mod causes;
mod ends;
mod jobs;
mod limit;
mod order;
mod part_ends;
mod parts;
mod scroll;
mod secrets;
mod sent;
mod steps;
mod stops;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use intercom_bulk::domain::part::PartId;
use intercom_bulk::domain::run::{Limits, RunId, State};
use intercom_bulk::runtime::event::StartEvent;

use crate::storm::{Invoked, Who};

pub(crate) use limit::items;
pub(crate) use secrets::of_people;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Promises(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// Runs by name.
    runs: BTreeMap<String, RunSeen>,
    /// Jobs that Intercom made for us, in that order.
    jobs: Vec<JobSeen>,
    /// Users that jobs were made for, by run and generation.
    taken: BTreeMap<(String, u32), BTreeSet<String>>,
    /// Parts that were sent, with their users, and how many bodies of the queue were read for that.
    sent: BTreeMap<(RunId, PartId), Vec<String>>,
    bodies_read: usize,
    /// Parts by run of which a job may have been lost, counted freely.
    loose: BTreeMap<String, u64>,
    /// Ids of jobs with a row.
    recorded: BTreeSet<String>,
    /// What invocations did, by their number.
    by: BTreeMap<Who, Action>,
    /// Values on their way to a user's attribute, or there already.
    values: HashMap<(String, String), Vec<order::Sent>>,
    /// Windows of the rate limit, by their ends.
    windows: BTreeMap<i64, limit::Window>,
    /// When Intercom's limit was first told.
    told_ms: Option<i64>,
    /// Operations that the budget granted, over all windows, and those that were asked of Intercom.
    paid: u64,
    asked: u64,
    /// Who waits for a page of the scroll.
    pages_asked: BTreeSet<Who>,
    second_scrolls: u64,
    /// Submissions that went wrong, by a digest of what they asked for.
    submissions: HashMap<u64, (i64, i64)>,
    /// The last sign of life: a page or a job was asked for, or a run's state changed.
    active_ms: i64,
    /// Writes to the ledger that were carried out.
    writes: u64,
    /// Starts that were sent as messages, by their run's name.
    started: BTreeMap<String, serde_json::Value>,
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
    /// Pages that a commit counts, with their generation.
    pages: BTreeSet<(u64, u64)>,
    limits: Limits,
    /// The workspace that it is bound to.
    app_id: Option<String>,
    /// Users of its source when it began.
    count: Option<u64>,
}

/// A job, as Intercom made it.
#[derive(Clone, Debug)]
struct JobSeen {
    id: String,
    run: String,
    users: usize,
    created_ms: i64,
}

/// What a job is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    run: String,
    generation: u32,
    /// Its changes' key in the ledger.
    key: String,
}

/// What an invocation did so far.
#[derive(Clone, Debug, Default)]
struct Action {
    /// When it last read a run's row.
    read_run_ms: i64,
    /// What it wrote the changes of last.
    changes: Option<Submission>,
    /// Ids that Intercom gave it, and for what.
    given: Vec<(String, Option<Submission>)>,
    /// Submissions of which it does not know what became.
    unreported: u64,
    /// What the budget granted since its last request, and what that request was paid from.
    charged: Option<limit::Charged>,
    request: limit::Charged,
    /// What a header told it last of the rate limit.
    limit: Option<limit::LimitReported>,
    /// Parts that it leased, with their run.
    parts: Vec<(String, String)>,
    /// A call went wrong, or the process did.
    troubled: bool,
    /// A write of a cursor went wrong.
    troubled_at_cursor: bool,
    /// It asked for a page.
    asked_for_page: bool,
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

    /// A write of a cursor went wrong.
    pub(crate) fn troubled_at_cursor(&self, who: Option<Who>) {
        if let Some(who) = who {
            self.memory().by.entry(who).or_default().troubled_at_cursor = true;
        }
    }

    /// A start was sent as a message. Another one with its run's name, which asks for something else, would be lost.
    pub(crate) fn started(&self, event: &serde_json::Value) -> Option<String> {
        let run = StartEvent::read(event).ok()?.run()?.to_string();
        let there = self.memory().started.entry(run.clone()).or_insert_with(|| event.clone()).clone();
        (there != *event).then(|| format!("12: {there} and {event} are both {run}"))
    }

    /// Starts for some users, or within bounds, of which no run came and that are no dead letters. Those for all users may be
    /// needless, because another one waits.
    pub(crate) fn starts_without_a_run(&self, dead: &[String]) -> Vec<String> {
        let dead: BTreeSet<String> = dead
            .iter()
            .filter_map(|body| Some(StartEvent::read(&serde_json::from_str(body).ok()?).ok()?.run()?.to_string()))
            .collect();
        let memory = self.memory();
        let bound = |event: &serde_json::Value| !event["rails"].is_null() || !event["users"].is_null();
        let lost = memory
            .started
            .iter()
            .filter(|(run, event)| bound(event) && !memory.runs.contains_key(*run) && !dead.contains(*run));
        lost.map(|(run, _)| run.clone()).collect()
    }

    /// A submission is on its way: until its answer is there, nobody knows what became of it.
    pub(crate) fn unreported(&self, who: Option<Who>, name: &str) {
        if let Some(who) = who.filter(|_| name == steps::SUBMIT) {
            self.memory().by.entry(who).or_default().unreported += 1;
        }
    }

    /// It is there.
    pub(crate) fn told(&self, who: Option<Who>, name: &str) {
        if let Some(who) = who.filter(|_| name == steps::SUBMIT) {
            let mut memory = self.memory();
            let did = memory.by.entry(who).or_default();
            did.unreported = did.unreported.saturating_sub(1);
        }
    }

    /// How many users jobs of a run were made for.
    fn users_taken(&self, run: &RunId) -> u64 {
        let memory = self.memory();
        let users: BTreeSet<&String> =
            memory.taken.iter().filter(|((of, _), _)| of == run.as_str()).flat_map(|(_, users)| users).collect();
        users.len() as u64
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
