//! Users that ended in an error. A run can have millions of them, so the functions hold no more than they
//! need.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::ReturnValue;
use serde::{Deserialize, Serialize};

use super::attributes::{self, key, n, number, run_pk, s, text};
use super::select::Select;
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::run::{CODE_CHARS_MAX, Cursor, Run, RunId, State};
use crate::domain::user::UserId;

/// Code and message of an error row are cut to this many characters.
const TEXT_MAX: usize = CODE_CHARS_MAX;

/// A user that ended in an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorRow {
    /// The user, or `page 12` if the page contained an entry that is not a user.
    pub user: String,
    /// Intercom's code or ours.
    pub code: String,
    /// The message, without personal data.
    pub message: String,
    /// The page, part or job that failed.
    pub at: String,
    /// The generation; 0 in rows of earlier versions.
    #[serde(default)]
    pub generation: u32,
}

fn error_key(run: &RunId, user: &str, at: &str) -> Key {
    key(run_pk(run), format!("ERROR#{user}#{at}"))
}

impl Ledger {
    /// Records users that ended in an error. The same user and place is one row.
    pub async fn record_errors(&self, run: &RunId, rows: &[ErrorRow], now_ms: i64) -> Result<(), LedgerError> {
        for row in rows {
            let row = ErrorRow { code: cut(&row.code), message: cut(&row.message), ..row.clone() };
            let item = attributes::item(&error_key(run, &row.user, &row.at), &row)?;
            self.put_expiring(item, now_ms).await?;
        }
        Ok(())
    }

    /// Deletes the errors that an earlier reading of a page recorded in this generation.
    pub async fn forget_errors(&self, run: &RunId, generation: u32, at: &str) -> Result<(), LedgerError> {
        let mut found = Vec::new();
        let select = Select {
            attributes: Some("sk, v"),
            only: Some((
                "generation = :generation AND #at = :at",
                vec![(":generation", n(generation)), (":at", s(at))],
            )),
            ..Select::new(run_pk(run), "ERROR#")
        };
        self.select(&select, |items| {
            for item in items {
                attributes::readable(&item, "ERROR")?;
                found.push(text(&item, "sk").to_owned());
            }
            Ok(true)
        })
        .await?;
        for sk in found {
            self.send(Write::delete(&key(run_pk(run), sk))).await?;
        }
        Ok(())
    }

    /// Deletes the error of a user at this place, if there is one.
    pub async fn forget_error_of(&self, run: &RunId, user: &UserId, at: &str) -> Result<(), LedgerError> {
        self.send(Write::delete(&error_key(run, user.as_str(), at))).await.map(|_| ())
    }

    /// Adds to the run's count of errors, for `max_errors`. Returns the new count.
    pub async fn count_errors(&self, run: &RunId, errors: u64) -> Result<u64, LedgerError> {
        let write = Self::errors_write(run, errors);
        let counted = self.send_for(write, Some(ReturnValue::UpdatedNew)).await?.unwrap_or_default();
        // Without the count, the limit would not be enforced.
        let missing = || LedgerError::Missing { what: "count of errors", key: run.to_string() };
        number(&counted, "errors").ok_or_else(missing)
    }

    /// Returns the write that adds to the run's count of errors.
    pub(super) fn errors_write(run: &RunId, errors: u64) -> Write {
        Write::update(&key(run_pk(run), "RUN"), "ADD #errors :more")
            .when("attribute_exists(pk)")
            .with(":more", n(errors))
    }

    /// Returns the errors of a run, by user id. If the last generation read all users, errors of
    /// the earlier ones are left out. A run can have millions of them: the functions count them with
    /// [`Self::users_in_error`].
    pub async fn errors(&self, run: &Run) -> Result<Vec<ErrorRow>, LedgerError> {
        self.error_rows(run, "ERROR#").await
    }

    /// Returns the errors of one user of a run. Errors of earlier generations are left out as in
    /// [`Self::errors`].
    pub async fn errors_of(&self, run: &Run, user: &UserId) -> Result<Vec<ErrorRow>, LedgerError> {
        self.error_rows(run, &format!("ERROR#{user}#")).await
    }

    async fn error_rows(&self, run: &Run, prefix: &str) -> Result<Vec<ErrorRow>, LedgerError> {
        let mut rows = Vec::new();
        self.each_error_row(run, prefix, |row| {
            rows.push(row);
            true
        })
        .await?;
        Ok(rows)
    }

    /// Reads the errors of a run as [`Self::errors`] does, in the same order, some at a time: a run can have
    /// more than fit in memory. Rows of one user are adjacent. `each` returns whether to continue.
    pub async fn each_error(&self, run: &Run, each: impl FnMut(ErrorRow) -> bool) -> Result<(), LedgerError> {
        self.each_error_row(run, "ERROR#", each).await
    }

    async fn each_error_row(
        &self,
        run: &Run,
        prefix: &str,
        mut each: impl FnMut(ErrorRow) -> bool,
    ) -> Result<(), LedgerError> {
        self.pages(&run_pk(&run.id), prefix, |items| {
            for item in items {
                let row: ErrorRow = attributes::read(item, "ERROR")?;
                if counts(row.generation, run) && !each(row) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }

    /// Counts the failed users of a run, each once.
    pub(super) async fn count_failed_users(&self, run: &Run, cursor: &Cursor) -> Result<FailedUsers, LedgerError> {
        let mut failed = FailedUsers::default();
        let attributes = Some("#user, #at, v, generation");
        let select = Select { attributes, ..Select::new(run_pk(&run.id), "ERROR#") };
        self.select(&select, |items| {
            for item in items {
                attributes::readable(&item, "ERROR")?;
                // Rows of an earlier version have no generation.
                let generation = number(&item, "generation").unwrap_or_default();
                if generation == 0 || cursor.counts_errors_of(generation) {
                    failed.add(text(&item, "user"), text(&item, "at"));
                }
            }
            Ok(true)
        })
        .await?;
        Ok(failed)
    }

    /// Counts the failed users of a run's generation and those of `more`, each once: a retried part
    /// records the same errors again. More than `most` users count as `most + 1`, and the rest is not
    /// read.
    pub async fn users_in_error(&self, run: &Run, mut more: BTreeSet<String>, most: u64) -> Result<u64, LedgerError> {
        // Rows of one user are adjacent.
        let (mut users, mut last) = (0, String::new());
        let select = Select { attributes: Some("#user, v, generation"), ..Select::new(run_pk(&run.id), "ERROR#") };
        self.select(&select, |items| {
            for item in items {
                attributes::readable(&item, "ERROR")?;
                let user = text(&item, "user");
                if user != last && is_of(number(&item, "generation").unwrap_or_default(), run.generation) {
                    users += 1;
                    more.remove(user);
                    user.clone_into(&mut last);
                }
            }
            Ok(users <= most)
        })
        .await?;
        Ok((users + more.len() as u64).min(most.saturating_add(1)))
    }
}

/// The number of failed users, by their error rows.
#[derive(Debug, Default)]
pub(super) struct FailedUsers {
    pub(super) users: u64,
    /// Users with an error of the plan's evaluation, and one of their write.
    pub(super) twice: u64,
    /// The user of the last row, and what its rows are about.
    last: String,
    of_page: bool,
    of_write: bool,
}

impl FailedUsers {
    /// Counts a row. Rows of one user are adjacent. The place is `page 12`, `part …` or `job …`.
    fn add(&mut self, user: &str, at: &str) {
        if user != self.last {
            self.users += 1;
            user.clone_into(&mut self.last);
            (self.of_page, self.of_write) = (false, false);
        }
        let before = self.of_page && self.of_write;
        *(if at.starts_with("page ") { &mut self.of_page } else { &mut self.of_write }) = true;
        self.twice += u64::from(!before && self.of_page && self.of_write);
    }
}

/// Returns whether an error row of generation `of` belongs to a generation or a later one. Rows of earlier
/// versions have generation 0 and belong to any.
pub(super) fn is_of(of: u32, generation: u32) -> bool {
    of == 0 || of >= generation
}

/// Returns whether an error row of generation `of` counts for a run. If the last generation read all users,
/// rows of earlier ones do not.
pub(super) fn counts(of: u32, run: &Run) -> bool {
    is_of(of, run.generation) || !matches!(run.state, State::Complete | State::CompleteWithErrors)
}

fn cut(text: &str) -> String {
    text.chars().take(TEXT_MAX).collect()
}
