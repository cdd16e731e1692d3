//! Conservation: a part ends for a reason, and each of its users with it.

use std::collections::BTreeSet;

use intercom_bulk::domain::part::PartId;
use intercom_bulk::domain::run::RunId;

use super::jobs::part_id;
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

impl Storm {
    /// Checks a write that ended parts.
    pub(super) async fn parts_may_have_ended(&self, who: Option<Who>, run: &RunId, call: &AwsCall) {
        let end = [r#""done""#, r#""dropped""#, r#""given_up""#]
            .into_iter()
            .find(|end| call.body.contains(&format!(r#"":end":{{"S":{end}}}"#)));
        let Some(end) = end else { return };
        self.learn_parts();
        let parts: Vec<PartId> = call.sort_keys().filter_map(|sk| part_id(sk.strip_prefix("PART#")?)).collect();
        for part in parts {
            let fault = match end {
                r#""dropped""# => self.promises.dropped_in_vain(who, run, &part),
                _ => self.without_an_end(run, &part, end).await,
            };
            if let Some(fault) = fault {
                self.weather.bug(format!("1: part {part} of {run} is {end}, and {fault}"));
            }
        }
    }

    /// Returns an error if users of a part are in no job and no error row.
    async fn without_an_end(&self, run: &RunId, part: &PartId, end: &str) -> Option<String> {
        let mut users: BTreeSet<String> = {
            let memory = self.promises.memory();
            let Some(users) = memory.sent.get(&(run.clone(), part.clone())) else {
                return Some("it was never sent".to_owned());
            };
            let taken = memory.taken.get(&(run.to_string(), part.generation)).filter(|_| end.contains("done"));
            users.iter().filter(|user| taken.is_none_or(|taken| !taken.contains(*user))).cloned().collect()
        };
        if users.is_empty() {
            return None;
        }
        if let Ok(Some(run)) = self.ledger.run(run).await {
            for row in self.ledger.errors(&run).await.unwrap_or_default() {
                users.remove(&row.user);
            }
        }
        (!users.is_empty()).then(|| format!("{users:?} are in no job of it and in no error row"))
    }
}

impl super::Promises {
    /// Returns an error if a part was dropped that its run wants, by the knowledge of the
    /// invocation.
    fn dropped_in_vain(&self, who: Option<Who>, run: &RunId, part: &PartId) -> Option<String> {
        let memory = self.memory();
        let seen = memory.runs.get(run.as_str())?;
        let read_ms = memory.by.get(&who?).map_or(0, |did| did.read_run_ms);
        let wanted = seen.state.submits() && part.generation >= seen.generation && read_ms > seen.changed_ms;
        wanted.then(|| format!("it is {} at generation {}", seen.state, seen.generation))
    }
}
