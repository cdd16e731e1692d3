//! An API that a scenario plays on: its requests, and the workspace's counts of them.

use std::time::Duration;

use intercom_bulk::runtime::config::Settings;
use intercom_simulator::{Options, State};

use crate::accident::Accident;
use crate::intercom::Way;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{users, with_attributes};

/// Attributes that the plans of the suite write, and that not every simulated workspace has.
const ATTRIBUTES: [&str; 5] =
    ["has avatar:boolean", "plan_price:integer", "account:string", "shout:string", "tier:string"];

/// The interval of ticks. Ticks each second would take most of the suite's time.
const TICKS: Duration = Duration::from_secs(5);

/// An API, with the beginnings of its requests' methods and paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct On {
    /// The version, as the program names it.
    pub(crate) version: &'static str,
    /// Users of a full page.
    pub(crate) page_users: u64,
    /// A page of the list of all users.
    pub(crate) list: &'static str,
    /// The same, as the whole of method and path: for a disturbance of pages alone.
    pub(crate) list_line: &'static str,
    /// A write of users.
    pub(crate) write: &'static str,
    /// A read of one user, as the workspace counts it.
    pub(crate) read: &'static str,
    /// A read of a bulk job, as the workspace counts it.
    pub(crate) poll: Option<&'static str>,
}

impl On {
    pub(crate) const fn v1_4() -> Self {
        Self {
            version: "1.4",
            page_users: 100,
            list: "GET /users/scroll",
            list_line: "GET /users/scroll$",
            write: "POST /bulk/users",
            read: "GET /users/{id}",
            poll: Some("GET /jobs/{id}"),
        }
    }

    pub(crate) const fn v2_17() -> Self {
        Self {
            version: "2.17",
            page_users: 150,
            list: "GET /contacts",
            list_line: "GET /contacts$",
            write: "PUT /contacts",
            read: "GET /contacts/{id}",
            poll: None,
        }
    }

    pub(crate) const fn preview() -> Self {
        Self { version: "preview", poll: Some("GET /contacts/bulk/{id}"), ..Self::v2_17() }
    }

    /// Returns whether users are contacts, which are listed page by page.
    pub(crate) fn has_contacts(self) -> bool {
        self != Self::v1_4()
    }

    /// Returns whether written values are read back. Otherwise the answer to each write shows them.
    pub(crate) fn reads_back(self) -> bool {
        self.poll.is_some()
    }

    /// Returns the value for this API.
    pub(crate) fn pick<T>(self, of_1_4: T, of_2_17: T, of_preview: T) -> T {
        match self.version {
            "1.4" => of_1_4,
            "2.17" => of_2_17,
            _ => of_preview,
        }
    }

    /// Creates a pipeline whose runs use this API.
    pub(crate) async fn pipeline(self, plan: &str, options: Options) -> Pipeline {
        self.with(plan, options, settings(), Vec::new()).await
    }

    /// Creates a pipeline with other settings and with accidents of the queues.
    pub(crate) async fn with(
        self,
        plan: &str,
        options: Options,
        settings: Settings,
        accidents: Vec<Accident>,
    ) -> Pipeline {
        let pipeline = Pipeline::on(Way::of_version(self.version), plan, options, settings, accidents).await;
        pipeline.ticking(TICKS).await
    }

    /// Returns the number of requests for a page. A list of contacts is also requested for its count, before
    /// a run.
    pub(crate) fn lists(self, state: &State) -> u64 {
        state.requests.get(self.list).copied().unwrap_or_default()
    }

    /// Returns the number of requests that write users.
    pub(crate) fn writes(self, state: &State) -> u64 {
        state.requests.iter().filter(|(name, _)| name.starts_with(self.write)).map(|(_, count)| count).sum()
    }

    /// Returns the number of reads of one user.
    pub(crate) fn reads(self, state: &State) -> u64 {
        state.requests.get(self.read).copied().unwrap_or_default()
    }

    /// Returns the number of writes of a user that Intercom accepted: for API 1.x as an item of a job, and
    /// for the others by its result.
    pub(crate) fn written(self, state: &State) -> u64 {
        if self.has_contacts() { state.contacts.written } else { state.items }
    }
}

/// Returns a workspace with the attributes of the suite's plans.
pub(crate) fn workspace(of_users: usize) -> Options {
    with_attributes(&ATTRIBUTES, users(of_users))
}
