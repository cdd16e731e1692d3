//! The acts of another program before an undo: values that it sets, and contacts that it deletes.

use std::collections::{BTreeMap, BTreeSet};

use intercom_bulk::domain::run::Run;

use super::Promises;
use super::readings::LIST_LAG_MS;
use crate::storm::Storm;

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

impl Storm {
    /// Returns the users of whom the other program set a value that a run may not have seen. A list of contacts
    /// shows it late, and the clock of the run's start may be ahead.
    pub(super) fn set_by_another_program(&self, run: &Run) -> BTreeSet<String> {
        let lag_ms = if self.story.has_contacts() && run.listed.is_none() { LIST_LAG_MS } else { 0 };
        let since_ms = run.started_ms - self.story.skew_ms - lag_ms;
        let memory = self.promises.memory();
        let since = memory.others.set_ms.iter().filter(|(_, set_ms)| **set_ms >= since_ms);
        since.map(|(user, _)| user.clone()).collect()
    }
}

impl Promises {
    pub(crate) fn is_set_before_undo(&self, user: &str, now_ms: i64) {
        self.memory().others.set_ms.insert(user.to_owned(), now_ms);
    }

    pub(crate) fn is_deleted_before_undo(&self, user: &str) {
        self.memory().others.deleted.insert(user.to_owned());
    }

    pub(super) fn is_deleted(&self, user: &str) -> bool {
        self.memory().others.deleted.contains(user)
    }
}
