//! The users of an ended run that another run retries, read by key, some at a time. A run can have
//! millions of them.

mod unknown;

use super::attributes::{self, number, run_pk, text};
use super::errors::counts;
use super::select::{Keys, Select};
use super::{Ledger, LedgerError};
use crate::domain::run::{Cursor, Retry, RetryPlace, Run};
use crate::domain::user::UserId;

/// The code of an entry of a page without a usable id. It is no user.
pub const UNREADABLE_USER: &str = "unreadable_user";

/// Error rows that are read at once.
const ROWS_AT_ONCE: usize = 2_000;
/// Requests for rows, parts or buckets after which the place is returned, even if no user was found.
const STEPS_MAX: usize = 10;

/// Some users that are retried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetriedUsers {
    /// The users, each with the place behind it.
    pub users: Vec<(UserId, RetryPlace)>,
    /// The place behind all rows that were read; `None` if these are the last users.
    pub reached: Option<RetryPlace>,
}

impl RetriedUsers {
    fn is_full(&self, most: usize) -> bool {
        self.users.len() >= most
    }

    /// Adds users up to a number, and returns whether all fit.
    fn add(&mut self, users: impl Iterator<Item = (UserId, RetryPlace)>, most: usize) -> bool {
        for user in users {
            if self.is_full(most) {
                return false;
            }
            self.users.push(user);
        }
        true
    }

    /// Returns the users up to the last one, behind which the next read begins.
    fn cut(self) -> Self {
        let reached = self.users.last().map(|(_, place)| place.clone());
        Self { reached, ..self }
    }
}

impl Ledger {
    /// Returns at most `most` users of an ended run that a retry is about, from a place on. A user that
    /// failed twice comes once; one without a known end may come again.
    pub async fn retried_users(
        &self,
        first: (&Run, &Cursor),
        retry: &Retry,
        after: Option<&RetryPlace>,
        most: usize,
    ) -> Result<RetriedUsers, LedgerError> {
        if retry.unknown {
            return self.unknown_users(first, after, most).await;
        }
        let after = match after {
            Some(RetryPlace::Error(user)) => Some(user),
            _ => None,
        };
        self.failed_users(first.0, retry.code.as_deref(), after, most).await
    }

    /// Counts the failed users of an ended run that a retry is about.
    pub async fn count_failed(&self, first: &Run, code: Option<&str>) -> Result<u64, LedgerError> {
        let (mut users, mut last) = (0, None);
        self.select(&failures(first, None), |items| {
            for item in items {
                let Some(Failed { user, code: of, counts }) = failed(&item, first)? else { continue };
                if counts && code.is_none_or(|code| code == of) && last.as_ref() != Some(&user) {
                    users += 1;
                    last = Some(user);
                }
            }
            Ok(true)
        })
        .await?;
        Ok(users)
    }

    async fn failed_users(
        &self,
        first: &Run,
        code: Option<&str>,
        after: Option<&UserId>,
        most: usize,
    ) -> Result<RetriedUsers, LedgerError> {
        let mut found = RetriedUsers::default();
        // The last user whose rows are all read, and the one whose rows are being read.
        let (mut whole, mut last): (Option<UserId>, Option<UserId>) = (None, None);
        let (mut steps, mut is_cut) = (0, false);
        let select = Select { items: ROWS_AT_ONCE, ..failures(first, after) };
        self.select(&select, |items| {
            for item in items {
                let Some(Failed { user, code: of, counts }) = failed(&item, first)? else { continue };
                if last.as_ref() != Some(&user) {
                    whole = last.replace(user.clone());
                }
                let is_new = found.users.last().is_none_or(|(last, _)| *last != user);
                if !counts || !is_new || code.is_some_and(|code| code != of) {
                    continue;
                }
                if found.is_full(most) {
                    is_cut = true;
                    return Ok(false);
                }
                found.users.push((user.clone(), RetryPlace::Error(user)));
            }
            steps += 1;
            Ok(steps < STEPS_MAX)
        })
        .await?;
        if is_cut {
            return Ok(found.cut());
        }
        // If the last request was not the last one, rows of its last user may be left.
        found.reached = whole.filter(|_| steps >= STEPS_MAX).map(RetryPlace::Error);
        if let Some(RetryPlace::Error(reached)) = &found.reached {
            found.users.retain(|(user, _)| user <= reached);
        }
        Ok(found)
    }
}

/// Returns the read of a run's error rows behind a user. Rows of one user are adjacent.
fn failures(run: &Run, after: Option<&UserId>) -> Select {
    // An id has letters, digits, `_` and `-`. `$` follows `#`, and both are before these; `~` is behind them.
    let from = after.map_or_else(|| "ERROR#".to_owned(), |user| format!("ERROR#{user}$"));
    let keys = Keys::Between(from, "ERROR#~".to_owned());
    Select { attributes: Some("#user, v, generation, #code"), ..Select::of(run_pk(&run.id), keys) }
}

/// A row of a failed user.
struct Failed {
    user: UserId,
    /// The code of the error.
    code: String,
    /// The error counts, and is one of a user.
    counts: bool,
}

/// Returns the user of an error row. Rows that do not count may fill whole requests.
fn failed(item: &attributes::Item, run: &Run) -> Result<Option<Failed>, LedgerError> {
    attributes::readable(item, "ERROR")?;
    let generation: u32 = number(item, "generation").unwrap_or_default();
    let code = text(item, "code").to_owned();
    let counts = counts(generation, run) && code != UNREADABLE_USER;
    Ok(UserId::new(text(item, "user")).map(|user| Failed { user, code, counts }))
}
