//! Conservation: a page's parts have names of their own reading, only those of the reading that was
//! committed are written, and a list is read once it shows the writes before.

use std::collections::BTreeMap;

use intercom_bulk::domain::part::{Origin, Part, PartId};
use intercom_bulk::domain::run::RunId;

use super::Submission;
use super::jobs::part_id;
use crate::asked::{Asked, Kind};
use crate::seams::names::AwsCall;
use crate::storm::{Storm, Who};

/// The time after which a list shows a write, in milliseconds.
pub(super) const LIST_LAG_MS: i64 = 180_000;

/// The readings of pages.
#[derive(Debug, Default)]
pub(super) struct Readings {
    /// The invocation that made a part.
    made_by: BTreeMap<(RunId, PartId), Who>,
    /// The invocation that committed a page, by run, generation and page.
    won: BTreeMap<(RunId, u32, u32), Who>,
}

impl Storm {
    /// Checks a part that an invocation wrote to the ledger: no other one has made a part of this name.
    pub(super) fn part_has_its_own_name(&self, who: Option<Who>, part: &Part) {
        let (Some(who), Origin::Page { .. }) = (who, &part.id.origin) else { return };
        let mut memory = self.promises.memory();
        let made_by = *memory.readings.made_by.entry((part.run.clone(), part.id.clone())).or_insert(who);
        drop(memory);
        if made_by != who {
            let (id, run) = (&part.id, &part.run);
            self.weather.bug(format!("1: {id} of {run} is made by request-{made_by}, and again by request-{who}"));
        }
    }

    /// Records the commit of a page with parts.
    pub(super) fn page_was_committed(&self, who: Option<Who>, run: &RunId, call: &AwsCall) {
        let (Some(who), true) = (who, call.names("PAGE")) else { return };
        let at = (run.clone(), call.number("generation") as u32, call.number("page") as u32);
        self.promises.memory().readings.won.insert(at, who);
    }

    /// Checks a write of users: each of its parts is of the reading that was committed.
    pub(super) fn parts_have_won(&self, of: &Submission) {
        let Some(run) = RunId::parse(&of.run) else { return };
        let memory = self.promises.memory();
        let is_void = |id: &PartId| {
            let Origin::Page { page, .. } = id.origin else { return false };
            let won = memory.readings.won.get(&(run.clone(), id.generation, page));
            won.is_none() || won != memory.readings.made_by.get(&(run.clone(), id.clone()))
        };
        let void = of.parts.iter().filter_map(|part| part_id(part)).find(is_void);
        drop(memory);
        if let Some(id) = void {
            self.weather.bug(format!("1: users of {id} of {run} are written, and another reading of its page won"));
        }
    }

    /// Checks a request for the first page of a list: it shows the writes of earlier runs and generations.
    pub(super) fn list_shows_writes(&self, who: Option<Who>, asked: &Asked) {
        if asked.kind != Kind::Page || !asked.place.is_empty() || !self.story.has_contacts() {
            return;
        }
        let (Some(run), now_ms) = (self.invoked(who).and_then(|invoked| invoked.run), self.now_ms()) else { return };
        let memory = self.promises.memory();
        let Some(seen) = memory.runs.get(&run) else { return };
        let is_earlier = |job: &&super::JobSeen| job.run != run || job.generation < seen.generation;
        let jobs = memory.jobs.iter().filter(is_earlier).filter(|job| !memory.is_excused(job));
        let last_ms = jobs.filter_map(|job| job.applied_ms).filter(|applied_ms| *applied_ms <= now_ms).max();
        drop(memory);
        let early = last_ms.map(|last_ms| now_ms - last_ms).filter(|ms| *ms < LIST_LAG_MS - 2 * self.story.skew_ms);
        if let Some(ms) = early {
            self.weather.bug(format!("9: {run} reads the list {ms} ms after a write, and it shows writes later"));
        }
    }
}
