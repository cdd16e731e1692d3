//! The world: shared by the server that answers for it and the test that inspects it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::serve::ListenerExt;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::contacts::gone::Gone;
use crate::contacts::state::ContactState;
use crate::options::Options;
use crate::state::{JobState, State};
use crate::timer::Timer;
use crate::user::Id;
use crate::workspace::Workspace;
use crate::{edit, local_hosts_only, routes, work};

/// A simulated workspace. A clone is the same world.
#[derive(Clone)]
pub struct World {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    /// The shift of the clock that makes it show `started_at_s` at the start.
    shift_ms: i64,
    workspace: Mutex<Workspace>,
    timer: Timer,
}

impl World {
    /// Creates a world and its users.
    pub fn new(options: Options) -> Self {
        let now_ms = (options.now)();
        let started_at_ms = options.started_at_s.map_or(now_ms, |started_at_s| started_at_s * 1000);
        let workspace = Mutex::new(Workspace::new(&options, started_at_ms));
        Self {
            shared: Arc::new(Shared { options, shift_ms: started_at_ms - now_ms, workspace, timer: Timer::default() }),
        }
    }

    /// Returns the timer of answers.
    pub(crate) fn timer(&self) -> &Timer {
        &self.shared.timer
    }

    /// Returns the world's routes: `tower::ServiceExt::oneshot` needs no socket.
    pub fn router(&self) -> Router {
        routes::router(self.clone())
    }

    /// Serves the world on a socket, to local clients, until the future is dropped.
    pub async fn serve(&self, listener: TcpListener) -> std::io::Result<()> {
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        axum::serve(listener, local_hosts_only(self.router())).await
    }

    /// Returns the world's time in Unix seconds.
    pub fn now_s(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }

    /// Returns all users as in an answer, in the order of their ids.
    pub fn users(&self) -> Vec<Value> {
        self.users_after(None, usize::MAX)
    }

    /// Returns one user, by id.
    pub fn user(&self, id: &str) -> Option<Value> {
        self.workspace().people.body(Id::parse(id)?)
    }

    /// Changes one user's body without a request, to any shape. Returns whether the user exists.
    ///
    /// A removed `avatar` stays removed. Other fields that Intercom always sends are added again.
    pub fn set_user(&self, id: &str, edit: impl FnOnce(&mut Value)) -> bool {
        let now_s = self.now_s();
        let Some(id) = Id::parse(id) else {
            return false;
        };
        let mut workspace = self.workspace();
        let exists = edit::set_user(&mut workspace.people, id, now_s, edit);
        workspace.stamp(self.now_ms());
        exists
    }

    /// Returns all leads as users of 1.x, in the order of their ids.
    pub fn leads(&self) -> Vec<Value> {
        let workspace = self.workspace();
        let leads = &workspace.contacts.leads;
        leads.after(None).filter_map(|id| leads.body(id)).collect()
    }

    /// Archives, deletes, merges or blocks a contact without a request. Returns whether it existed.
    pub fn lose_contact(&self, id: &str, how: Gone) -> bool {
        let mut workspace = self.workspace();
        let lost = Id::parse(id).is_some_and(|id| workspace.lose_contact(id, how));
        workspace.stamp(self.now_ms());
        lost
    }

    /// Ends the faults that refuse writes of these users, as if the cause were removed.
    pub fn cure(&self, ids: impl IntoIterator<Item = impl AsRef<str>>) {
        self.workspace().cured.extend(ids.into_iter().map(|id| id.as_ref().to_owned()));
    }

    /// Returns the last created job, and its number, from 1.
    pub fn last_job(&self) -> Option<(usize, JobState)> {
        let now_ms = self.now_ms();
        let workspace = self.workspace();
        let jobs = &workspace.jobs.list;
        Some((jobs.len(), JobState::of(jobs.last()?, now_ms)))
    }

    /// Returns the number of attempts to open a second scroll.
    pub fn second_scrolls(&self) -> u64 {
        self.workspace().scroll.second_scrolls
    }

    /// Returns the state so far.
    pub fn state(&self) -> State {
        let now_ms = self.now_ms();
        let workspace = self.workspace();
        let counts = &workspace.counts;
        let [changed, deleted, added] = counts.lives.each_ref().map(|ids| ids.iter().map(Id::to_string).collect());
        State {
            users_total: workspace.people.len(),
            jobs: workspace.jobs.list.iter().map(|job| JobState::of(job, now_ms)).collect(),
            requests: counts.requests.clone(),
            items: counts.items,
            used_by_window: workspace.limit.by_window(),
            over_limit: counts.over_limit,
            given_429: counts.given_429,
            fired: counts.fired.counts(),
            second_scrolls: workspace.scroll.second_scrolls,
            pages: workspace.scroll.pages,
            pages_distinct_users: workspace.scroll.seen.len(),
            pages_users: workspace.scroll.delivered,
            poisoned: counts.poisoned.iter().cloned().collect(),
            users_changed: changed,
            users_deleted: deleted,
            users_added: added,
            contacts: ContactState {
                listed_distinct: workspace.contacts.listed.len(),
                ..workspace.contacts.state.clone()
            },
        }
    }

    pub(crate) fn users_after(&self, after: Option<Id>, limit: usize) -> Vec<Value> {
        let workspace = self.workspace();
        workspace.people.after(after).take(limit).filter_map(|id| workspace.people.body(id)).collect()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(crate) fn now_ms(&self) -> i64 {
        (self.shared.options.now)() + self.shared.shift_ms
    }

    /// Returns the workspace after all due items are applied.
    pub(crate) fn workspace(&self) -> MutexGuard<'_, Workspace> {
        let mut workspace = self.shared.workspace.lock().unwrap_or_else(PoisonError::into_inner);
        work::settle(&mut workspace, self.options(), self.now_ms());
        workspace
    }
}

impl JobState {
    fn of(job: &crate::jobs::Job, now_ms: i64) -> Self {
        Self {
            id: job.id.clone(),
            created_at: job.created_at_ms.div_euclid(1000),
            created_at_ms: job.created_at_ms,
            items: job.tasks.iter().map(|task| task.item_count).sum(),
            state: job.stage(now_ms).name().to_owned(),
            tasks: job.tasks.iter().map(|task| task.stage(job.fate, now_ms).name().to_owned()).collect(),
            errors: job.tasks.iter().map(|task| task.failures.len()).sum(),
            answered: job.answered,
        }
    }
}
