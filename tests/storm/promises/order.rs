//! Promise 9: an older value of ours never overwrites a newer one.

use std::collections::BTreeSet;

use intercom_bulk::domain::run::{Run, RunId};
use intercom_simulator::Fault;
use serde_json::Value;

use super::{JobSeen, Memory, Reached};
use crate::asked::Asked;
use crate::storm::{Storm, Who};

/// The time for which a job without a known id is waited for (`closing_at` of a job). A job with a
/// known id is waited for until check closes it.
const WAITED_FOR_MS: i64 = 15 * 60 * 1000;

/// A value in a job.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// The index of the run, and the generation that decided the value.
    pub(super) rank: (usize, u32),
    /// The end of the job's task.
    pub(super) applied_ms: i64,
    pub(super) value: Value,
    /// The index of the job.
    pub(super) job: usize,
}

impl Memory {
    /// Returns whether a job may set values after a later run or generation has begun: it takes too
    /// long, and its id is not known or Intercom does not find it; or an operator released its run.
    pub(super) fn is_excused(&self, job: &JobSeen) -> bool {
        if job.is_put {
            // Also an operator's release waits for requests.
            return false;
        }
        let is_slow = job.applied_ms.is_none_or(|applied_ms| applied_ms - job.created_ms >= WAITED_FOR_MS);
        let has_ended = self.runs.get(&job.run).is_some_and(|run| run.state.ended());
        is_slow && (job.lost || !self.recorded.contains(&job.id)) || has_ended && self.released.contains(&job.run)
    }

    pub(super) fn rank(&self, run: &str, generation: u32) -> (usize, u32) {
        (self.runs.get(run).map_or(usize::MAX, |run| run.order), generation)
    }

    /// Returns whether a value is of an excused job, which is older than this generation of a run.
    fn is_late(&self, sent: &Sent, rank: (usize, u32)) -> bool {
        sent.rank < rank && self.is_excused(&self.jobs[sent.job])
    }

    /// Returns the users whose present value is late.
    fn set_late(&self, run: &str, generation: u32, now_ms: i64) -> BTreeSet<String> {
        let rank = self.rank(run, generation);
        let last = |sent: &[Sent]| {
            let applied = sent.iter().filter(|sent| sent.applied_ms <= now_ms);
            applied.max_by_key(|sent| sent.applied_ms).is_some_and(|last| self.is_late(last, rank))
        };
        let late = self.values.iter().filter(|(_, sent)| last(sent));
        late.map(|((user, _), _)| user.clone()).collect()
    }

    /// Returns the jobs that set values after `now_ms`, of the runs that `is_of` selects.
    pub(super) fn under_way(&self, now_ms: i64, is_of: impl Fn(&str) -> bool) -> Vec<String> {
        let jobs = self.jobs.iter().filter(|job| is_of(&job.run) && !self.is_excused(job));
        let open = jobs.filter_map(|job| Some((job, job.applied_ms.filter(|applied_ms| *applied_ms > now_ms)?)));
        open.map(|(job, applied_ms)| format!("{} of {} until {applied_ms}", job.id, job.run)).collect()
    }
}

impl Storm {
    /// Records that Intercom created a job from this submission.
    pub(crate) fn job_was_made(&self, asked: &Asked, reached: &Reached) {
        let Some(of) = &reached.submits else { return };
        let (run, generation, now_ms) = (of.run.as_str(), of.generation, self.now_ms());
        let Some((number, made)) = self.world.0.last_job() else { return };
        let applied_ms = self.applied_ms(number as u64, now_ms);
        let mut memory = self.promises.memory();
        let (id, run_of_job) = (made.id.clone(), run.to_owned());
        let lost = self.story.options.faults.contains(&Fault::LoseJob(number as u64));
        let (users, created_ms) = (asked.writes.len(), made.created_at_ms);
        memory.jobs.push(JobSeen {
            id,
            run: run_of_job,
            generation,
            users,
            created_ms,
            applied_ms,
            lost,
            is_put: false,
        });
        let index = memory.jobs.len() - 1;
        let ids = asked.writes.iter().map(|(user, _)| user.clone());
        memory.taken.entry((run.to_owned(), generation)).or_default().extend(ids);
        let rank = memory.rank(run, generation);
        let mut broken = Vec::new();
        if let Some((later, _)) = memory.runs.iter().find(|(_, seen)| seen.reads && seen.order > rank.0) {
            broken.push(format!("9: a job of {run} is created after {later} read a page"));
        }
        let Some(applied_ms) = applied_ms else { return broken.into_iter().for_each(|text| self.weather.bug(text)) };
        for (user, target, value) in asked.writes.iter().flat_map(values) {
            let there = memory.values.get(&(user.clone(), target.clone())).map_or(&[][..], Vec::as_slice);
            for other in there.iter().filter(|other| other.value != value) {
                let older = &memory.jobs[other.job];
                let late = rank < other.rank && applied_ms >= other.applied_ms
                    || rank > other.rank && applied_ms <= other.applied_ms && !memory.is_excused(older);
                if late {
                    broken.push(format!(
                        "9: {target} of {user}: {rank:?} in job {number} at {applied_ms}, {:?} in job {} at {}",
                        other.rank,
                        other.job + 1,
                        other.applied_ms
                    ));
                }
            }
            memory.values.entry((user, target)).or_default().push(Sent { rank, applied_ms, value, job: index });
        }
        drop(memory);
        broken.into_iter().take(1).for_each(|text| self.weather.bug(text));
    }

    /// Records the begin of a generation: earlier submissions are applied, or never will be.
    pub(super) fn older_jobs_are_over(&self, run: &RunId, generation: u32) {
        let now_ms = self.now_ms();
        let under_way = self.promises.memory().under_way(now_ms, |of| of == run.as_str());
        if !under_way.is_empty() {
            self.weather
                .bug(format!("9: generation {generation} of {run} begins at {now_ms} before {under_way:?} are over"));
        }
    }

    /// Records that a run reads users: the submissions of earlier runs are applied, or never will
    /// be.
    pub(super) fn earlier_runs_are_over(&self, who: Option<Who>) {
        let Some(run) = self.invoked(who).and_then(|invoked| invoked.run) else { return };
        let now_ms = self.now_ms();
        let mut memory = self.promises.memory();
        let Some(seen) = memory.runs.get_mut(&run) else { return };
        seen.read_generation = seen.read_generation.max(seen.generation);
        if std::mem::replace(&mut seen.reads, true) {
            return;
        }
        let order = seen.order;
        let is_earlier = |of: &str| memory.runs.get(of).is_some_and(|seen| seen.order < order);
        let under_way = memory.under_way(now_ms, is_earlier);
        drop(memory);
        if !under_way.is_empty() {
            self.weather.bug(format!("9: {run} reads users at {now_ms} before {under_way:?} are over"));
        }
    }

    /// Returns whether a job that the run did not have to wait for has set a value, also one that the run
    /// replaced.
    pub(super) fn is_set_late(&self, run: &Run) -> bool {
        let (memory, now_ms) = (self.promises.memory(), self.now_ms());
        let rank = memory.rank(run.id.as_str(), run.generation);
        memory.values.values().flatten().any(|sent| sent.applied_ms <= now_ms && memory.is_late(sent, rank))
    }

    /// Returns the users whose present value is of a job that the run did not have to wait for.
    pub(super) fn set_late(&self, run: &Run) -> BTreeSet<String> {
        self.promises.memory().set_late(run.id.as_str(), run.generation, self.now_ms())
    }

    /// Records that an operator sends a release of a run.
    pub(crate) fn is_to_be_released(&self, run: &RunId) {
        self.promises.memory().released.insert(run.to_string());
    }

    /// Checks the answer to a release: no run waits for the jobs of an ended run any more, and a run that
    /// has not ended is not released.
    pub(crate) async fn release_was_answered(&self, run: &RunId, answer: &Value) {
        let hint = answer["hint"].as_str().unwrap_or_default();
        if hint.starts_with("the run has not ended") {
            self.promises.memory().released.remove(run.as_str());
            return;
        }
        let (Ok(active), Ok(Some(row))) = (self.ledger.active().await, self.ledger.run(run).await) else { return };
        let waits = active.unsettled.iter().any(|entry| entry.id == *run && entry.released_ms.is_none());
        if waits || !row.state.ended() {
            self.weather
                .bug(format!("9: {run} is {}, its release is answered {answer}, and runs wait: {waits}", row.state));
        }
        let says = row.reason.is_some_and(|reason| reason.contains("an operator released it while"));
        if answer["did"] == "released" && !says {
            self.weather.bug(format!("9: {run} was released, and its reason does not say so"));
        }
    }

    /// Returns the time at which a job's values are applied; `None` if they are not.
    fn applied_ms(&self, number: u64, now_ms: i64) -> Option<i64> {
        let options = &self.story.options;
        let never = |fault: &Fault| matches!(fault, Fault::JobNeverEnds(job) | Fault::JobFails(job) if *job == number);
        if options.faults.iter().any(never) {
            return None;
        }
        // The simulated Intercom uses the first of several faults for one job.
        let slow_s = options.faults.iter().find_map(|fault| match fault {
            Fault::SlowJob { job, seconds } if *job == number => Some(*seconds),
            _ => None,
        });
        Some(now_ms + (options.job_delay_s + slow_s.unwrap_or(0)) as i64 * 1000)
    }
}

/// Returns the values that a write sets: user, target, value.
pub(super) fn values((user, data): &(String, Value)) -> Vec<(String, String, Value)> {
    let attributes = data["custom_attributes"].as_object().into_iter().flatten();
    let attributes = attributes.map(|(name, value)| (user.clone(), name.clone(), value.clone()));
    let companies = data["companies"].as_array().into_iter().flatten();
    let companies = companies.map(|company| {
        let company_id = company["company_id"].as_str().unwrap_or_default();
        (company_id.to_owned(), "company name".to_owned(), company["name"].clone())
    });
    attributes.chain(companies).collect()
}
