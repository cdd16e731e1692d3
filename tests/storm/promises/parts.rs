//! Conservation: every part that was sent is done, dropped, given up, or still in the queue.

use std::collections::BTreeSet;

use intercom_bulk::part::{Origin, Part};
use intercom_bulk::run::{Phase, RunId, State};

use super::Promises;
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

impl Storm {
    /// Messages of the patches queue were deleted; `before` are the bodies that it held.
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
    /// Messages of the pages queue were deleted; `before` are the bodies that it held. What carries a run on is in the queue
    /// as long as nobody is at it: the present turn's message, or the one before, which sends it again.
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
            // Who asks to go on from outside may die before the message is sent; the tick sends it then.
            let from_outside = self.story.is_resumed();
            let over = row.state != State::Running || cursor.phase == Phase::Ended;
            let near = turn == cursor.turn || turn + 1 == cursor.turn;
            if over || from_outside || !near || cursor.claim.is_some() {
                continue;
            }
            let before = cursor.turn.saturating_sub(1);
            if !kept.contains(&(run.clone(), before)) && !kept.contains(&(run.clone(), cursor.turn)) {
                self.weather.bug(format!("the chain of {run} broke at turn {}", cursor.turn));
            }
        }
    }
}

impl Storm {
    /// A commit counts no part that was never sent.
    pub(super) fn parts_were_sent(&self, run: &RunId, call: &AwsCall) {
        // A claim is no commit.
        if call.operation == "UpdateItem" {
            return;
        }
        let (generation, page, parts) = (call.number("generation"), call.number("page"), call.number("parts"));
        let new = {
            let mut memory = self.promises.memory();
            let Some(seen) = memory.runs.get_mut(run.as_str()) else { return };
            let before = std::mem::replace(&mut seen.parts, (generation, parts));
            if before.0 == generation { parts.saturating_sub(before.1) } else { parts }
        };
        if new == 0 {
            return;
        }
        let sent = self.sqs.ever_sent().into_iter().filter_map(|body| serde_json::from_str::<Part>(&body).ok());
        let of_page = |part: &Part| {
            let Origin::Page { page: of, .. } = part.id.origin else { return false };
            part.run == *run && (u64::from(part.id.generation), u64::from(of)) == (generation, page)
        };
        let sent: BTreeSet<_> = sent.filter(of_page).map(|part| part.id).collect();
        if (sent.len() as u64) < new {
            self.weather
                .bug(format!("1: {run} counts {new} parts of page {page} as sent, of which {} were", sent.len()));
        }
    }
}

impl Promises {
    /// A write to the ledger was carried out.
    pub(super) fn remember_write(&self, who: Option<Who>, call: &AwsCall) {
        let mut memory = self.memory();
        memory.writes += 1;
        memory.paid += call.number(":operations");
        for key in call.sort_keys() {
            match key.split_once('#') {
                Some(("JOB", job)) => drop(memory.recorded.insert(job.to_owned())),
                Some(("CHANGES", rest)) => {
                    let generation = rest.split('#').next().and_then(|generation| generation.parse().ok());
                    let changes = call.run().map(ToOwned::to_owned).zip(generation);
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
                _ => {}
            }
        }
    }
}
