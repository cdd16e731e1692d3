//! The acts of another program before an undo: values that it sets, and contacts that it deletes.

use std::collections::{BTreeMap, BTreeSet};

use super::Promises;

/// The acts of the other program.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// Users of whom it set a value, with the time of the last one.
    set_ms: BTreeMap<String, i64>,
    /// The contacts that it deleted.
    pub(super) deleted: BTreeSet<String>,
}

impl Others {
    /// Returns whether it set a value of this user.
    pub(super) fn set(&self, user: &str) -> bool {
        self.set_ms.contains_key(user)
    }
}

impl Promises {
    pub(crate) fn is_set_before_undo(&self, user: &str, now_ms: i64) {
        self.memory().others.set_ms.insert(user.to_owned(), now_ms);
    }

    pub(crate) fn is_deleted_before_undo(&self, user: &str) {
        self.memory().others.deleted.insert(user.to_owned());
    }

    /// Returns the users of whom it set a value at this time or later.
    pub(super) fn set_since(&self, since_ms: i64) -> BTreeSet<String> {
        let memory = self.memory();
        let since = memory.others.set_ms.iter().filter(|(_, set_ms)| **set_ms >= since_ms);
        since.map(|(user, _)| user.clone()).collect()
    }
    pub(super) fn is_deleted(&self, user: &str) -> bool {
        self.memory().others.deleted.contains(user)
    }
}
