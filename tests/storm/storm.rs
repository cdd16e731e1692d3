//! The state of one story: the weather, the workspace, an undisturbed view of the ledger, and the
//! running invocations.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use intercom_bulk::ledger::Ledger;
use intercom_simulator::World;
use serde_json::Value;
use tokio::time::sleep;

use crate::await_point::Step;
use crate::outage::LetThrough;
use crate::process::Fate;
use crate::promises::{Promises, of_people};
use crate::roles::{Roles, needed};
use crate::rollback::NewerRun;
use crate::sqs::Sqs;
use crate::story::Story;
use crate::weather::Weather;

/// The wall time at which every story begins, in Unix milliseconds: 1 November 2016, 11:00:33.
pub(crate) const BEGIN_MS: i64 = 1_477_998_033_000;

/// The number of an invocation within its story.
pub(crate) type Who = u64;

/// One story's world.
#[derive(Debug)]
pub(crate) struct Storm {
    pub(crate) story: Story,
    pub(crate) weather: Arc<Weather>,
    pub(crate) world: Workspace,
    /// The ledger, read without the weather.
    pub(crate) ledger: Ledger,
    pub(crate) sqs: Sqs,
    /// Values that may be sent to Intercom only.
    pub(crate) secrets: Vec<String>,
    pub(crate) promises: Promises,
    /// The users that an outage of bulk requests let through.
    pub(crate) let_through: Mutex<LetThrough>,
    /// The run whose items have a newer format at present.
    pub(crate) newer: Mutex<Option<NewerRun>>,
    roles: Roles,
    at_work: Mutex<AtWork>,
}

/// The simulated workspace, which has no debug form.
pub(crate) struct Workspace(pub(crate) World);

impl std::fmt::Debug for Workspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workspace")
    }
}

/// The running invocations.
#[derive(Debug, Default)]
struct AtWork {
    /// The invocation that is being polled.
    current: Option<Who>,
    count: u64,
    alive: BTreeMap<Who, Invoked>,
}

/// The facts about a running invocation.
#[derive(Clone, Debug)]
pub(crate) struct Invoked {
    pub(crate) step: Step,
    /// Lambda's request id, the owner's name in leases.
    pub(crate) owner: String,
    /// The run that a message names.
    pub(crate) run: Option<String>,
    /// Its state after its next await point.
    fate: Fate,
    /// The deviation of its clock.
    pub(crate) skew_ms: i64,
    /// The time of its beginning, in Unix milliseconds.
    pub(crate) began_ms: i64,
}

impl Storm {
    pub(crate) fn new(story: Story, weather: Arc<Weather>, world: World, ledger: Ledger, sqs: Sqs) -> Self {
        let promises = Promises::default();
        let (secrets, world) = (of_people(&world.users()), Workspace(world));
        let (roles, at_work) = (Roles::of_the_template(), Mutex::default());
        let (let_through, newer) = (Mutex::default(), Mutex::default());
        Self { story, weather, world, ledger, sqs, secrets, promises, let_through, newer, roles, at_work }
    }

    /// Returns the true time, in Unix milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        BEGIN_MS + self.weather.elapsed().as_millis() as i64
    }

    fn at_work(&self) -> MutexGuard<'_, AtWork> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the invocation that is being polled; `None` for Lambda's pollers.
    pub(crate) fn current(&self) -> Option<Who> {
        self.at_work().current
    }

    /// Returns the facts about a running invocation.
    pub(crate) fn invoked(&self, who: Option<Who>) -> Option<Invoked> {
        self.at_work().alive.get(&who?).cloned()
    }

    /// Returns the number of invocations so far.
    pub(crate) fn invocations(&self) -> u64 {
        self.at_work().count
    }

    /// Returns whether no invocation runs.
    pub(crate) fn is_idle(&self) -> bool {
        self.at_work().alive.is_empty()
    }

    /// Begins an invocation.
    pub(crate) fn begin(&self, step: Step, event: &Value, skew_ms: i64) -> Who {
        let began_ms = self.now_ms();
        let mut at_work = self.at_work();
        at_work.count += 1;
        let who = at_work.count;
        let body = event["Records"][0]["body"].as_str().unwrap_or_default();
        let run = serde_json::from_str::<Value>(body).ok().and_then(|body| Some(body.get("run")?.as_str()?.to_owned()));
        let (owner, fate) = (format!("request-{who}"), Fate::GoesOn);
        at_work.alive.insert(who, Invoked { step, owner, run, fate, skew_ms, began_ms });
        who
    }

    /// Ends an invocation.
    pub(crate) fn over(&self, who: Who) -> Option<Invoked> {
        self.at_work().alive.remove(&who)
    }

    /// Records the invocation that is being polled.
    pub(crate) fn polls(&self, who: Option<Who>) {
        self.at_work().current = who;
    }

    /// Reports a call as a bug if the step's role in template.yaml does not allow it, as AWS would
    /// refuse it.
    pub(crate) fn needs_its_role(&self, who: Who, target: &str, body: &str) {
        let Some(step) = self.step_of(who) else { return };
        let step = format!("{step:?}").to_lowercase();
        let lacks = self.roles.lacks(&step, &needed(target, body.as_bytes()));
        if let Some(access) = lacks.first() {
            self.weather.bug(format!("the role of {step} lacks {access}"));
        }
    }

    /// Returns the step of a running invocation.
    pub(crate) fn step_of(&self, who: Who) -> Option<Step> {
        self.at_work().alive.get(&who).map(|invoked| invoked.step)
    }

    /// Sets the state of a process after its next await point.
    pub(crate) fn set_fate(&self, who: Who, fate: Fate) {
        if let Some(invoked) = self.at_work().alive.get_mut(&who) {
            invoked.fate = fate;
        }
    }

    /// Takes the state of a process: a second call returns the default.
    pub(crate) fn fate(&self, who: Who) -> Fate {
        self.at_work().alive.get_mut(&who).map(|invoked| std::mem::take(&mut invoked.fate)).unwrap_or_default()
    }

    /// Waits for the transit time, and lets other tasks run first.
    pub(crate) async fn travel(&self, range: &std::ops::RangeInclusive<u64>) {
        match self.weather.draw(range.clone()) {
            0 => tokio::task::yield_now().await,
            ms => sleep(Duration::from_millis(ms)).await,
        }
    }
}
