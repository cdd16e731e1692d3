//! Promise 9: an older value of ours never overwrites a newer one.

use bytes::Bytes;
use intercom_bulk::domain::run::RunId;
use intercom_simulator::Fault;
use serde_json::Value;

use super::JobSeen;
use crate::storm::Storm;

/// The time that a new generation waits for the previous one's jobs (`closing_at` of a job).
const WAITED_FOR_MS: i64 = 15 * 60 * 1000;

/// A value in a job.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// The index of the run, and the generation that decided the value.
    rank: (usize, u32),
    /// The end of the job's task.
    applied_ms: i64,
    value: Value,
    job: usize,
}

impl Storm {
    /// Records that Intercom created a job from this submission.
    pub(super) fn job_was_made(&self, asked: &Bytes, run: &str, generation: u32) {
        let body: Value = serde_json::from_slice(asked).unwrap_or_default();
        let items = body["items"].as_array().cloned().unwrap_or_default();
        let now_ms = self.now_ms();
        let Some((number, made)) = self.world.0.last_job() else { return };
        let mut memory = self.promises.memory();
        let job =
            JobSeen { id: made.id.clone(), run: run.to_owned(), users: items.len(), created_ms: made.created_at_ms };
        memory.jobs.push(job);
        let ids = items.iter().filter_map(|item| Some(item["data"]["id"].as_str()?.to_owned()));
        memory.taken.entry((run.to_owned(), generation)).or_default().extend(ids);
        let Some(applied_ms) = self.applied_ms(number as u64, now_ms) else { return };
        let rank = (memory.runs.get(run).map_or(usize::MAX, |run| run.order), generation);
        let mut broken = Vec::new();
        for (user, target, value) in items.iter().flat_map(values) {
            let sent = memory.values.entry((user.clone(), target.clone())).or_default();
            for other in sent.iter() {
                let late = (rank < other.rank && applied_ms >= other.applied_ms)
                    || (rank > other.rank && applied_ms <= other.applied_ms);
                if late && other.value != value {
                    broken.push(format!(
                        "9: {target} of {user}: {rank:?} in job {number} at {applied_ms}, {:?} in job {} at {}",
                        other.rank, other.job, other.applied_ms
                    ));
                }
            }
            sent.push(Sent { rank, applied_ms, value, job: number });
        }
        drop(memory);
        broken.into_iter().take(1).for_each(|text| self.weather.bug(text));
    }

    /// Records the begin of a generation: earlier submissions are applied, or never will be.
    pub(super) fn older_jobs_are_over(&self, run: &RunId, generation: u32) {
        let now_ms = self.now_ms();
        let memory = self.promises.memory();
        let ours = memory.jobs.iter().enumerate().filter(|(_, job)| job.run == run.as_str());
        let under_way = ours.filter_map(|(index, job)| {
            let applied_ms = self.applied_ms(index as u64 + 1, job.created_ms)?;
            (applied_ms > now_ms).then(|| format!("{} until {applied_ms}", job.id))
        });
        let under_way: Vec<String> = under_way.collect();
        drop(memory);
        if !under_way.is_empty() {
            self.weather
                .bug(format!("9: generation {generation} of {run} begins at {now_ms} before {under_way:?} are over"));
        }
    }

    /// Returns the time at which a job's values are applied, if it is within a generation's wait.
    fn applied_ms(&self, number: u64, now_ms: i64) -> Option<i64> {
        let options = &self.story.options;
        let never = |fault: &Fault| matches!(fault, Fault::JobNeverEnds(job) | Fault::JobFails(job) | Fault::LoseJob(job) if *job == number);
        if options.faults.iter().any(never) {
            return None;
        }
        // The simulated Intercom uses the first of several faults for one job.
        let slow_s = options.faults.iter().find_map(|fault| match fault {
            Fault::SlowJob { job, seconds } if *job == number => Some(*seconds),
            _ => None,
        });
        let delay_ms = (options.job_delay_s + slow_s.unwrap_or(0)) as i64 * 1000;
        (delay_ms < WAITED_FOR_MS).then_some(now_ms + delay_ms)
    }
}

/// Returns the values that an item sets: user, target, value.
fn values(item: &Value) -> Vec<(String, String, Value)> {
    let data = &item["data"];
    let user = data["id"].as_str().unwrap_or_default();
    let attributes = data["custom_attributes"].as_object().into_iter().flatten();
    let attributes = attributes.map(|(name, value)| (user.to_owned(), name.clone(), value.clone()));
    let companies = data["companies"].as_array().into_iter().flatten();
    let companies = companies.map(|company| {
        let company_id = company["company_id"].as_str().unwrap_or_default();
        (company_id.to_owned(), "company name".to_owned(), company["name"].clone())
    });
    attributes.chain(companies).collect()
}
