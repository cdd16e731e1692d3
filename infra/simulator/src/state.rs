//! What happened in the world, for comparing it with what a client believes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What `GET /_simulator/state` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// How many users there are now.
    pub users_total: usize,
    /// Every job ever made, in that order, those included whose answer was lost.
    pub jobs: Vec<JobState>,
    /// How many requests came in, by method and route; refused ones included.
    pub requests: BTreeMap<String, u64>,
    /// How many bulk items were accepted.
    pub items: u64,
    /// How many operations each rate window let in, items counted, by the Unix second that it ended in.
    pub used_by_window: BTreeMap<i64, u64>,
    /// How many requests the rate limit itself refused: faults are not among them.
    pub over_limit: u64,
    /// How many answers were 429, faults included.
    pub given_429: u64,
    /// How often each fault struck, by its name.
    #[serde(default)]
    pub fired: BTreeMap<String, u64>,
    /// How often somebody tried to open a scroll while one was open.
    pub second_scrolls: u64,
    /// How many scroll requests reached the cursor, the empty last page included: the number that faults go by.
    pub pages: u64,
    /// How many different users were in pages that were delivered.
    pub pages_distinct_users: usize,
    /// Users for whom `poison-item` refused a request, by id.
    #[serde(default)]
    pub poisoned: Vec<String>,
    /// Users that `users-change` changed, by id.
    pub users_changed: Vec<String>,
    /// Users that `users-change` deleted, by id.
    pub users_deleted: Vec<String>,
    /// Users that `users-change` added, by id.
    pub users_added: Vec<String>,
}

/// One job as the world knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobState {
    /// Its id.
    pub id: String,
    /// When it was made, in Unix seconds.
    pub created_at: i64,
    /// When it was made, in Unix milliseconds.
    pub created_at_ms: i64,
    /// How many items it has.
    pub items: usize,
    /// The state of the job itself, which goes on long after its tasks.
    pub state: String,
    /// The state of each task.
    pub tasks: Vec<String>,
    /// How many items ended as errors.
    pub errors: usize,
    /// Whether the answer with its id was sent; not so after `lose-bulk`.
    pub answered: bool,
}
