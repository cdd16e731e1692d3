//! One page of users.

use crate::domain::fnv::Fnv;
use crate::domain::run::Position;
use crate::domain::user::User;

/// The users of one read, in Intercom's order.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The users. With exclusive reading, a page without users and without unreadable entries is
    /// the last.
    pub users: Vec<User>,
    /// Entries without a usable id: users that exist and cannot be patched.
    pub unreadable: u32,
    /// The place of the next page. If a page has users and names no place, the place of this page
    /// stays: a request for the first page would begin another reading.
    pub next: Option<Position>,
    /// A digest of the ordered ids, the same in every process. It detects a page that equals the
    /// one before.
    pub digest: u64,
    /// The number of users in the list, if the answer contains it.
    pub count: Option<u64>,
}

impl Page {
    /// Creates a page; `None` stands for an unreadable entry.
    pub(super) fn new(entries: impl IntoIterator<Item = Option<User>>, next: Option<Position>) -> Self {
        let mut page = Self { users: Vec::new(), unreadable: 0, next, digest: Fnv::EMPTY.0, count: None };
        for entry in entries {
            // The end mark makes `a,bc` and `ab,c` differ.
            let marked = entry.as_ref().map_or("", |user| user.id().as_str()).bytes().chain([0]);
            page.digest = Fnv(page.digest).and(marked).0;
            match entry {
                Some(user) => page.users.push(user),
                None => page.unreadable += 1,
            }
        }
        page
    }

    /// Returns whether no page follows and this one has no users. A short page is not the last.
    pub fn is_end(&self) -> bool {
        self.users.is_empty() && self.unreadable == 0 && !matches!(self.next, Some(Position::List { .. }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(ids: &[&str]) -> Page {
        Page::new(ids.iter().map(|id| User::new(json!({ "id": id }))), None)
    }

    #[test]
    fn the_digest_depends_on_order_borders_and_unreadable_users() {
        let pages = [&["a", "bc"][..], &["ab", "c"], &["bc", "a"], &["a", "bc", ""], &["a"], &[]];
        let mut digests: Vec<u64> = pages.iter().map(|ids| page(ids).digest).collect();
        digests.sort_unstable();
        digests.dedup();
        assert_eq!(digests.len(), pages.len());
        assert_eq!(page(&["a", "bc"]).digest, page(&["a", "bc"]).digest);
    }

    #[test]
    fn the_stored_digest_is_the_same_in_every_build() {
        assert_eq!(page(&["5714dd359a3fd47136000001"]).digest, DIGEST_OF_ONE);
    }

    /// FNV-1a of the id and a zero byte, computed independently of this code.
    const DIGEST_OF_ONE: u64 = 0x0935_f8bf_a6b5_d027;

    #[test]
    fn only_an_empty_page_is_the_end() {
        assert!(page(&[]).is_end());
        assert!(!page(&["a"]).is_end());
        assert!(!page(&["not an id"]).is_end());
    }
}
