//! The last page of a list that ended before Intercom's count. It is requested again: the list comes
//! from a search index, which may lag behind the count, and an answer may end too early. If another page
//! follows it then, users may have moved on to that page: the run knows them there, too.

use serde::{Deserialize, Serialize};

use super::Cursor;
use crate::domain::run::Position;
use crate::domain::run::sampler::rank;
use crate::domain::user::{User, UserId};

/// The last page of a list, or the one before the next page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastPage {
    /// Its place.
    pub place: Position,
    /// The users of the page whom the run has read, as hashes of their ids: those of two pages at most.
    pub users: Vec<u64>,
    /// Entries without a usable id that the run has counted.
    pub unreadable: u32,
    /// Further requests for the page.
    pub repeats: u32,
}

impl LastPage {
    /// Returns the page at the cursor's place, which is the last one of its list. `users` and `unreadable`
    /// are those that it has now.
    pub fn of<'a>(cursor: &Cursor, users: impl Iterator<Item = &'a UserId>, unreadable: u32) -> Self {
        let before = cursor.last_page.as_ref();
        let mut users: Vec<u64> = users.map(rank).collect();
        users.extend(before.into_iter().flat_map(|page| &page.users));
        users.sort_unstable();
        users.dedup();
        Self {
            place: cursor.position.clone(),
            users,
            unreadable: unreadable.max(before.map_or(0, |page| page.unreadable_at(&cursor.position))),
            repeats: before.map_or(0, |page| page.repeats),
        }
    }

    /// Returns whether this is its place.
    pub fn is_at(&self, place: &Position) -> bool {
        self.place == *place
    }

    /// Returns the entries without a usable id that the run has counted at this place.
    pub fn unreadable_at(&self, place: &Position) -> u32 {
        if self.is_at(place) { self.unreadable } else { 0 }
    }

    /// Returns whether the run has read this user on the page.
    pub fn has(&self, user: &User) -> bool {
        self.users.binary_search(&rank(user.id())).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::run::RunId;

    #[test]
    fn page_that_is_requested_again_knows_its_users() {
        let user = |id: &str| User::new(json!({ "id": id })).unwrap();
        let mut cursor = Cursor::first(RunId::of("p", 0), 0, 0);
        cursor.position = Position::List { after: "WzFd".to_owned() };
        let first = LastPage::of(&cursor, [user("b"), user("a")].iter().map(User::id), 2);
        assert!(first.has(&user("a")) && first.has(&user("b")) && !first.has(&user("c")));
        let stored = serde_json::to_value(&first).unwrap();
        assert_eq!(serde_json::from_value::<LastPage>(stored).unwrap(), first);
        cursor.last_page = Some(LastPage { repeats: 1, ..first.clone() });
        let again = LastPage::of(&cursor, [user("a"), user("c")].iter().map(User::id), 1);
        assert!(["a", "b", "c"].iter().all(|id| again.has(&user(id))), "a user who left the page was read");
        assert_eq!((again.place, again.unreadable, again.repeats), (first.place, 2, 1));
        cursor.position = Position::List { after: "WzJd".to_owned() };
        let next = LastPage::of(&cursor, [user("b"), user("d")].iter().map(User::id), 1);
        assert!(["a", "b", "d"].iter().all(|id| next.has(&user(id))), "users of the page before may be on it");
        assert_eq!((next.place, next.unreadable, next.repeats), (cursor.position, 1, 1));
    }
}
