//! Conservation: every sent part is done, dropped, given up, or still in the queue.

use std::collections::BTreeSet;

use intercom_bulk::domain::part::Part;
use intercom_bulk::domain::run::{Phase, RunId, State};

use super::{Promises, Submission};
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

impl Storm {
    /// Checks a deletion from the patches queue; `before` are its previous bodies.
    pub(super) async fn parts_are_kept(&self, before: &[String]) {
        let ours = |body: &&String| !self.story.is_nonsense(body);
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
            if end.is_none() {
                self.weather.bug(format!("part {} of {} left the queue and has no end", part.id, part.run));
            }
        }
    }
}

impl Storm {
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
    /// Records a write to the ledger.
    pub(super) fn remember_write(&self, who: Option<Who>, call: &AwsCall) {
        let mut memory = self.memory();
        memory.writes += 1;
        for key in call.sort_keys() {
            match key.split_once('#') {
                Some(("JOB", job)) => drop(memory.recorded.insert(job.to_owned())),
                Some(("CHANGES", rest)) => {
                    let generation = rest.split('#').next().and_then(|generation| generation.parse().ok());
                    let changes = call.run().zip(generation).map(|(run, generation)| Submission {
                        run: run.to_owned(),
                        generation,
                        key: key.to_owned(),
                    });
                    if let Some(who) = who {
                        memory.by.entry(who).or_default().changes = changes;
                    }
                }
                Some(("PART", part))
                    if call.operation == "UpdateItem" && call.body.contains("claim_until_ms = :until") =>
                {
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
