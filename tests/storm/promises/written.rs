//! Promise 9 for writes of one user: Intercom applies their values at once.

use std::collections::BTreeSet;

use intercom_bulk::domain::run::RunId;
use intercom_bulk::runtime::event::StartEvent;
use serde_json::Value;

use super::order::{Sent, values};
use super::{JobSeen, Reached, Submission};
use crate::again::What;
use crate::asked::Asked;
use crate::storm::Storm;

impl Storm {
    /// Checks a write that Intercom carries out now: no later value is there, and no later run or
    /// generation has read users.
    pub(crate) fn was_written(&self, asked: &Asked, reached: &Reached) {
        let Some(of) = &reached.submits else { return };
        if let Some(text) = self.is_newest(asked, of) {
            self.weather.bug(text);
        }
    }

    /// Records a write. Returns an error if a later value is there, or something later has read users.
    fn is_newest(&self, asked: &Asked, of: &Submission) -> Option<String> {
        let (run, generation, now_ms) = (&of.run, of.generation, self.now_ms());
        let mut memory = self.promises.memory();
        let rank = memory.rank(run, generation);
        let mut broken = Vec::new();
        if let Some((later, _)) = memory.runs.iter().find(|(_, seen)| seen.reads && seen.order > rank.0) {
            broken.push(format!("9: a user of {run} is written after {later} read a page"));
        }
        if let Some(seen) = memory.runs.get(run).filter(|seen| seen.read_generation > generation) {
            let later = seen.read_generation;
            broken.push(format!("9: a user of generation {generation} of {run} is written after {later} read a page"));
        }
        let id = format!("put-{}", memory.jobs.len());
        // A request that is carried out late, after its repetition, sets no other value.
        let changes = asked.writes.iter().flat_map(values).any(|(user, target, value)| {
            let sent = memory.values.get(&(user, target));
            sent.and_then(|sent| sent.last()).is_none_or(|last| last.value != value)
        });
        let (of_run, applied_ms) = (run.clone(), changes.then_some(now_ms));
        memory.jobs.push(JobSeen {
            id,
            run: of_run,
            generation,
            users: 1,
            created_ms: now_ms,
            applied_ms,
            lost: false,
            is_put: true,
        });
        let job = memory.jobs.len() - 1;
        let users: BTreeSet<String> = asked.writes.iter().map(|(user, _)| user.clone()).collect();
        memory.taken.entry((run.clone(), generation)).or_default().extend(users.clone());
        memory.put.entry((run.clone(), generation)).or_default().extend(users);
        for (user, target, value) in asked.writes.iter().flat_map(values) {
            let sent = memory.values.entry((user.clone(), target.clone())).or_default();
            if let Some(later) = sent.iter().find(|other| other.value != value && other.rank > rank) {
                broken.push(format!("9: {target} of {user}: {rank:?} at {now_ms}, after {later:?}"));
            }
            sent.push(Sent { rank, applied_ms: now_ms, value, job });
        }
        broken.into_iter().next()
    }

    /// Returns whether a dead letter is a start whose attribute does not exist any more.
    pub(crate) fn is_refused_start(&self, body: &str) -> bool {
        let is_removed = self.world.0.state().fired.contains_key("remove-attribute");
        let event = || serde_json::from_str(body).ok().and_then(|event| StartEvent::read(&event).ok());
        is_removed && event().is_some() || self.may_refuse_again(body)
    }

    /// Returns whether a start may be refused because of a retry or an undo. The token may be of another
    /// workspace, or may not ask for its own. A retry may have no user any more, a later run may have written
    /// after the one that is undone, and an undo holds the stored plan.
    fn may_refuse_again(&self, body: &str) -> bool {
        let Ok(event) = serde_json::from_str::<Value>(body) else { return false };
        let cannot_ask = self.story.has_foreign_token() || self.story.is_denied();
        if !event["retry"].is_null() {
            return cannot_ask || event["retry"]["unknown"] == true;
        }
        let memory = self.promises.memory();
        let order = |run: &Value| memory.runs.get(run.as_str().unwrap_or_default()).map(|seen| seen.order);
        if !event["undo"].is_null() {
            return cannot_ask || order(&event["undo"]["run"]).is_some_and(|order| order + 1 < memory.runs.len());
        }
        event["plan"].is_string() && self.story.again.iter().any(|again| matches!(again.what, What::Undo { .. }))
    }

    /// Checks the run of a request that Intercom carries out now: if it has ended, later runs wait for it.
    pub(crate) async fn is_waited_for(&self, reached: &Reached) {
        let Some(id) = reached.submits.as_ref().and_then(|of| RunId::parse(&of.run)) else { return };
        let (Ok(Some(row)), Ok(active)) = (self.ledger.run(&id).await, self.ledger.active().await) else { return };
        if !row.state.ended() {
            return;
        }
        let until_ms = active.unsettled.iter().find(|entry| entry.id == id).map(|entry| entry.writes_until_ms);
        if until_ms.is_none_or(|until_ms| until_ms + 2 * self.story.skew_ms < self.now_ms()) {
            let now_ms = self.now_ms();
            self.weather.bug(format!("9: users of {id}, which has ended, are written at {now_ms}: {until_ms:?}"));
        }
    }

    /// Checks a run that just ended: if one of its jobs may still set values, later runs wait for it.
    pub(super) async fn ended_run_is_waited_for(&self, id: &RunId) {
        let Ok(active) = self.ledger.active().await else { return };
        let now_ms = self.now_ms();
        let under_way = self.promises.memory().under_way(now_ms, |of| of == id.as_str());
        if !under_way.is_empty() && !active.unsettled.iter().any(|entry| entry.id == *id) {
            self.weather.bug(format!("9: {id} has ended, no run waits for it at {now_ms}, and {under_way:?}"));
        }
    }
}
