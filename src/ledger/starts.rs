//! Starts that wait for the active run to end, and the lists of users that starts name.

use serde::{Deserialize, Serialize};

use super::error::conditional;
use super::expiry::expires_at_s;
use super::items::{self, key, n, run_pk, s};
use super::{Key, Ledger, LedgerError};
use crate::domain::redact::unread;
use crate::domain::run::{FORMAT, LIST_ITEM, Limits, RunId, Source, Start};
use crate::domain::user::UserId;

/// The partition of the starts that wait.
const PARTITION: &str = "STARTS";

/// What became of a start that is to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    /// It waits.
    Waits,
    /// It waits already: the schedule fired twice.
    Known,
    /// A start of the same plan for all users waits, and does what this one would do: the run that it makes.
    Covered(RunId),
    /// Another start waits under its run's name.
    Taken,
}

/// A start that waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The start; the users of a list are not in it.
    pub start: Start,
    /// How often it could not be begun.
    pub tries: u32,
    /// Before this time (Unix milliseconds) it is not tried again.
    pub not_before_ms: i64,
    at: Key,
    text: String,
}

/// The item of a start that waits.
#[derive(Serialize, Deserialize)]
struct StartItem {
    /// Format version; none in items of earlier versions.
    #[serde(default)]
    v: u32,
    start: String,
    #[serde(default)]
    tries: u32,
    #[serde(default)]
    not_before_ms: i64,
}

/// An item of a list of users.
#[derive(Serialize, Deserialize)]
struct Listed {
    users: Vec<UserId>,
    /// Time to live. Lists of earlier versions get theirs when the run has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

impl Ledger {
    /// Lets a start wait, the users of its list beside it.
    pub async fn enqueue(&self, start: &Start, now_ms: i64) -> Result<Queued, LedgerError> {
        self.put_list(&start.run(), &start.source, now_ms).await?;
        let start = start.without_ids();
        if let Some(by_plan) = key_by_plan(&start) {
            match self.put_start(&by_plan, &start).await? {
                None => return Ok(Queued::Waits),
                Some(there) if there == start => return Ok(Queued::Known),
                Some(there) if there.inline == start.inline => return Ok(Queued::Covered(there.run())),
                // It brings another version of the plan, and waits under its own name.
                Some(_) => {}
            }
        }
        Ok(match self.put_start(&key_by_run(&start), &start).await? {
            None => Queued::Waits,
            Some(there) if there == start => Queued::Known,
            Some(_) => Queued::Taken,
        })
    }

    /// Stores a start where none is; returns the one that is there.
    async fn put_start(&self, at: &Key, start: &Start) -> Result<Option<Start>, LedgerError> {
        let item = items::write(at, &StartItem { v: FORMAT, start: to_text(start)?, tries: 0, not_before_ms: 0 })?;
        loop {
            let request = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
            let sent = request.condition_expression("attribute_not_exists(pk)").send().await;
            if conditional("PutItem", sent)?.is_some() {
                return Ok(None);
            }
            // One that was there and began in between leaves room.
            if let Some(there) = self.get::<StartItem>(at).await? {
                return from_text(&there.start, &at.sk).map(Some);
            }
        }
    }

    /// The starts that wait, oldest first. One that this version cannot read stays for the version that can.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError> {
        let mut starts = Vec::new();
        for found in self.query(PARTITION, "", usize::MAX).await? {
            let at = key(PARTITION, found.get("sk").and_then(|sk| sk.as_s().ok()).map_or("", String::as_str));
            let read =
                items::read(found, PARTITION).and_then(|item: StartItem| Ok((from_text(&item.start, &at.sk)?, item)));
            match read {
                Ok((start, item)) => starts.push(Waiting {
                    start,
                    tries: item.tries,
                    not_before_ms: item.not_before_ms,
                    at,
                    text: item.start,
                }),
                Err(error) => tracing::error!(%error, "a start waits that cannot be read"),
            }
        }
        starts.sort_by_key(|waiting: &Waiting| waiting.start.scheduled_at_s);
        Ok(starts)
    }

    /// Counts a try at a start that waits, which is not tried again before `not_before_ms`.
    pub async fn defer_start(&self, waiting: &Waiting, not_before_ms: i64) -> Result<(), LedgerError> {
        let request = self.client.update_item().table_name(&self.table).set_key(Some(waiting.at.attributes()));
        let sent = request
            .update_expression("SET tries = :tries, not_before_ms = :at")
            .condition_expression("#start = :start")
            .expression_attribute_names("#start", "start")
            .expression_attribute_values(":start", s(&waiting.text))
            .expression_attribute_values(":tries", n(waiting.tries + 1))
            .expression_attribute_values(":at", n(not_before_ms))
            .send()
            .await;
        conditional("UpdateItem", sent).map(|_| ())
    }

    /// Takes this very start out of the queue; another one of its plan stays.
    pub async fn dequeue(&self, start: &Start) -> Result<(), LedgerError> {
        // Earlier versions kept every start under its plan, and the users of a list in it.
        for at in [key_by_run(start), key(PARTITION, &start.plan)] {
            let request = self.client.delete_item().table_name(&self.table);
            let sent = request
                .set_key(Some(at.attributes()))
                .condition_expression("attribute_not_exists(pk) OR #start = :start OR #start = :whole")
                .expression_attribute_names("#start", "start")
                .expression_attribute_values(":start", s(to_text(&start.without_ids())?))
                .expression_attribute_values(":whole", s(to_text(start)?))
                .send()
                .await;
            conditional("DeleteItem", sent)?;
        }
        Ok(())
    }

    /// Writes the users of a list, if the source is one, under the name of their run. The same list makes the same items.
    pub(super) async fn put_list(&self, run: &RunId, source: &Source, now_ms: i64) -> Result<(), LedgerError> {
        let Source::Users(users) = source else { return Ok(()) };
        for (page, users) in (1..).zip(users.chunks(LIST_ITEM)) {
            let listed = Listed { users: users.to_vec(), expires_at: Some(expires_at_s(now_ms)) };
            self.put(&list_key(run, page), &listed).await?;
        }
        Ok(())
    }

    /// An item of a run's list of users, from 1; empty behind the last.
    pub async fn listed(&self, run: &RunId, page: u32) -> Result<Vec<UserId>, LedgerError> {
        let found: Option<Listed> = self.get(&list_key(run, page)).await?;
        Ok(found.map(|listed| listed.users).unwrap_or_default())
    }

    /// All users of a run's list.
    pub async fn list(&self, run: &RunId) -> Result<Vec<UserId>, LedgerError> {
        let mut list = Vec::new();
        for page in 1.. {
            let users = self.listed(run, page).await?;
            if users.is_empty() {
                break;
            }
            list.extend(users);
        }
        Ok(list)
    }
}

fn list_key(run: &RunId, page: u32) -> Key {
    key(run_pk(run), format!("USERS#{page:07}"))
}

/// A start for all users waits under its plan, so that one of a plan waits; one for some of them is no substitute for it.
fn key_by_plan(start: &Start) -> Option<Key> {
    let for_all = start.source == Source::Scroll && start.limits == Limits::default();
    for_all.then(|| key(PARTITION, &start.plan))
}

fn key_by_run(start: &Start) -> Key {
    key(PARTITION, start.run().as_str())
}

fn to_text(start: &Start) -> Result<String, LedgerError> {
    serde_json::to_string(start).map_err(|e| LedgerError::Json { key: start.run().to_string(), detail: unread(&e) })
}

fn from_text(text: &str, name: &str) -> Result<Start, LedgerError> {
    serde_json::from_str(text).map_err(|e| LedgerError::Json { key: name.to_owned(), detail: unread(&e) })
}
