//! Promise 15: a retry writes only users that its run left, and an undo only values of its run that nothing
//! else has set since. Each value that it leaves is reported with the reason.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use intercom_bulk::domain::kept::is_same;
use intercom_bulk::domain::patch::Target;
use intercom_bulk::domain::run::{Cursor, Retry, Run, RunId, State, Undo};
use intercom_bulk::domain::undo::Stays;
use intercom_bulk::domain::user::User;
use serde_json::{Value, json};

use super::order::{Sent, values};
use super::{Memory, Promises, Submission};
use crate::asked::Asked;
use crate::plans;
use crate::storm::Storm;

/// The custom attributes of users.
type Attributes = HashMap<String, Value>;

/// The values that runs of a story with a retry or an undo found and wrote.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// The values at the begin of each run.
    begun: HashMap<String, Attributes>,
    /// The values of each user at the first write by a run.
    before: HashMap<String, Attributes>,
    /// The values that each run wrote: user and attribute.
    written: HashMap<String, BTreeSet<(String, String)>>,
}

impl Memory {
    /// Returns the values that Intercom carried out for a run.
    fn values_by<'m>(&'m self, run: &str) -> impl Iterator<Item = (&'m (String, String), &'m Sent)> {
        let order = self.runs.get(run).map(|seen| seen.order);
        let of = move |sent: &&Sent| Some(sent.rank.0) == order;
        self.values.iter().flat_map(move |(place, sent)| sent.iter().filter(of).map(move |sent| (place, sent)))
    }

    /// Returns whether Intercom carried out this value for a run.
    fn is_by(&self, run: &RunId, place: &(String, String), value: &Value) -> bool {
        self.values_by(run.as_str()).any(|(of, sent)| of == place && is_same(&sent.value, value))
    }

    /// Returns whether a run between these two wrote a value.
    fn is_set_between(&self, first: &RunId, last: &RunId, place: &(String, String)) -> bool {
        let [first, last] = [first, last].map(|run| self.runs.get(run.as_str()).map(|seen| seen.order));
        let is_between = |sent: &Sent| Some(sent.rank.0) > first && Some(sent.rank.0) < last;
        self.values.get(place).is_some_and(|sent| sent.iter().any(is_between))
    }

    /// Returns the values of an attribute from before a run. They may differ if a late job of an earlier run
    /// set one.
    fn old(&self, run: &str, user: &str, attribute: &str) -> Vec<Value> {
        let of = |all: &HashMap<String, Attributes>| all.get(run)?.get(user).map(|found| found[attribute].clone());
        [of(&self.again.begun), of(&self.again.before)].into_iter().flatten().collect()
    }
}

impl Promises {
    /// Returns the users and attributes whose values Intercom carried out for a run.
    pub(crate) fn values_of(&self, run: &RunId) -> Vec<(String, String)> {
        let memory = self.memory();
        let places: BTreeSet<(String, String)> =
            memory.values_by(run.as_str()).map(|(place, _)| place.clone()).collect();
        places.into_iter().collect()
    }
}

impl Storm {
    fn attributes(&self, user: &str) -> Value {
        self.world.0.user(user).map_or(Value::Null, |body| body["custom_attributes"].clone())
    }

    /// Remembers the values at the begin of a run.
    pub(super) fn run_begins(&self, run: &RunId) {
        if self.story.again.is_empty() {
            return;
        }
        let users = self.world.0.users().into_iter();
        let found = users.filter_map(|body| Some((body["id"].as_str()?.to_owned(), body["custom_attributes"].clone())));
        self.promises.memory().again.begun.insert(run.to_string(), found.collect());
    }

    /// Checks a write that reaches Intercom, if its run is a retry or an undo.
    pub(super) async fn again_writes_its_users(&self, of: &Submission, asked: &Asked) {
        let (Some(id), false) = (RunId::parse(&of.run), self.story.again.is_empty()) else { return };
        for (user, _) in &asked.writes {
            let found = self.attributes(user);
            let mut memory = self.promises.memory();
            memory.again.before.entry(of.run.clone()).or_default().entry(user.clone()).or_insert(found);
        }
        let Ok(Some(run)) = self.ledger.run(&id).await else { return };
        let broken = match (&run.retry, &run.undo) {
            (Some(retry), _) => self.is_not_retried(retry, asked).await,
            (None, Some(undo)) => {
                asked.writes.iter().flat_map(values).find_map(|value| self.is_not_undone(&run, undo, value))
            }
            (None, None) => None,
        };
        if let Some(text) = broken {
            self.weather.bug(format!("15: {id}, {text}"));
        }
    }

    /// Returns an error if a write of a retry is for users that its run did not leave.
    async fn is_not_retried(&self, retry: &Retry, asked: &Asked) -> Option<String> {
        let Ok(Some(first)) = self.ledger.run(&retry.run).await else {
            return Some(format!("a retry of {}, which does not exist, writes", retry.run));
        };
        let allowed = if retry.unknown { self.promises.users_of_parts(&first.id) } else { self.failed(&first).await };
        let users = asked.writes.iter().map(|(user, _)| user);
        let others: Vec<&String> = users.filter(|user| !allowed.contains(*user)).collect();
        let of = retry.words();
        if !first.state.ended() {
            return Some(format!("a retry of {of}, writes, and that has not ended"));
        }
        (!others.is_empty()).then(|| format!("a retry of {of}, writes {others:?}"))
    }

    /// Returns an error if a write of an undo is not of a value of its run, or does not restore the old value.
    fn is_not_undone(
        &self,
        run: &Run,
        undo: &Undo,
        (user, attribute, value): (String, String, Value),
    ) -> Option<String> {
        let now = self.attributes(&user)[&attribute].clone();
        let moved = self.world.0.state().users_changed.contains(&user);
        let mut memory = self.promises.memory();
        let place = (user, attribute);
        memory.again.written.entry(run.id.to_string()).or_default().insert(place.clone());
        let (user, attribute) = &place;
        let what = format!("an undo of {}, sets {attribute} of {user} to {value}", undo.run);
        let ours: Vec<&Value> = memory
            .values_by(undo.run.as_str())
            .filter_map(|(of, sent)| (*of == place).then_some(&sent.value))
            .collect();
        if ours.is_empty() {
            return Some(format!("{what}, which that run did not write"));
        }
        // The body of a user has no company's name by its own id.
        if memory.again.begun.get(run.id.as_str()).is_none_or(|users| !users.contains_key(user)) {
            return None;
        }
        let begun = memory.again.begun[run.id.as_str()][user][attribute].clone();
        let is_ours = ours.iter().any(|ours| is_same(ours, &begun) || is_same(ours, &now));
        if !is_ours && !self.alters_values() {
            return Some(format!("{what}, which was {begun} and is {now}, and that run set {ours:?}"));
        }
        let old = memory.old(undo.run.as_str(), user, attribute);
        let is_old = old.iter().any(|old| is_same(old, &value));
        (!is_old && !moved).then(|| format!("{what}, and it was one of {old:?} before that run"))
    }

    /// Returns the users that a run reports as failed.
    pub(crate) async fn failed(&self, run: &Run) -> BTreeSet<String> {
        let rows = self.ledger.errors(run).await.unwrap_or_default();
        rows.into_iter().map(|row| row.user).collect()
    }

    /// Returns the users that a retry must give their values: those that its run reports as failed, or those
    /// of its sent parts that it does not. No other run has written them.
    pub(super) async fn retried(&self, run: &Run, retry: &Retry) -> BTreeSet<String> {
        let Ok(Some(first)) = self.ledger.run(&retry.run).await else { return BTreeSet::new() };
        let failed = self.failed(&first).await;
        if !retry.unknown {
            return failed;
        }
        self.without_end(&first, Some(&run.id)).await
    }

    /// Returns the users of the sent parts of a run that lack the value of its plan, and that it does not report
    /// as failed. No other run has written them, except perhaps its retry.
    pub(crate) async fn without_end(&self, first: &Run, retry: Option<&RunId>) -> BTreeSet<String> {
        // The write of a merged contact has a result, and its user lacks the value.
        let tells = !self.alters_values() && !self.writes_another_contact();
        let Some(plan) = plans::plan(&first.plan).filter(|_| tells) else { return BTreeSet::new() };
        let plan = plan.on_day_of(first.day_s());
        let (failed, state) = (self.failed(first).await, self.world.0.state());
        let mut sent = self.promises.users_sent(first);
        let is_of_another = |of: &str| of != first.id.as_str() && retry.is_none_or(|retry| of != retry.as_str());
        for (_, users) in self.promises.memory().taken.iter().filter(|((of, _), _)| is_of_another(of)) {
            sent.retain(|user| !users.contains(user));
        }
        sent.retain(|id| {
            let user = self.world.0.user(id).and_then(User::new);
            let lacks = user.is_some_and(|user| plan.evaluate(&user).patch.is_some());
            let is_set = self.promises.memory().others.set(id);
            let is_left = !failed.contains(id) && !state.users_changed.contains(id) && !is_set;
            lacks && is_left && !self.is_said_to_be_gone(id, &state)
        });
        sent
    }

    /// Returns the values of an undo that stay, with the reason.
    async fn staying(&self, run: &Run) -> BTreeMap<(String, String), Stays> {
        let mut staying = BTreeMap::new();
        let each = |user: intercom_bulk::domain::undo::StayingUser| {
            for value in user.stays {
                if let Target::Attribute(name) = value.target {
                    staying.insert((user.user.to_string(), name), value.why);
                }
            }
            true
        };
        let _ = self.ledger.each_staying(&run.id, each).await;
        staying
    }

    /// Returns the users with values of a run that its undo neither restored nor reports.
    pub(super) async fn not_restored(&self, run: &Run, undo: &Undo) -> BTreeSet<String> {
        if self.alters_values() {
            return BTreeSet::new();
        }
        let staying = self.staying(run).await;
        let left = |place: &(String, String)| {
            let (user, attribute) = place;
            let Some(now) = self.world.0.user(user).map(|body| body["custom_attributes"][attribute].clone()) else {
                return false;
            };
            let is_reported = staying.get(place).is_some_and(|why| *why != Stays::NotWritten);
            let memory = self.promises.memory();
            let old = memory.old(undo.run.as_str(), user, attribute);
            let begun = memory.again.begun.get(run.id.as_str()).and_then(|users| users.get(user));
            // Otherwise something else set it, or Intercom refused it.
            let was_ours = begun.is_some_and(|begun| memory.is_by(&undo.run, place, &begun[attribute]))
                && !memory.is_set_between(&undo.run, &run.id, place);
            was_ours && !is_reported && !old.iter().any(|old| is_same(old, &now))
        };
        self.promises.values_of(&undo.run).into_iter().filter(left).map(|(user, _)| user).collect()
    }

    /// Counts the end of a retry or an undo, and checks the reasons that an undo reports.
    pub(super) async fn again_ended(&self, run: &Run, cursor: &Cursor) {
        let Some(undo) = &run.undo else {
            if run.retry.is_some() {
                self.weather.again(format!("retry {}", run.state));
            }
            return;
        };
        self.weather.again(format!("undo {}", run.state));
        let staying = self.staying(run).await;
        let mut counts: BTreeMap<&str, BTreeSet<&String>> = BTreeMap::new();
        for ((user, _), why) in &staying {
            self.weather.again(why.word().to_owned());
            counts.entry(why.word()).or_default().insert(user);
        }
        let counts: BTreeMap<&str, u64> = counts.into_iter().map(|(why, users)| (why, users.len() as u64)).collect();
        let reasons = &cursor.tally.skip_reasons;
        let words = [Stays::NotWritten, Stays::ChangedSince, Stays::Unsure, Stays::Gone].map(Stays::word);
        // The names of companies that stay are not read here.
        let differs = run.plan != "company-name" && words.iter().any(|why| reasons.get(*why) != counts.get(why));
        if run.state == State::Complete && run.generation == 1 && differs {
            self.weather.bug(format!("15: {} counts {reasons:?}, and lists {counts:?}", run.id));
        }
        if let Some(text) = staying.iter().find_map(|(place, why)| self.is_misreported(run, undo, place, *why)) {
            self.weather.bug(format!("15: {}, an undo of {}, {text}", run.id, undo.run));
        }
    }

    /// Returns an error if the reason for a value that stays is wrong.
    fn is_misreported(&self, run: &Run, undo: &Undo, place: &(String, String), why: Stays) -> Option<String> {
        let (user, attribute) = place;
        let state = self.world.0.state();
        if state.users_changed.contains(user) || self.alters_values() || !self.set_late(run).is_empty() {
            return None;
        }
        let now = self.attributes(user)[attribute].clone();
        let memory = self.promises.memory();
        let begun = memory.again.begun.get(run.id.as_str()).and_then(|users| users.get(user));
        let is_written = memory.again.written.get(run.id.as_str()).is_some_and(|written| written.contains(place));
        let is_ours = |value: &Value| memory.is_by(&undo.run, place, value);
        let reported = format!("reports {attribute} of {user} as {}", why.word());
        if is_written && why != Stays::NotWritten {
            return Some(format!("{reported}, and wrote it"));
        }
        let begun = begun.map(|begun| &begun[attribute])?;
        // Intercom refuses some users as if it did not have them.
        let is_there =
            self.world.0.user(user).is_some() && state.fired.keys().all(|name| !OF_GONE.contains(&name.as_str()));
        match why {
            Stays::ChangedSince if is_ours(begun) && *begun == now && !self.writes_another_contact() => {
                Some(format!("{reported}, and nothing set it since: {}", json!([begun, now])))
            }
            Stays::Gone if is_there => Some(format!("{reported}, and it is there")),
            _ => None,
        }
    }
}

/// Faults by which Intercom has a user no more, or says so.
const OF_GONE: [&str; 4] = ["denied", "gone-contact", "poison-item", "users-change"];
