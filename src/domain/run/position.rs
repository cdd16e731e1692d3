//! The place of a run's next page, and the workspace's exclusive reading.

use serde::{Deserialize, Serialize};

use crate::domain::api::{Api, CLOCKS_MARGIN_S, Reading};
use crate::domain::bucket::Bucket;
use crate::domain::fnv::Fnv;
use crate::domain::job::JobId;
use crate::domain::part::PartId;
use crate::domain::user::UserId;

/// The place of the next page.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredPosition", into = "StoredPosition")]
pub enum Position {
    /// The first page.
    #[default]
    First,
    /// Intercom keeps the place of an exclusive reading.
    Scroll {
        /// Intercom's name for the reading, from its latest answer.
        param: String,
    },
    /// A place in a list that can be read repeatedly: the page after this cursor.
    List {
        /// Intercom's cursor, opaque.
        after: String,
    },
    /// The end of such a list. Its last page was read.
    ListEnd,
    /// A place in the run's list of users.
    Ids {
        /// Items of the list that were read whole.
        pages: u32,
        /// Users read of the next item.
        users: u32,
    },
    /// A place among the users of the run that is retried.
    Retry(RetryPlace),
    /// A place among the changes of the run that is undone, or among its users.
    Undo(UndoPlace),
}

/// A place of an undo. The changes are first listed by user, then each user is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoPlace {
    /// Among the changes of the run, which are not all listed.
    Changes(RetryPlace),
    /// Before the first user.
    Users,
    /// Behind this user.
    User(UserId),
}

/// A place among the users of an ended run, in the order of the ledger. It is behind the last user that
/// was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryPlace {
    /// Among the failed users: behind this one.
    Error(UserId),
    /// Among the users without a known end: in a part without end.
    Part {
        /// The part.
        part: PartId,
        /// Its patches that were read.
        patches: u32,
    },
    /// Among the users without a known end: in the jobs of a bucket without a known end.
    Job {
        /// The bucket.
        bucket: Bucket,
        /// The job; `None` behind the bucket's last one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobId>,
        /// Its patches that were read.
        patches: u32,
    },
}

impl Position {
    /// Returns the place in a list: items that were read whole, and users of the next one.
    pub fn in_list(&self) -> (u32, u32) {
        match self {
            Self::Ids { pages, users } => (*pages, *users),
            Self::First | Self::Scroll { .. } | Self::List { .. } | Self::ListEnd | Self::Retry(_) | Self::Undo(_) => {
                (0, 0)
            }
        }
    }

    /// Returns a digest of the place of a page of users that are read by id. Two pages in a row differ in it.
    pub fn digest(&self) -> u64 {
        let text = match self {
            Self::Retry(place) => serde_json::to_string(place),
            Self::Undo(place) => serde_json::to_string(place),
            _ => {
                let (pages, users) = self.in_list();
                return u64::from(pages) << 32 | u64::from(users);
            }
        };
        Fnv::of(&text.unwrap_or_default())
    }

    /// Returns whether it is a place in a list of Intercom that can be read repeatedly.
    pub fn is_in_list(&self) -> bool {
        matches!(self, Self::List { .. })
    }

    /// Returns whether it is the place of an exclusive reading.
    pub fn is_exclusive(&self) -> bool {
        matches!(self, Self::Scroll { .. })
    }

    /// Forgets the place of an exclusive reading that is over: another one begins at the first page.
    pub fn forget_reading(&mut self) {
        if self.is_exclusive() {
            *self = Self::First;
        }
    }
}

/// The stored form. A list at its first page is like any first page: the run names its source.
#[derive(Serialize, Deserialize)]
struct StoredPosition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scroll: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list: Option<StoredList>,
    #[serde(default)]
    list_read: (u32, u32),
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<RetryPlace>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    undo: Option<UndoPlace>,
}

/// A place in a list that can be read repeatedly.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredList {
    After(String),
    End,
}

impl From<StoredPosition> for Position {
    fn from(stored: StoredPosition) -> Self {
        match stored {
            StoredPosition { scroll: Some(param), .. } => Self::Scroll { param },
            StoredPosition { list: Some(StoredList::After(after)), .. } => Self::List { after },
            StoredPosition { list: Some(StoredList::End), .. } => Self::ListEnd,
            StoredPosition { retry: Some(place), .. } => Self::Retry(place),
            StoredPosition { undo: Some(place), .. } => Self::Undo(place),
            StoredPosition { list_read: (0, 0), .. } => Self::First,
            StoredPosition { list_read: (pages, users), .. } => Self::Ids { pages, users },
        }
    }
}

impl From<Position> for StoredPosition {
    fn from(position: Position) -> Self {
        let mut stored = Self { scroll: None, list: None, list_read: position.in_list(), retry: None, undo: None };
        match position {
            Position::Scroll { param } => stored.scroll = Some(param),
            Position::List { after } => stored.list = Some(StoredList::After(after)),
            Position::ListEnd => stored.list = Some(StoredList::End),
            Position::Retry(place) => stored.retry = Some(place),
            Position::Undo(place) => stored.undo = Some(place),
            Position::First | Position::Ids { .. } => {}
        }
        stored
    }
}

/// The workspace's exclusive reading, as far as this run knows. It may be this run's or that of the
/// run before. Intercom allows one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExclusiveReading {
    /// Time after its last call at which it has expired, in milliseconds.
    #[serde(rename = "scroll_life_ms", default = "default_life_ms")]
    pub life_ms: i64,
    /// Time of the last call that may have kept it open, in Unix milliseconds; 0 if none did.
    #[serde(default)]
    pub called_ms: i64,
    /// Consecutive answers that another one is open.
    #[serde(rename = "exists_tries", default)]
    pub busy_tries: u32,
}

impl ExclusiveReading {
    /// Returns a reading that was not opened.
    pub fn closed(life_ms: i64) -> Self {
        Self { life_ms, called_ms: 0, busy_tries: 0 }
    }
}

/// Time after which an unused exclusive reading has expired, in milliseconds, with a margin for
/// clocks. Cursors without a stored time are of V1.
pub const EXCLUSIVE_LIFE_MS: i64 = match Api::V1.capabilities().reading {
    Reading::Exclusive { life_s } => (life_s + CLOCKS_MARGIN_S) as i64 * 1000,
    Reading::Repeatable => 0,
};

fn default_life_ms() -> i64 {
    EXCLUSIVE_LIFE_MS
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_place_of_a_retry_is_stored() {
        let (bucket, job) = (Bucket::parse("2016-11-01T11:00Z").unwrap(), JobId::new("job_1"));
        for (place, stored) in [
            (RetryPlace::Error(UserId::new("u1").unwrap()), json!({"error": "u1"})),
            (
                RetryPlace::Part { part: PartId::parse("0001#0000002#03#7.1").unwrap(), patches: 4 },
                json!({"part": {"part": {"generation": 1, "origin": {"page": {"page": 2, "part": 3, "reading": "7.1"}}},
                    "patches": 4}}),
            ),
            (
                RetryPlace::Job { bucket: bucket.clone(), job, patches: 9 },
                json!({"job": {"bucket": "2016-11-01T11:00Z", "job": "job_1", "patches": 9}}),
            ),
            (
                RetryPlace::Job { bucket, job: None, patches: 0 },
                json!({"job": {"bucket": "2016-11-01T11:00Z", "patches": 0}}),
            ),
        ] {
            let stored = json!({"list_read": [0, 0], "retry": stored});
            assert_eq!(serde_json::to_value(Position::Retry(place.clone())).unwrap(), stored);
            assert_eq!(serde_json::from_value::<Position>(stored).unwrap(), Position::Retry(place));
        }
    }

    #[test]
    fn a_position_keeps_its_stored_form() {
        for (position, stored) in [
            (Position::First, json!({"list_read": [0, 0]})),
            (Position::Scroll { param: "s".into() }, json!({"scroll": "s", "list_read": [0, 0]})),
            (Position::Ids { pages: 2, users: 7 }, json!({"list_read": [2, 7]})),
            (Position::List { after: "WzFd".into() }, json!({"list": {"after": "WzFd"}, "list_read": [0, 0]})),
            (Position::ListEnd, json!({"list": "end", "list_read": [0, 0]})),
        ] {
            assert_eq!(serde_json::to_value(&position).unwrap(), stored);
            assert_eq!(serde_json::from_value::<Position>(stored).unwrap(), position);
        }
        assert_eq!(serde_json::from_value::<Position>(json!({})).unwrap(), Position::First);
    }

    #[test]
    fn only_the_place_of_an_exclusive_reading_is_forgotten() {
        let after = |mut position: Position| {
            position.forget_reading();
            position
        };
        assert_eq!(after(Position::Scroll { param: "s".into() }), Position::First);
        assert_eq!(after(Position::First), Position::First);
        assert_eq!(after(Position::Ids { pages: 1, users: 0 }), Position::Ids { pages: 1, users: 0 });
    }
}
