//! Conservation: every sent part is done, dropped, given up, or still in the queue.

use std::collections::BTreeSet;

use intercom_bulk::domain::part::Part;
use intercom_bulk::domain::run::{Phase, RunId, State};

use super::jobs::part_id;
use super::{Promises, Submission};
use crate::asked::Asked;
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};
use crate::story::Story;

/// The longest invocation of submit, with the deletion of its messages, in milliseconds.
pub(super) const INVOCATION_MAX_MS: i64 = 320_000;

impl Storm {
    /// Checks a deletion from the patches queue; `before` are its previous bodies.
    pub(super) async fn parts_are_kept(&self, before: &[String]) {
        let ours = |body: &&String| !Story::is_nonsense(body);
        let part = |body: &String| serde_json::from_str::<Part>(body).ok();
        let after: BTreeSet<String> = self.sqs.bodies("patches").into_iter().collect();
        let kept: BTreeSet<_> = after.iter().filter_map(part).map(|part| (part.run, part.id)).collect();
        for part in before.iter().filter(ours).filter(|body| !after.contains(*body)).filter_map(part) {
            if kept.contains(&(part.run.clone(), part.id.clone())) {
                continue;
            }
            let row = self.ledger.part(&part.run, &part.id).await;
            let end = row.ok().flatten().and_then(|row| row.end);
            self.weather.note(|| format!("part {} {} leaves the queue: {end:?}", part.run, part.id));
            if end.is_none() && self.is_wanted(&part).await {
                self.weather.bug(format!("part {} of {} left the queue and has no end", part.id, part.run));
            }
        }
    }
}

impl Storm {
    /// Returns whether submit must keep the message of a part without end: its run has submitted its
    /// generation for longer than an invocation lasts. An invocation that found the run stopped
    /// deletes the message, and a resume sends it again.
    async fn is_wanted(&self, part: &Part) -> bool {
        let Ok(Some(run)) = self.ledger.run(&part.run).await else { return false };
        let changed_ms = self.promises.memory().runs.get(part.run.as_str()).map_or(0, |seen| seen.changed_ms);
        let lasts = self.now_ms() - changed_ms > INVOCATION_MAX_MS;
        run.submits() && part.id.generation >= run.generation && lasts
    }

    /// Checks a deletion from the pages queue; `before` are its previous bodies.
    ///
    /// Unless an invocation works on a run, the queue has its current turn's message, or the
    /// previous one, which resends it.
    pub(super) async fn chain_is_kept(&self, before: &[String]) {
        let turn = |body: &String| {
            let body: serde_json::Value = serde_json::from_str(body).ok()?;
            Some((RunId::parse(body.get("run")?.as_str()?)?, body.get("turn")?.as_u64()?))
        };
        let after = self.sqs.bodies("pages");
        let kept: BTreeSet<_> = after.iter().filter_map(turn).collect();
        for (run, turn) in before.iter().filter(|body| !after.contains(*body)).filter_map(turn) {
            if kept.range((run.clone(), turn)..).next().is_some_and(|(of, _)| *of == run) {
                continue;
            }
            let (Ok(Some(row)), Ok(Some(cursor))) = (self.ledger.run(&run).await, self.ledger.cursor(&run).await)
            else {
                continue;
            };
            // An external resume may die before it sends its message; then the tick sends it.
            let from_outside = self.story.is_resumed();
            let over = row.state != State::Running || cursor.phase == Phase::Ended;
            let near = turn == cursor.turn || turn + 1 == cursor.turn;
            if over || from_outside || !near || cursor.lease.is_some() {
                continue;
            }
            let before = cursor.turn.saturating_sub(1);
            if !kept.contains(&(run.clone(), before)) && !kept.contains(&(run.clone(), cursor.turn)) {
                self.weather.bug(format!("the chain of {run} broke at turn {}", cursor.turn));
            }
        }
    }
}

impl Promises {
    /// Returns the submission of a bulk request: the run and the parts under this invocation's lease
    /// that hold its users. `None` if a user is in none of them.
    pub(super) fn submission(&self, who: Who, asked: &Asked) -> Option<Submission> {
        let all: BTreeSet<&str> = asked.writes.iter().map(|(user, _)| user.as_str()).collect();
        let mut users = all.clone();
        let memory = self.memory();
        let leased = &memory.by.get(&who)?.parts;
        let run = leased.last()?.0.clone();
        let mut parts = Vec::new();
        for (_, name) in leased.iter().filter(|(of, _)| *of == run) {
            let Some(sent) = memory.sent.get(&(RunId::parse(&run)?, part_id(name)?)) else { continue };
            if sent.iter().any(|user| all.contains(user.as_str())) {
                parts.push(name.clone());
            }
            for user in sent {
                users.remove(user.as_str());
            }
        }
        let generation = part_id(parts.first()?)?.generation;
        users.is_empty().then_some(Submission { run, generation, parts })
    }

    /// Records a write to the ledger.
    pub(super) fn remember_write(&self, who: Option<Who>, call: &AwsCall) {
        let mut memory = self.memory();
        memory.writes += 1;
        for key in call.sort_keys() {
            match key.split_once('#') {
                Some(("JOB", job)) => drop(memory.recorded.insert(job.to_owned())),
                Some(("PART", part)) if call.body.contains("claim_until_ms = :until") => {
                    if let (Some(who), Some(run)) = (who, call.run()) {
                        let parts = &mut memory.by.entry(who).or_default().parts;
                        parts.push((run.to_owned(), part.to_owned()));
                    }
                }
                // The lease of another invocation may hide a job.
                Some(("PART", _)) if call.body.contains("claim_owner <> :owner") => {
                    *memory.loose.entry(call.run().unwrap_or_default().to_owned()).or_default() += 1;
                }
                _ => {}
            }
        }
    }
}
