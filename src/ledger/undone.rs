//! The changes of a run by user, which its undo lists before it reads the users. A run may have changed a
//! user several times, in any of its jobs and parts.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};

use super::attributes::{self, key, run_pk};
use super::select::{Keys, Select};
use super::{Ledger, LedgerError, MadeOfUser, Write};
use crate::domain::job::JobId;
use crate::domain::redact::unread;
use crate::domain::run::RunId;
use crate::domain::undo::{Made, StayingUser};
use crate::domain::user::UserId;

/// Items that are written concurrently.
const AT_ONCE: usize = 16;
/// Items that are read at once, at least.
const ITEMS_AT_ONCE: usize = 100;

/// The item of a user's changes by one request. The changes are text, so that each number keeps its form.
#[derive(Serialize, Deserialize)]
struct MadeItem {
    user: UserId,
    made: String,
}

/// The item of a user whose values stay, as text.
#[derive(Serialize, Deserialize)]
struct StayingItem {
    user: UserId,
    stays: String,
}

fn staying_key(user: &UserId) -> String {
    format!("STAYS#{user}")
}

impl Ledger {
    /// Lists changes of an undone run under its undo. The same changes are one item.
    pub async fn list_made(&self, undo: &RunId, users: &[MadeOfUser], now_ms: i64) -> Result<(), LedgerError> {
        let mut puts = Vec::with_capacity(users.len());
        for MadeOfUser { user, at_ms, part, job, made } in users {
            // The order of the keys is that of the requests.
            let job = job.as_ref().map_or("", JobId::as_str);
            let at = key(run_pk(undo), format!("MADE#{user}#{:019}#{part}#{job}", (*at_ms).max(0)));
            let made = to_text(made, &at.sk)?;
            let item = attributes::item(&at, &MadeItem { user: user.clone(), made })?;
            puts.push(self.put_expiring(item, now_ms));
        }
        stream::iter(puts).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Returns at most `most` users behind one, each with its listed changes, oldest first.
    pub async fn listed_made(
        &self,
        undo: &RunId,
        after: Option<&UserId>,
        most: usize,
    ) -> Result<Vec<(UserId, Vec<Made>)>, LedgerError> {
        let mut users: Vec<(UserId, Vec<Made>)> = Vec::new();
        // An id has letters, digits, `_` and `-`. `$` follows `#`, and both are before these; `~` is behind them.
        let from = after.map_or_else(|| "MADE#".to_owned(), |user| format!("MADE#{user}$"));
        let keys = Keys::Between(from, "MADE#~".to_owned());
        let select = Select { items: ITEMS_AT_ONCE.max(most), ..Select::of(run_pk(undo), keys) };
        self.select(&select, |items| {
            for item in items {
                let MadeItem { user, made } = attributes::read(item, "MADE")?;
                let made: Vec<Made> = from_text(&made, "MADE")?;
                if let Some((_, all)) = users.last_mut().filter(|(last, _)| *last == user) {
                    all.extend(made);
                } else if users.len() >= most {
                    return Ok(false);
                } else {
                    users.push((user, made));
                }
            }
            Ok(true)
        })
        .await?;
        Ok(users)
    }

    /// Records the users of an undo whose values stay.
    pub async fn record_staying(&self, undo: &RunId, users: &[StayingUser], now_ms: i64) -> Result<(), LedgerError> {
        for StayingUser { user, stays } in users {
            let at = key(run_pk(undo), staying_key(user));
            let stays = to_text(stays, &at.sk)?;
            let item = attributes::item(&at, &StayingItem { user: user.clone(), stays })?;
            self.put_expiring(item, now_ms).await?;
        }
        Ok(())
    }

    /// Deletes the record of users that an earlier reading of their page made.
    pub async fn forget_staying(&self, undo: &RunId, users: &[UserId]) -> Result<(), LedgerError> {
        for user in users {
            self.send(Write::delete(&key(run_pk(undo), staying_key(user)))).await?;
        }
        Ok(())
    }

    /// Reads the users of an undo whose values stay, by id. `each` returns whether to continue.
    pub async fn each_staying(
        &self,
        undo: &RunId,
        mut each: impl FnMut(StayingUser) -> bool,
    ) -> Result<(), LedgerError> {
        self.pages(&run_pk(undo), "STAYS#", |items| {
            for item in items {
                let StayingItem { user, stays } = attributes::read(item, "STAYS")?;
                if !each(StayingUser { user, stays: from_text(&stays, "STAYS")? }) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
        .await
    }
}

fn to_text(value: &impl Serialize, at: &str) -> Result<String, LedgerError> {
    serde_json::to_string(value).map_err(|e| LedgerError::Json { key: at.to_owned(), detail: unread(&e) })
}

fn from_text<T: for<'de> Deserialize<'de>>(text: &str, at: &str) -> Result<T, LedgerError> {
    serde_json::from_str(text).map_err(|e| LedgerError::Json { key: at.to_owned(), detail: unread(&e) })
}
