//! Conservation: a commit counts only sent parts, and a run's limits hold for them.

use std::collections::BTreeSet;

use intercom_bulk::domain::part::{Origin, Part, PartId};
use intercom_bulk::domain::run::{Run, RunId};

use super::parts::INVOCATION_MAX_MS;
use super::{Memory, Promises};
use crate::seams::names::AwsCall;
use crate::storm::Storm;
use crate::story::Story;

impl Storm {
    /// Reads the parts that were sent since the last call.
    pub(super) fn learn_parts(&self) {
        let from = self.promises.memory().bodies_read;
        let bodies = self.sqs.sent_since("patches", from);
        let mut memory = self.promises.memory();
        memory.bodies_read += bodies.len();
        let parts = bodies.iter().filter(|body| !Story::is_nonsense(body));
        let mut broken = Vec::new();
        for part in parts.filter_map(|body| serde_json::from_str::<Part>(body).ok()) {
            broken.extend(memory.learn(&part));
            broken.extend(memory.breaks_a_limit(&part.run, &part.id));
        }
        drop(memory);
        for text in broken {
            self.weather.bug(format!("5: {text}"));
        }
    }

    /// Checks the end of a run's pages: it may change no more users than `max_changes`, with those of
    /// earlier generations. Only now its parts may be sent.
    pub(super) async fn drains_within_max_changes(&self, run: &Run) {
        let is_new = match self.promises.memory().runs.get_mut(run.id.as_str()) {
            Some(seen) => seen.released.insert(run.generation),
            None => return,
        };
        let (Some(most), Ok(Some(cursor))) = (run.limits.max_changes, self.ledger.cursor(&run.id).await) else {
            return;
        };
        // A user that Intercom refused in an earlier generation is sent again, and counts once. Those in error
        // were refused, or Intercom answered with another contact or another value. Those who are gone count not.
        let Ok(errors) = self.ledger.errors(run).await else { return };
        let in_error: BTreeSet<&str> = errors.iter().map(|row| row.user.as_str()).collect();
        let mut users = self.promises.users_taken(&run.id);
        users.retain(|user| !in_error.contains(user.as_str()) && self.world.0.user(user).is_some());
        users.extend(self.promises.users_sent(run));
        let (most, changes) = (most.of(cursor.tally.read()), users.len() as u64);
        if is_new && changes > most {
            self.weather.bug(format!("5: {} drains with {changes} changes, and its limits allow {most}", run.id));
        }
    }

    /// Reads a part that was written to the ledger.
    pub(super) fn learn_part(&self, part: &Part) {
        let broken = self.promises.memory().learn(part);
        if let Some(text) = broken {
            self.weather.bug(format!("5: {text}"));
        }
    }

    /// Checks that a commit counts only parts that are in the ledger.
    pub(super) fn parts_are_in_the_ledger(&self, run: &RunId, call: &AwsCall) {
        let (generation, page, parts) = (call.number("generation"), call.number("page"), call.number("parts"));
        let mut memory = self.promises.memory();
        let Some(seen) = memory.runs.get_mut(run.as_str()) else { return };
        let before = std::mem::replace(&mut seen.parts, (generation, parts));
        let new = if before.0 == generation { parts.saturating_sub(before.1) } else { parts };
        if !call.gaps().any(|gap| gap == page) {
            seen.pages.insert((generation, page));
        }
        let sent = memory.of_page(run, generation as u32, page as u32).count() as u64;
        drop(memory);
        if sent < new {
            self.weather.bug(format!("1: {run} counts {new} parts of page {page}, of which {sent} are in the ledger"));
        }
    }

    /// Checks a closed job: the part with its refused items is in the ledger. If its users were read, its run
    /// submitted its generation not longer ago than an invocation lasts.
    pub(super) fn again_is_in_the_ledger(&self, call: &AwsCall) {
        if !call.body.contains(":again") {
            return;
        }
        let job = call.sort_keys().find_map(|sk| sk.strip_prefix("JOB#")).unwrap_or_default().to_owned();
        let is_of = |id: &PartId| matches!(&id.origin, Origin::Job { job: of, .. } if of.as_str() == job);
        let memory = self.promises.memory();
        let Some((run, id)) = memory.sent.keys().find(|(_, id)| is_of(id)) else {
            drop(memory);
            let text = format!("1: job {job} is closed, and what is to be tried again is not in the ledger");
            return self.weather.bug(text);
        };
        let late = memory.runs.get(run.as_str()).filter(|seen| {
            let is_over = seen.state.ended() || seen.generation > id.generation;
            is_over && self.now_ms() - seen.changed_ms > INVOCATION_MAX_MS
        });
        let text = late.map(|seen| format!("5: {id} of {run} is to be written, which is {}", seen.state));
        drop(memory);
        if let Some(text) = text.filter(|_| self.reads_users_of_jobs()) {
            self.weather.bug(text);
        }
    }
}

impl Promises {
    /// Notes a request for this user alone.
    pub(crate) fn asks_alone(&self, user: &str) {
        *self.memory().unanswered_alone.entry(user.to_owned()).or_default() += 1;
    }

    /// Notes that it brought a usable answer.
    pub(crate) fn answered_alone(&self, user: &str) {
        if let Some(count) = self.memory().unanswered_alone.get_mut(user) {
            *count = count.saturating_sub(1);
        }
    }

    /// Returns the number of requests for this user alone without a usable answer.
    pub(super) fn unanswered_alone(&self, user: &str) -> u64 {
        self.memory().unanswered_alone.get(user).copied().unwrap_or_default()
    }

    /// Returns the users of all parts of a run.
    pub(crate) fn users_of_parts(&self, run: &RunId) -> BTreeSet<String> {
        let memory = self.memory();
        memory.sent.iter().filter(|((of, _), _)| of == run).flat_map(|(_, users)| users).cloned().collect()
    }

    /// Returns the number of users in the greatest part of a run.
    pub(super) fn part_users_max(&self, run: &RunId) -> u64 {
        let memory = self.memory();
        let sizes = memory.sent.iter().filter(|((of, _), _)| of == run).map(|(_, users)| users.len() as u64);
        sizes.max().unwrap_or_default()
    }

    /// Returns the users whose patches were sent for counted pages of a run's current generation.
    pub(super) fn users_sent(&self, run: &Run) -> BTreeSet<String> {
        let memory = self.memory();
        let pages = memory.runs.get(run.id.as_str()).map(|seen| seen.pages.clone()).unwrap_or_default();
        let pages = pages.into_iter().filter(|(generation, _)| *generation == u64::from(run.generation));
        pages.flat_map(|(_, page)| memory.of_page(&run.id, run.generation, page as u32)).flatten().cloned().collect()
    }
}

impl Memory {
    /// Remembers the users of a part. Returns an error if its name has other users.
    fn learn(&mut self, part: &Part) -> Option<String> {
        let users: Vec<String> = part.patches.iter().map(|patch| patch.user.to_string()).collect();
        let (run, id) = (part.run.clone(), part.id.clone());
        let there = self.sent.entry((run.clone(), id.clone())).or_insert_with(|| users.clone());
        (*there != users).then(|| format!("{id} of {run} is the name of {there:?} and of {users:?}"))
    }

    /// Returns the parts of a page's last reading: those of the readings before are void.
    fn of_page(&self, run: &RunId, generation: u32, page: u32) -> impl Iterator<Item = &Vec<String>> {
        let from = PartId { generation, origin: Origin::Page { page, part: 0, reading: None } };
        let read_by = move |id: &PartId| match id.origin {
            Origin::Page { page: of, reading, .. } if of == page && id.generation == generation => Some(reading),
            _ => None,
        };
        let parts = self.sent.range((run.clone(), from)..).take_while(move |((of, _), _)| of == run);
        let parts = parts.map_while(move |((_, id), users)| Some((read_by(id)?, users)));
        let last = parts.clone().map(|(reading, _)| reading).max();
        parts.filter(move |(reading, _)| Some(*reading) == last).map(|(_, users)| users)
    }

    /// Returns whether the parts of a generation must not be sent yet: none has ended within
    /// `max_changes`.
    pub(super) fn holds_back(&self, run: &str, generation: u32) -> bool {
        let seen = self.runs.get(run).filter(|seen| seen.limits.max_changes.is_some());
        seen.is_some_and(|seen| !seen.released.contains(&generation))
    }

    /// Returns an error if a sent part breaks a limit of its run.
    ///
    /// A page without a commit counts in no limit: the next generation evaluates it again.
    fn breaks_a_limit(&self, run: &RunId, id: &PartId) -> Option<String> {
        let (seen, generation) = (self.runs.get(run.as_str())?, id.generation);
        if seen.limits.dry_run {
            return Some(format!("{run} is a dry run and sends {id}"));
        }
        if self.holds_back(run.as_str(), generation) {
            return Some(format!("{run} sends {id}, and no generation has ended within max_changes"));
        }
        let Origin::Page { page, .. } = &id.origin else { return None };
        let counted = seen.pages.iter().filter(|(of, _)| *of == u64::from(generation)).map(|(_, page)| *page as u32);
        let pages = counted.filter(|of| of != page).chain([*page]);
        let users: usize = pages.flat_map(|page| self.of_page(run, generation, page)).map(Vec::len).sum();
        let most = seen.limit.filter(|most| users as u64 > *most)?;
        Some(format!("{run} sends patches of {users} users in generation {generation}, and it reads {most} at most"))
    }
}
