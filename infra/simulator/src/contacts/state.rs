//! The counts of API 2.x, to compare with a client's view.

use serde::{Deserialize, Serialize};

/// The part of the world's state that belongs to contacts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactState {
    /// The number of list requests, including those that a fault struck.
    pub lists: u64,
    /// The number of contacts in sent pages. A contact in two pages counts twice.
    pub listed: u64,
    /// The number of distinct contacts in sent pages.
    pub listed_distinct: usize,
    /// The number of writes that were carried out, including those whose answer was lost.
    pub written: u64,
    /// The number of writes that were refused, without faults of the server.
    pub refused: u64,
    /// Contacts that a fault merged, archived, deleted or blocked, by id.
    pub gone: Vec<String>,
}
