//! Earlier forms of users: the index behind lists and searches shows a change some time after it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use crate::user::{Id, User};

/// The changes of the last seconds, each with the user before it; `None`: the user did not exist.
#[derive(Default)]
pub(crate) struct Past {
    /// The index is this far behind. 0 records no changes.
    lag_ms: i64,
    /// Changes of the current operation.
    fresh: Vec<(Id, Option<User>)>,
    /// Changes by user, oldest first.
    by_id: BTreeMap<Id, VecDeque<(i64, Option<User>)>>,
    /// All changes, oldest first.
    order: VecDeque<(i64, Id)>,
}

impl Past {
    pub(crate) fn new(lag_s: u64) -> Self {
        Self { lag_ms: lag_s as i64 * 1000, ..Self::default() }
    }

    /// Records a change.
    pub(crate) fn note(&mut self, id: Id, before: Option<&User>) {
        if self.lag_ms > 0 {
            self.fresh.push((id, before.cloned()));
        }
    }

    /// Gives the recorded changes their time, and forgets those that the index shows.
    pub(crate) fn stamp(&mut self, now_ms: i64) {
        for (id, before) in self.fresh.drain(..) {
            self.by_id.entry(id).or_default().push_back((now_ms, before));
            self.order.push_back((now_ms, id));
        }
        while let Some((_, id)) = self.order.pop_front_if(|(at_ms, _)| *at_ms + self.lag_ms <= now_ms) {
            let left = self.by_id.get_mut(&id).is_some_and(|changes| {
                changes.pop_front();
                !changes.is_empty()
            });
            if !left {
                self.by_id.remove(&id);
            }
        }
    }

    /// Returns the user as in the index, given the user as of now.
    pub(crate) fn shown<'a>(&'a self, id: Id, now: Option<&'a User>, now_ms: i64) -> Option<&'a User> {
        let mut changes = self.by_id.get(&id).into_iter().flatten();
        let hidden = changes.find(|(at_ms, _)| *at_ms + self.lag_ms > now_ms);
        hidden.map_or(now, |(_, before)| before.as_ref())
    }

    /// Returns the users after this id with hidden changes.
    pub(crate) fn ids(&self, after: Option<Id>) -> BTreeSet<Id> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.by_id.range((start, Bound::Unbounded)).map(|(id, _)| *id).collect()
    }
}
