//! Conservation: a part ends for a reason, and each of its users with it.

use std::collections::BTreeSet;

use intercom_bulk::domain::part::PartId;
use intercom_bulk::domain::run::RunId;
use intercom_bulk::ledger::PartEnd;
use serde_json::{Value, json};

use super::jobs::part_id;
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

impl Storm {
    /// Checks a write that ended parts.
    pub(super) async fn parts_may_have_ended(&self, who: Option<Who>, run: &RunId, call: &AwsCall) {
        if !call.names("PART") || !call.body.contains("\":end\"") {
            return;
        }
        self.learn_parts();
        for (part, end) in ended_parts(&call.body) {
            let fault = match end {
                PartEnd::Dropped => self.promises.dropped_in_vain(who, run, &part),
                PartEnd::Done | PartEnd::GivenUp => self.without_an_end(run, &part, end).await,
            };
            if let Some(fault) = fault {
                self.weather.bug(format!("1: part {part} of {run} is {end:?}, and {fault}"));
            }
        }
    }

    /// Returns an error if users of a part are in no job and no error row. Answers may be lost, so
    /// the users of a part that was given up must be in a recorded job.
    async fn without_an_end(&self, run: &RunId, part: &PartId, end: PartEnd) -> Option<String> {
        if end == PartEnd::Done && self.story.has_contacts() {
            return self.without_a_result(run, part).await;
        }
        let (all, mut users) = {
            let memory = self.promises.memory();
            let Some(all) = memory.sent.get(&(run.clone(), part.clone())).cloned() else {
                return Some("it was never sent".to_owned());
            };
            let taken = memory.taken.get(&(run.to_string(), part.generation)).filter(|_| end == PartEnd::Done);
            let users: BTreeSet<String> =
                all.iter().filter(|user| taken.is_none_or(|taken| !taken.contains(*user))).cloned().collect();
            (all, users)
        };
        if users.is_empty() {
            return None;
        }
        if let Ok(Some(run)) = self.ledger.run(run).await {
            for row in self.ledger.errors(&run).await.unwrap_or_default() {
                users.remove(&row.user);
            }
        }
        if !users.is_empty() && end == PartEnd::GivenUp {
            for place in self.places_in_jobs(run, part, all.len()).await {
                all.get(place).map(|user| users.remove(user));
            }
        }
        (!users.is_empty()).then(|| format!("{users:?} are in no job of it and in no error row"))
    }

    /// Returns the places of the users of a part that are in recorded jobs.
    async fn places_in_jobs(&self, run: &RunId, part: &PartId, users: usize) -> Vec<usize> {
        let mut places = Vec::new();
        for bucket in self.ledger.buckets_of(run).await.unwrap_or_default() {
            let rows = self.ledger.jobs(&bucket).await.unwrap_or_default();
            let parts = rows.into_iter().filter(|row| row.run == *run).flat_map(|row| row.parts);
            for of in parts.filter(|of| of.part == *part) {
                let some = of.users.map(|of| of.into_iter().map(|place| place as usize).collect());
                places.extend(some.unwrap_or_else(|| (0..users).collect::<Vec<_>>()));
            }
        }
        places
    }
}

/// Returns the parts that a write ends. A transaction may end some of its parts only.
fn ended_parts(body: &str) -> Vec<(PartId, PartEnd)> {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let single = [json!({ "Update": body })];
    let items = body["TransactItems"].as_array().map_or(&single[..], Vec::as_slice);
    let ended = |item: &Value| {
        let update = &item["Update"];
        let part = part_id(update["Key"]["sk"]["S"].as_str()?.strip_prefix("PART#")?)?;
        let end = serde_json::from_value(update["ExpressionAttributeValues"][":end"]["S"].clone()).ok()?;
        Some((part, end))
    };
    items.iter().filter_map(ended).collect()
}

impl super::Promises {
    /// Returns an error if a part was dropped that its run wants, by the knowledge of the
    /// invocation.
    fn dropped_in_vain(&self, who: Option<Who>, run: &RunId, part: &PartId) -> Option<String> {
        let memory = self.memory();
        let seen = memory.runs.get(run.as_str())?;
        let read_ms = memory.by.get(&who?).map_or(0, |did| did.read_ms(run.as_str()));
        let wanted = seen.state.submits() && part.generation >= seen.generation && read_ms > seen.changed_ms;
        wanted.then(|| format!("it is {} at generation {}", seen.state, seen.generation))
    }
}
