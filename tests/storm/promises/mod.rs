//! The promises of the storm, checked after every step of the world. They remember the events at
//! the seams, so that a step costs little. Where needed, they read the ledger and the workspace.

mod again;
mod answers;
mod binding;
mod bounds;
mod causes;
mod checked;
mod ends;
mod jobs;
mod leases;
mod limit;
mod order;
mod others;
mod pace;
mod part_ends;
mod parts;
mod pauses;
mod readings;
mod scroll;
mod secrets;
mod sent;
mod steps;
mod stops;
mod written;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use intercom_bulk::domain::part::PartId;
use intercom_bulk::domain::run::{Limits, RunId, State};
use intercom_bulk::runtime::event::StartEvent;

use crate::asked::Asked;
use crate::storm::{Invoked, Who};

pub(crate) use secrets::of_people;
pub(crate) use steps::Reached;

/// The events so far.
#[derive(Debug, Default)]
pub(crate) struct Promises(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// Runs by name.
    runs: BTreeMap<String, RunSeen>,
    /// The tokens of the transactions that were carried out.
    transactions: BTreeSet<String>,
    /// Jobs that Intercom created for us, in that order.
    jobs: Vec<JobSeen>,
    /// Requests for one user alone that brought no usable answer, by user.
    unanswered_alone: BTreeMap<String, u64>,
    /// Users in jobs, by run and generation.
    taken: BTreeMap<(String, u32), BTreeSet<String>>,
    /// The same of writes of one user.
    put: BTreeMap<(String, u32), BTreeSet<String>>,
    /// Sent parts with their users, and the number of bodies of the queue that were read for them.
    sent: BTreeMap<(RunId, PartId), Vec<String>>,
    bodies_read: usize,
    /// A submission was sent.
    has_submitted: bool,
    /// Number of parts whose job may be lost, by run; an upper bound.
    loose: BTreeMap<String, u64>,
    /// Ids of jobs with a row.
    recorded: BTreeSet<String>,
    /// The actions of invocations, by their number.
    by: BTreeMap<Who, Action>,
    /// Runs that an operator released, or releases now.
    released: BTreeSet<String>,
    /// Pending and applied values of a user's attribute.
    values: HashMap<(String, String), Vec<order::Sent>>,
    /// Windows of the rate limit, by their ends.
    windows: BTreeMap<i64, limit::Window>,
    /// The time at which Intercom first reported its limit.
    told_ms: Option<i64>,
    /// Permits of the budget, over all windows, and requests to Intercom.
    paid: u64,
    asked: u64,
    /// Users granted and sent by minute, in runs with a pace.
    minutes: pace::Minutes,
    /// Invocations that wait for a page of the scroll.
    pages_asked: BTreeSet<Who>,
    second_scrolls: u64,
    /// Submissions in vain, by a digest of their content.
    submissions: HashMap<u64, (i64, i64)>,
    /// The last sign of progress: a request for a page or a job, or a change of a run's state.
    active_ms: i64,
    /// Number of writes to the ledger.
    writes: u64,
    /// Paused runs, by name.
    paused: BTreeMap<String, pauses::Paused>,
    /// Readings of pages, and the parts that they made.
    readings: readings::Readings,
    /// Pages of lists that were read.
    pages_read: answers::PagesRead,
    /// Users with the result `written`, by run and generation: the part of each.
    written: answers::WrittenUsers,
    /// Starts that were sent as messages, by their run's id.
    started: BTreeMap<String, serde_json::Value>,
    again: again::Values,
    others: others::Others,
}

/// A run's row, as last seen.
#[derive(Clone, Debug)]
struct RunSeen {
    /// Runs are numbered in the order of their beginning.
    order: usize,
    state: State,
    generation: u32,
    /// The time since which it was undisturbed: its beginning, or the last action of an operator.
    since_ms: i64,
    /// The last change of its state or generation.
    changed_ms: i64,
    /// It has requested users.
    reads: bool,
    /// The last generation that has requested users.
    read_generation: u32,
    /// Number of commits of its cursor.
    turn: u64,
    /// Number of sent parts by its cursor, and their generation.
    parts: (u64, u64),
    /// Pages that a commit counts, with their generation.
    pages: BTreeSet<(u64, u64)>,
    limits: Limits,
    /// The workspace that it is bound to.
    app_id: Option<String>,
    /// The most users that it reads.
    limit: Option<u64>,
    /// Generations whose pages have ended: parts that `max_changes` held back are sent.
    released: BTreeSet<u32>,
}

/// A job, as Intercom created it.
#[derive(Clone, Debug)]
struct JobSeen {
    id: String,
    run: String,
    generation: u32,
    users: usize,
    created_ms: i64,
    /// The time at which its values are applied; `None` if they are not.
    applied_ms: Option<i64>,
    /// Intercom does not find it.
    lost: bool,
    /// It stands for a write of one user, which has no job.
    is_put: bool,
}

/// The purpose of a job.
#[derive(Clone, Debug)]
pub(crate) struct Submission {
    run: String,
    generation: u32,
    /// The names of its parts.
    parts: Vec<String>,
}

/// The actions of an invocation so far.
#[derive(Clone, Debug, Default)]
struct Action {
    /// The time of its last read of each run's row.
    runs_read: BTreeMap<String, i64>,
    /// Its last submission.
    submission: Option<Submission>,
    /// Job ids from Intercom, with their submissions.
    given: Vec<(String, Option<Submission>)>,
    /// Submissions with an unknown outcome.
    unreported: u64,
    /// The permits since its last request, and the permits that paid for that request.
    charged: Option<limit::Charged>,
    request: limit::Charged,
    /// The last rate limit header that it received.
    limit: Option<limit::LimitReported>,
    /// The number of its requests whose tokens were refused, and that were not repeated so far.
    tokens_refused: u64,
    /// Writes of one user each that were answered.
    answered: Vec<answers::Answered>,
    /// The last page that it requested.
    page: Option<answers::PageAsked>,
    /// The rate limit headers that it received.
    headers: u32,
    /// Parts that it leased, with their run.
    parts: Vec<(String, String)>,
    /// One of its calls failed, or its process had an accident.
    troubled: bool,
    /// A write of a cursor failed.
    troubled_at_cursor: bool,
    /// It requested a page.
    asked_for_page: bool,
    /// Runs that had stopped or changed their generation at a request for them, with the time of that change.
    late_requests: BTreeSet<(String, i64)>,
}

impl Promises {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets an invocation that ended without an answer.
    pub(crate) fn cut_off(&self, invoked: &Invoked) {
        let number = invoked.owner.trim_start_matches("request-").parse().unwrap_or_default();
        self.memory().by.remove(&number);
    }

    /// Records that a call of an invocation failed, or its process had an accident.
    pub(crate) fn troubled(&self, who: Option<Who>) {
        if let Some(who) = who {
            self.memory().by.entry(who).or_default().troubled = true;
        }
    }

    /// Records that a write of a cursor failed.
    pub(crate) fn troubled_at_cursor(&self, who: Option<Who>) {
        if let Some(who) = who {
            self.memory().by.entry(who).or_default().troubled_at_cursor = true;
        }
    }

    /// Records a start message. Returns an error if another start with the same run id would be
    /// lost.
    pub(crate) fn started(&self, event: &serde_json::Value) -> Option<String> {
        let run = StartEvent::read(event).ok()?.run()?.to_string();
        let there = self.memory().started.entry(run.clone()).or_insert_with(|| event.clone()).clone();
        (there != *event).then(|| format!("12: {there} and {event} are both {run}"))
    }

    /// Returns starts for some users, or with limits, without a run and without a dead letter.
    ///
    /// Other starts may be needless, because another one waits.
    pub(crate) fn starts_without_a_run(&self, dead: &[String]) -> Vec<String> {
        let dead: BTreeSet<String> = dead
            .iter()
            .filter_map(|body| Some(StartEvent::read(&serde_json::from_str(body).ok()?).ok()?.run()?.to_string()))
            .collect();
        let memory = self.memory();
        let limited =
            |rails: &serde_json::Map<String, serde_json::Value>| rails.keys().any(|key| key != "max_per_minute");
        let bound =
            |event: &serde_json::Value| event["rails"].as_object().is_some_and(limited) || !event["users"].is_null();
        let lost = memory
            .started
            .iter()
            .filter(|(run, event)| bound(event) && !memory.runs.contains_key(*run) && !dead.contains(*run));
        lost.map(|(run, _)| run.clone()).collect()
    }

    /// Records a submission that was sent: its outcome is unknown until its answer arrives.
    pub(crate) fn unreported(&self, who: Option<Who>, asked: &Asked) {
        if let Some(who) = who.filter(|_| asked.is_write()) {
            let mut memory = self.memory();
            memory.has_submitted = true;
            memory.by.entry(who).or_default().unreported += 1;
        }
    }

    /// Returns whether a submission was sent.
    pub(crate) fn has_submitted(&self) -> bool {
        self.memory().has_submitted
    }

    /// Records the answer of a submission.
    pub(crate) fn told(&self, who: Option<Who>, asked: &Asked) {
        if let Some(who) = who.filter(|_| asked.is_write()) {
            let mut memory = self.memory();
            let did = memory.by.entry(who).or_default();
            did.unreported = did.unreported.saturating_sub(1);
        }
    }

    /// Returns the users in jobs of a run.
    pub(crate) fn users_taken(&self, run: &RunId) -> BTreeSet<String> {
        let memory = self.memory();
        memory.taken.iter().filter(|((of, _), _)| of == run.as_str()).flat_map(|(_, users)| users).cloned().collect()
    }

    /// Returns the runs that should end, with the times since which they are undisturbed.
    pub(crate) fn under_way(&self) -> Vec<(String, i64)> {
        let memory = self.memory();
        let goes = |seen: &RunSeen| !seen.state.ended() && seen.state != State::Paused;
        memory.runs.iter().filter(|(_, seen)| goes(seen)).map(|(run, seen)| (run.clone(), seen.since_ms)).collect()
    }

    /// Returns the time of the last progress.
    pub(crate) fn active_ms(&self) -> i64 {
        self.memory().active_ms
    }

    /// Returns the number of writes to the ledger.
    pub(crate) fn writes(&self) -> u64 {
        self.memory().writes
    }

    /// Returns the runs that began.
    pub(crate) fn runs(&self) -> Vec<String> {
        self.memory().runs.keys().cloned().collect()
    }
}
