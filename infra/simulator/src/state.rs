//! The world's state, to compare with a client's view.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::contacts::state::ContactState;

/// The body of `GET /_simulator/state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The number of users now.
    pub users_total: usize,
    /// Every job ever created, in that order, including those whose answer was lost.
    pub jobs: Vec<JobState>,
    /// The number of requests by method and route, including refused ones.
    pub requests: BTreeMap<String, u64>,
    /// The number of accepted bulk items.
    pub items: u64,
    /// The operations of each rate window, including items, by the Unix second at which it ended.
    pub used_by_window: BTreeMap<i64, u64>,
    /// The number of requests that the rate limit refused, without faults.
    pub over_limit: u64,
    /// The number of 429 answers, including faults.
    pub given_429: u64,
    /// The number of strikes of each fault, by name.
    #[serde(default)]
    pub fired: BTreeMap<String, u64>,
    /// The number of attempts to open a second scroll.
    pub second_scrolls: u64,
    /// The number of scroll requests that reached the cursor, including the empty last page. Faults
    /// refer to it.
    pub pages: u64,
    /// The number of distinct users in delivered pages.
    pub pages_distinct_users: usize,
    /// The number of users in delivered pages. A user in two pages counts twice.
    #[serde(default)]
    pub pages_users: u64,
    /// Users for whom `poison-item` refused a request, by id.
    #[serde(default)]
    pub poisoned: Vec<String>,
    /// Users that `users-change` or `others-write` changed, by id.
    pub users_changed: Vec<String>,
    /// Users that `users-change` deleted, by id.
    pub users_deleted: Vec<String>,
    /// Users that `users-change` added, by id.
    pub users_added: Vec<String>,
    /// The counts of API 2.x.
    #[serde(default)]
    pub contacts: ContactState,
}

/// One job, from the world's view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// Its id.
    pub id: String,
    /// Its time of creation, in Unix seconds.
    pub created_at: i64,
    /// Its time of creation, in Unix milliseconds.
    pub created_at_ms: i64,
    /// The number of items.
    pub items: usize,
    /// The state of the job itself, which ends long after its tasks.
    pub state: String,
    /// The state of each task.
    pub tasks: Vec<String>,
    /// The number of failed items.
    pub errors: usize,
    /// The answer with its id was sent; false after `lose-bulk`.
    pub answered: bool,
}
