//! Promises of contacts (API 2.x): a write of one user, whose answer is the result, and a list whose
//! pages can be requested again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use http::StatusCode;
use intercom_bulk::domain::part::{Origin, PartId, UserOutcome};
use intercom_bulk::domain::run::RunId;
use intercom_bulk::ledger::{JobRow, PartEnd};
use intercom_simulator::ListCursor;
use serde_json::Value;

use super::jobs::part_id;
use super::{Promises, Reached, Submission};
use crate::asked::{Asked, Kind};
use crate::storm::{Storm, Who};

/// A process begins no request this long after its run stopped, in milliseconds: it has read the run
/// within this time.
const STOPS_AFTER_MS: i64 = 1_000;

/// The state of an invocation when it begins a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begun {
    at_ms: i64,
    runs_read: BTreeMap<String, i64>,
    /// It may repeat a request with another token.
    may_repeat: bool,
}

/// A write with an answer that reached its process.
#[derive(Clone, Debug)]
pub(super) struct Answered {
    run: String,
    part: String,
    user: String,
    /// The answer shows the user with the values.
    kept: bool,
}

/// Users whose writes were answered, by run and generation: the part of each.
pub(super) type WrittenUsers = HashMap<(String, u32, String), String>;
/// Pages by run, generation and place, with the times of their requests.
pub(super) type PagesRead = BTreeMap<(String, u32, String), i64>;

/// A page that an invocation requested.
#[derive(Clone, Debug)]
pub(super) struct PageAsked {
    of: (String, u32, String),
    at_ms: i64,
    /// Its answer has users and names another page.
    is_read: bool,
}

impl Storm {
    /// Notes the state of an invocation that begins a request.
    pub(crate) fn begins(&self, who: Option<Who>, asked: &Asked) -> Begun {
        let Some(who) = who.filter(|_| asked.kind == Kind::Put) else { return Begun::default() };
        let mut memory = self.promises.memory();
        let did = memory.by.entry(who).or_default();
        Begun { at_ms: self.now_ms(), runs_read: did.runs_read.clone(), may_repeat: did.tokens_refused > 0 }
    }

    /// Checks a write of one user: its run submits, and its generation is the current one. Those that
    /// began within a second of the stop are allowed.
    pub(super) async fn run_writes(&self, who: Option<Who>, of: &Submission, begun: Begun) {
        let Some(id) = RunId::parse(&of.run) else { return };
        self.leaves_a_newer_run(who, &of.run, "a user is written");
        let Ok(Some(row)) = self.ledger.run(&id).await else {
            return self.weather.bug(format!("5: a user of {id} is written, which does not exist"));
        };
        let (changed_ms, held_back) = {
            let memory = self.promises.memory();
            let changed_ms = memory.runs.get(&of.run).map_or(i64::MIN, |run| run.changed_ms);
            (changed_ms, memory.holds_back(&of.run, of.generation))
        };
        if held_back {
            let text = format!("5: a user of generation {} of {id} is written, which is held back", of.generation);
            self.weather.bug(text);
        }
        if row.submits() && row.generation <= of.generation {
            return;
        }
        let late_ms = begun.at_ms - changed_ms;
        let has_read_since = begun.runs_read.get(&of.run).is_some_and(|read_ms| *read_ms > changed_ms);
        if late_ms > STOPS_AFTER_MS || has_read_since && !begun.may_repeat {
            let (state, generation) = (row.state, row.generation);
            self.weather.bug(format!(
                "5: {who:?} writes a user of generation {} of {id} {late_ms} ms after it was {state} in generation \
                 {generation}: {begun:?}",
                of.generation
            ));
        }
    }

    /// Checks a write of one user: the invocation has leased a part in which the user is open, and no
    /// part of the generation has the result that the user was written.
    pub(super) async fn is_written_once(&self, who: Option<Who>, of: &Submission, asked: &Asked) {
        let (Some(who), Some(run), Some(user)) = (who, RunId::parse(&of.run), asked.alone()) else { return };
        let owner = format!("request-{who}");
        let mut seen = Vec::new();
        for part in &of.parts {
            let Some((row, outcome)) = self.outcome(&run, part, user).await else { continue };
            let leased = row.0.is_none() && row.1.as_deref() == Some(owner.as_str());
            if leased && outcome.is_open() {
                seen.clear();
                break;
            }
            seen.push((part, row, outcome));
        }
        if let Some((part, row, outcome)) = seen.first() {
            self.weather
                .bug(format!("3: {user} of {run} is written by {owner}, and is {outcome:?} in {part}: {row:?}"));
        }
        let before = (of.run.clone(), of.generation, user.to_owned());
        let before = self.promises.memory().written.get(&before).cloned();
        let Some(part) = before else { return };
        if self.may_list_twice() && of.parts != [part.clone()] {
            return;
        }
        if let Some((_, UserOutcome::Written)) = self.outcome(&run, &part, user).await {
            self.weather.bug(format!("3: {user} of {run} is written again, and was by {part}"));
        }
    }

    /// Returns whether a list may show a user on two pages: a deletion moves its pages, or its last page, which
    /// is read again, has got a user that it left out.
    pub(super) fn may_list_twice(&self) -> bool {
        self.story.has_contacts()
            && (self.story.options.contacts.list_cursor == ListCursor::Page
                || ["shift-list", "users-change"].iter().any(|name| self.world.0.state().fired.contains_key(*name)))
    }

    /// Returns the end and the lease of a part, and the recorded outcome of one of its users. After the
    /// end, each user without an error in this part was written or is gone.
    async fn outcome(&self, run: &RunId, part: &str, user: &str) -> Option<(PartRow, UserOutcome)> {
        let id = part_id(part)?;
        let row = self.ledger.part(run, &id).await.ok()??;
        let place = self.place(run, &id, user)?;
        let outcome = match (&row.outcomes, row.end) {
            (Some(outcomes), _) => outcomes.of(place),
            (None, Some(PartEnd::Done)) => {
                let of = self.ledger.run(run).await.ok()??;
                let (errors, at) = (self.ledger.errors(&of).await.unwrap_or_default(), format!("part {id}"));
                let is_refused = errors.iter().any(|row| row.user == user && row.at == at);
                if is_refused { UserOutcome::Refused } else { UserOutcome::Written }
            }
            (None, _) => UserOutcome::Open,
        };
        Some(((row.end, row.lease_owner), outcome))
    }

    fn place(&self, run: &RunId, part: &PartId, user: &str) -> Option<usize> {
        let memory = self.promises.memory();
        memory.sent.get(&(run.clone(), part.clone()))?.iter().position(|of| of == user)
    }

    /// Checks the end of an invocation: the result of each answered write is recorded. If it was
    /// disturbed, the part may be open.
    pub(super) async fn answers_are_recorded(&self, who: Who, answered: bool) {
        let did = {
            let mut memory = self.promises.memory();
            let did = memory.by.get(&who).cloned().unwrap_or_default();
            let read = did.page.as_ref().filter(|page| page.is_read && answered && !did.troubled);
            memory.pages_read.extend(read.map(|page| (page.of.clone(), page.at_ms)));
            did
        };
        for Answered { run, part, user, kept } in did.answered {
            let Some(id) = RunId::parse(&run) else { continue };
            let Some(((end, _), outcome)) = self.outcome(&id, &part, &user).await else { continue };
            let expected = if kept { UserOutcome::Written } else { UserOutcome::Refused };
            let fair = match outcome {
                // The process gave up its request just before the answer.
                UserOutcome::Unknown => end != Some(PartEnd::Done),
                UserOutcome::Open => end != Some(PartEnd::Done) && (!answered || did.troubled),
                outcome => outcome == expected || !answered || did.troubled,
            };
            if !fair {
                self.weather.bug(format!(
                    "3: {user} of {run} was answered ({expected:?}) to request-{who}, and is {outcome:?} in {part} ({end:?})"
                ));
            }
        }
    }

    /// Checks a request for a page of contacts: no invocation without a disturbance has read it before.
    /// The last page of a list may be read again.
    pub(super) fn page_is_not_read_again(&self, who: Option<Who>, asked: &Asked) {
        let (Some(invoked), true) = (self.invoked(who), self.story.has_contacts()) else { return };
        let (Some(who), Some(run), now_ms) = (who, invoked.run, self.now_ms()) else { return };
        let mut memory = self.promises.memory();
        let Some(seen) = memory.runs.get(&run) else { return };
        let (of, changed_ms) = ((run, seen.generation, asked.place.clone()), seen.changed_ms);
        let read_ms = memory.pages_read.get(&of).copied();
        memory.by.entry(who).or_default().page = Some(PageAsked { of: of.clone(), at_ms: now_ms, is_read: false });
        drop(memory);
        // An operator may take the run from the invocation that reads its page.
        if read_ms.is_some_and(|read_ms| changed_ms < read_ms) && !self.story.is_resumed() {
            self.weather.bug(format!("2: the page at {:?} of {} is read again", of.2, of.0));
        }
    }

    /// Checks the users of a part that ended as done: each is in a recorded result, has an error, was
    /// written, or is gone.
    pub(super) async fn without_a_result(&self, run: &RunId, part: &PartId) -> Option<String> {
        let users = self.promises.memory().sent.get(&(run.clone(), part.clone())).cloned();
        let Some(users) = users else { return Some("it was never sent".to_owned()) };
        let (mut places, mut gone) = (BTreeSet::new(), 0);
        for row in self.jobs_of(run).await {
            for of in row.parts.iter().filter(|of| of.part == *part) {
                gone += if row.job.is_of_answers() { row.gone } else { 0 };
                let all = || (0..users.len() as u32).collect();
                places.extend(of.users.clone().unwrap_or_else(all));
            }
        }
        let of = self.ledger.run(run).await.ok()??;
        let errors = self.ledger.errors(&of).await.unwrap_or_default();
        let refused = |user: &String| errors.iter().any(|row| row.user == *user && row.generation == part.generation);
        // A user that is refused in a bulk request of its own is in no job.
        let is_in = |(place, user): (usize, &String)| {
            places.contains(&(place as u32)) || self.reads_users_of_jobs() && refused(user)
        };
        if !users.iter().enumerate().all(is_in) {
            return Some(format!("the results of {places:?} of {} users are recorded", users.len()));
        }
        let state = self.world.0.state();
        let is_gone = |user: &&String| {
            let is_denied = state.fired.contains_key("denied") || state.poisoned.contains(user);
            is_denied || self.world.0.user(user).is_none()
        };
        let taken = {
            let memory = self.promises.memory();
            // Its users were in a job already.
            let is_follow_up = matches!(part.origin, Origin::Job { .. });
            let all = if is_follow_up { &memory.put } else { &memory.taken };
            all.get(&(run.to_string(), part.generation)).cloned().unwrap_or_default()
        };
        let others: Vec<&String> = users.iter().filter(|user| !taken.contains(*user) && !refused(user)).collect();
        let could_go = users.iter().filter(is_gone).count() as u64;
        let is_true = others.len() as u64 <= gone && gone <= could_go && others.iter().all(is_gone);
        (!is_true).then(|| format!("{others:?} are neither written nor refused, and {gone} are counted as gone"))
    }

    async fn jobs_of(&self, run: &RunId) -> Vec<JobRow> {
        let mut jobs = Vec::new();
        for bucket in self.ledger.buckets_of(run).await.unwrap_or_default() {
            let rows = self.ledger.jobs(&bucket).await.unwrap_or_default();
            jobs.extend(rows.into_iter().filter(|row| row.run == *run));
        }
        jobs
    }
}

/// The end of a part, and the owner of its lease.
type PartRow = (Option<PartEnd>, Option<String>);

impl Promises {
    /// Records an answer that reached its process.
    pub(crate) fn was_answered(
        &self,
        who: Option<Who>,
        asked: &Asked,
        reached: &Reached,
        status: StatusCode,
        body: &Bytes,
    ) {
        let Some(who) = who.filter(|_| status.is_success()) else { return };
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return };
        let mut memory = self.memory();
        if asked.kind == Kind::Page {
            let next = body.pointer("/pages/next/starting_after").and_then(Value::as_str).unwrap_or_default();
            if let Some(page) = memory.by.entry(who).or_default().page.as_mut() {
                page.is_read = !next.is_empty() && next != decoded(&asked.place);
            }
        }
        let (Some(of), Some((user, data)), Kind::Put) = (&reached.submits, asked.writes.first(), asked.kind) else {
            return;
        };
        let Some(part) = of.parts.last() else { return };
        let mut values = data["custom_attributes"].as_object().into_iter().flatten();
        let is_kept = |(name, value): (&String, &Value)| is_equal(&body["custom_attributes"][name], value);
        let kept = body["id"] == user.as_str() && values.all(is_kept);
        if kept {
            memory.written.insert((of.run.clone(), of.generation, user.clone()), part.clone());
        }
        let answered = Answered { run: of.run.clone(), part: part.clone(), user: user.clone(), kept };
        memory.by.entry(who).or_default().answered.push(answered);
    }
}

/// Returns whether both values are equal. A number may have another notation.
fn is_equal(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|number| other.as_f64() == Some(number))
}

/// Returns a cursor as in an answer.
fn decoded(place: &str) -> String {
    place.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/")
}
