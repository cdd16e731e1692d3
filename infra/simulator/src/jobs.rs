//! Bulk jobs: a POST creates them, their items take effect when their tasks are due, they end
//! later.

use std::collections::{BTreeMap, HashMap};

use rand::rngs::SmallRng;
use strum::IntoStaticStr;

use crate::bulk::Item;
use crate::chance::uuid;
use crate::fault::Fault;
use crate::options::Options;
use crate::wire::Refusal;

/// A job accepts further items for this long (all of four samples of 2015 and 2016).
pub(crate) const CLOSING_S: i64 = 900;

/// Every job of the world in the order of creation, and the due times of their tasks.
#[derive(Default)]
pub(crate) struct Jobs {
    pub(crate) list: Vec<Job>,
    by_id: HashMap<String, usize>,
    due: BTreeMap<(i64, u64), (usize, usize)>,
    tasks: u64,
}

/// The effect of a fault on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Ends,
    NeverEnds,
    Fails,
}

/// One job.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) created_at_ms: i64,
    pub(crate) tasks: Vec<Task>,
    pub(crate) fate: Fate,
    /// A request for it returns 404.
    pub(crate) lost: bool,
    /// The answer with its id was sent.
    pub(crate) answered: bool,
    pub(crate) object_delay_ms: i64,
    /// Until then, a request for it returns 404.
    visible_at_ms: i64,
    /// From then on, a request for it returns 404.
    forgotten_at_ms: Option<i64>,
}

/// The items that one POST added to a job.
pub(crate) struct Task {
    pub(crate) id: String,
    pub(crate) item_count: usize,
    pub(crate) created_at_ms: i64,
    pub(crate) started_at_ms: i64,
    pub(crate) due_at_ms: i64,
    /// The remaining items.
    pub(crate) items: Vec<Item>,
    pub(crate) failures: Vec<Failure>,
}

/// A failed item.
pub(crate) struct Failure {
    pub(crate) item: Item,
    pub(crate) refusal: Refusal,
}

/// The states of tasks and jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(crate) enum Stage {
    Pending,
    Running,
    Completed,
    CompletedWithErrors,
    Failed,
}

impl Stage {
    pub(crate) fn name(self) -> &'static str {
        self.into()
    }
}

impl Jobs {
    /// Adds items to a new job, or to the named one. Returns the job's index.
    pub(crate) fn submit(
        &mut self,
        items: Vec<Item>,
        append_to: Option<&str>,
        rng: &mut SmallRng,
        options: &Options,
        now_ms: i64,
    ) -> Result<usize, Refusal> {
        let place = match append_to {
            None => self.open(rng, options, now_ms),
            Some(id) => {
                let place = self.find(id, now_ms)?;
                if self.list[place].closed(now_ms) {
                    return Err(Refusal::JobClosed { id: id.to_owned() });
                }
                place
            }
        };
        let slow_s = options.setting(|fault| match fault {
            Fault::SlowJob { job, seconds } if *job == place as u64 + 1 => Some(*seconds),
            _ => None,
        });
        let delay_ms = (options.job_delay_s + slow_s.unwrap_or(0)) as i64 * 1000;
        self.tasks += 1;
        let task = Task {
            id: format!("task_v2_{}", uuid(rng, 1, '_')),
            item_count: items.len(),
            created_at_ms: now_ms,
            started_at_ms: now_ms + delay_ms / 2,
            due_at_ms: now_ms + delay_ms,
            items,
            failures: Vec::new(),
        };
        let job = &mut self.list[place];
        if job.fate == Fate::Ends {
            self.due.insert((task.due_at_ms, self.tasks), (place, job.tasks.len()));
        }
        job.tasks.push(task);
        Ok(place)
    }

    fn open(&mut self, rng: &mut SmallRng, options: &Options, now_ms: i64) -> usize {
        let number = self.list.len() as u64 + 1;
        let fate = if options.has(&Fault::JobNeverEnds(number)) {
            Fate::NeverEnds
        } else if options.has(&Fault::JobFails(number)) {
            Fate::Fails
        } else {
            Fate::Ends
        };
        let late_s =
            options.setting(|fault| if let Fault::LateJobObject(late_s) = fault { Some(*late_s) } else { None });
        let id = format!("job_v2_{}", uuid(rng, 1, '_'));
        self.by_id.insert(id.clone(), self.list.len());
        self.list.push(Job {
            id,
            created_at_ms: now_ms,
            tasks: Vec::new(),
            fate,
            lost: options.has(&Fault::LoseJob(number)),
            answered: true,
            forgotten_at_ms: options.job_life_s.map(|life_s| now_ms + life_s as i64 * 1000),
            visible_at_ms: now_ms + options.job_visible_after_s as i64 * 1000,
            object_delay_ms: late_s.unwrap_or(options.job_object_delay_s) as i64 * 1000,
        });
        self.list.len() - 1
    }

    /// Returns the configured faults for the job at this index.
    pub(crate) fn faults_of(place: usize, options: &Options) -> impl Iterator<Item = &Fault> {
        let number = place as u64 + 1;
        options.faults.iter().filter(move |fault| match fault {
            Fault::JobNeverEnds(job) | Fault::JobFails(job) | Fault::LoseJob(job) | Fault::SlowJob { job, .. } => {
                *job == number
            }
            Fault::LateJobObject(_) => true,
            _ => false,
        })
    }

    /// Finds a visible job.
    pub(crate) fn find(&self, id: &str, now_ms: i64) -> Result<usize, Refusal> {
        let place = self.by_id.get(id).copied().filter(|place| self.list[*place].is_kept(now_ms));
        place.ok_or_else(|| Refusal::JobNotFound { id: id.to_owned() })
    }

    /// Returns the next due task and its items.
    pub(crate) fn take_due(&mut self, now_ms: i64) -> Option<Due> {
        let entry = self.due.first_entry().filter(|entry| entry.key().0 <= now_ms)?;
        let at_ms = entry.key().0;
        let (job, task) = entry.remove();
        let items = std::mem::take(&mut self.list[job].tasks[task].items);
        Some(Due { job, task, at_ms, items })
    }

    /// Records the outcomes of a task's items.
    pub(crate) fn done(&mut self, due: &Due, failures: Vec<Failure>) {
        self.list[due.job].tasks[due.task].failures = failures;
    }
}

/// A due task.
pub(crate) struct Due {
    job: usize,
    task: usize,
    pub(crate) at_ms: i64,
    pub(crate) items: Vec<Item>,
}

impl Task {
    pub(crate) fn stage(&self, fate: Fate, now_ms: i64) -> Stage {
        match fate {
            _ if now_ms < self.started_at_ms => Stage::Pending,
            Fate::NeverEnds => Stage::Running,
            _ if now_ms < self.due_at_ms => Stage::Running,
            Fate::Fails => Stage::Failed,
            Fate::Ends if self.failures.is_empty() => Stage::Completed,
            Fate::Ends => Stage::CompletedWithErrors,
        }
    }

    pub(crate) fn ended(&self, fate: Fate, now_ms: i64) -> bool {
        fate != Fate::NeverEnds && now_ms >= self.due_at_ms
    }
}

impl Job {
    fn is_kept(&self, now_ms: i64) -> bool {
        !self.lost && now_ms >= self.visible_at_ms && self.forgotten_at_ms.is_none_or(|at_ms| now_ms < at_ms)
    }

    /// Returns the end of the job itself; `None` if it never ends.
    pub(crate) fn ends_at_ms(&self) -> Option<i64> {
        let last = self.tasks.iter().map(|task| task.due_at_ms).max()?;
        (self.fate != Fate::NeverEnds).then_some(last + self.object_delay_ms)
    }

    pub(crate) fn ended(&self, now_ms: i64) -> bool {
        self.ends_at_ms().is_some_and(|ends_at_ms| now_ms >= ends_at_ms)
    }

    pub(crate) fn closed(&self, now_ms: i64) -> bool {
        now_ms >= self.created_at_ms + CLOSING_S * 1000 || self.ended(now_ms)
    }

    pub(crate) fn stage(&self, now_ms: i64) -> Stage {
        if !self.ended(now_ms) {
            return Stage::Running;
        }
        match self.fate {
            Fate::Fails => Stage::Failed,
            _ if self.tasks.iter().all(|task| task.failures.is_empty()) => Stage::Completed,
            _ => Stage::CompletedWithErrors,
        }
    }
}
