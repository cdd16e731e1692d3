//! Results that accuse the run and not its users: many users in a row that are refused alike (an
//! attribute that does not exist, for instance), and no user that Intercom has.
//!
//! The users of a row that makes the run pause stay open. Therefore each user of a row gets its result
//! only when the row is over.

use super::answers::TriedUser;
use crate::domain::run::Counts;
use crate::intercom::Error;
use crate::ledger::{ErrorRow, RefusedInARow};

/// Users that are refused alike in a row before the run pauses.
const ALIKE_MAX: u64 = 50;
/// Users that are gone before the run pauses, if it had no other ones.
const GONE_MAX: u64 = 200;

/// The words of a refusal: the code, and the field or else the message. A message about a field may have
/// the user's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Words {
    code: String,
    about: String,
}

impl Words {
    fn of(error: &Error) -> Self {
        let about = match error {
            Error::Refused { field: Some(field), .. } => field.to_string(),
            Error::Refused { message, .. } => message.to_string(),
            _ => String::new(),
        };
        Self { code: error.code().to_owned(), about }
    }
}

/// The refusals in a row of an invocation.
#[derive(Default)]
pub(super) struct Streaks {
    /// The leased parts, by index, whose users are in no row: their refusals accuse the users.
    apart: Vec<usize>,
    like: Words,
    users: Vec<(TriedUser, ErrorRow)>,
    /// The last refusal, with advice.
    said: String,
    /// The row began after another result of the invocation.
    follows_another: bool,
    /// The run pauses: the results of requests under way end no row.
    is_full: bool,
}

/// An open row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    like: Words,
    users: u64,
    /// The invocation had no other results.
    pub(super) is_all: bool,
}

impl Row {
    /// Returns the row as later invocations read it. `before` is the row of earlier ones, and
    /// `accepted` the users that Intercom has accepted in the run.
    pub(super) fn after(&self, before: &RefusedInARow, accepted: i64) -> RefusedInARow {
        let Words { code, about } = self.like.clone();
        let is_same = self.is_all && (&before.code, &before.about) == (&code, &about);
        let earlier = if is_same && before.accepted == accepted { before.users } else { 0 };
        let users = earlier + self.users;
        RefusedInARow { code, about, users, accepted, paused_for_gone: before.paused_for_gone }
    }
}

/// The state of the row after a refusal.
pub(super) enum Streak {
    /// The row goes on, or is full.
    Goes,
    /// These users are refused: those of the row before, which another refusal ended, or one who is in
    /// no row.
    Over(Vec<(TriedUser, ErrorRow)>),
    /// This many users were refused alike.
    Full(u64),
}

impl Streaks {
    /// Creates the rows of an invocation. The users of the parts `apart`, by index, are in no row.
    pub(super) fn without(apart: Vec<usize>) -> Self {
        Self { apart, ..Self::default() }
    }

    /// Adds a refused user. `advice` is for the operator.
    pub(super) fn add(&mut self, user: TriedUser, row: ErrorRow, error: &Error, advice: &str) -> Streak {
        if self.apart.contains(&user.item.part) {
            return Streak::Over(vec![(user, row)]);
        }
        if self.is_full {
            // The user stays open, like those of the row.
            return Streak::Goes;
        }
        let like = Words::of(error);
        let broken = if self.like == like { Vec::new() } else { std::mem::take(&mut self.users) };
        self.follows_another |= !broken.is_empty();
        self.like = like;
        self.said = format!("{error}. {advice}");
        self.users.push((user, row));
        match self.users.len() as u64 {
            users if users >= ALIKE_MAX => {
                self.is_full = true;
                Streak::Full(users)
            }
            _ if broken.is_empty() => Streak::Goes,
            _ => Streak::Over(broken),
        }
    }

    /// Ends the row, for instance because Intercom accepted a user. Returns its users, which are
    /// refused. The users of a full row stay open.
    pub(super) fn end(&mut self) -> Vec<(TriedUser, ErrorRow)> {
        if self.is_full {
            return Vec::new();
        }
        self.like = Words::default();
        self.follows_another = true;
        std::mem::take(&mut self.users)
    }

    /// Returns the open row, unless it is full.
    pub(super) fn row(&self) -> Option<Row> {
        let (users, is_all) = (self.users.len() as u64, !self.follows_another);
        (!self.is_full && users > 0).then(|| Row { like: self.like.clone(), users, is_all })
    }

    /// Returns whether users wait for the end of the row.
    pub(super) fn holds_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// Fills the row if it and those of earlier invocations have too many users. Returns the reason for
    /// a pause.
    pub(super) fn fill(&mut self, row: &RefusedInARow) -> Option<String> {
        self.is_full = row.users >= ALIKE_MAX;
        self.is_full.then(|| self.reason(row.users))
    }

    /// Returns the reason for the pause after so many users.
    pub(super) fn reason(&self, users: u64) -> String {
        format!("Intercom refuses {users} users in a row alike: {} They are sent again after a resume", self.said)
    }
}

/// The users that Intercom does not have any more, while an invocation has no other results.
#[derive(Default)]
pub(super) struct OnlyGone {
    users: Vec<TriedUser>,
    is_over: bool,
}

impl OnlyGone {
    /// Adds such a user. Returns the users that are now known to be gone.
    pub(super) fn add(&mut self, user: TriedUser) -> Vec<TriedUser> {
        self.users.push(user);
        if self.is_over { std::mem::take(&mut self.users) } else { Vec::new() }
    }

    /// Notes another result. Returns the users that are gone.
    pub(super) fn end(&mut self) -> Vec<TriedUser> {
        self.is_over = true;
        std::mem::take(&mut self.users)
    }

    /// Returns whether the invocation had no other results.
    pub(super) fn is_all(&self) -> bool {
        !self.is_over && !self.users.is_empty()
    }

    /// Returns whether the run may be at fault, by this invocation alone.
    pub(super) fn are_many(&self) -> bool {
        !self.is_over && self.users.len() as u64 >= GONE_MAX
    }

    /// Returns the reason for a pause if the run had no other users than these, by the counts of
    /// earlier invocations.
    pub(super) fn accuses(&self, before: &Counts) -> Option<String> {
        let gone = before.gone.max(0).unsigned_abs() + self.users.len() as u64;
        (self.is_all() && before.items <= before.gone && gone >= GONE_MAX).then(|| {
            format!(
                "Intercom has none of the first {gone} users (404 or 410), although it listed them: the address or the token \
                 may be wrong. Those of the last requests are sent again after a resume, and count as gone if Intercom still \
                 does not have them"
            )
        })
    }
}

#[cfg(test)]
mod tests;
