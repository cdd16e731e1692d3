//! Starts that wait for the end of the active run, and the lists of users that starts name.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::attributes::{self, key, n, run_pk, s};
use super::expiry::expires_at_s;
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::redact::unread;
use crate::domain::run::decide::StartWait;
use crate::domain::run::{FORMAT_1, LIST_ITEM, RunId, Source, Start};
use crate::domain::user::UserId;

/// The partition of waiting starts.
const PARTITION: &str = "STARTS";

/// The outcome of queueing a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Queued {
    /// The start waits.
    Waits,
    /// The same start already waits: the schedule fired twice.
    Known,
    /// A waiting start of the same plan for all users does the same; the run that it makes.
    Covered(RunId),
    /// Another start waits under its run's name.
    Taken,
}

/// A waiting start.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The start, without the users of its list.
    pub start: Start,
    /// Failed tries to begin it.
    pub tries: u32,
    /// The next try is not before this time (Unix milliseconds).
    pub not_before_ms: i64,
    /// The reason why it did not begin at the last try, if no run was active.
    pub waits: Option<String>,
    /// The times of that wait.
    pub wait: Option<StartWait>,
    at: Key,
    text: String,
}

/// The item of a waiting start.
#[derive(Serialize, Deserialize)]
struct StartItem {
    /// Format version; 0 in items of earlier versions.
    #[serde(default)]
    v: u32,
    start: String,
    #[serde(default)]
    tries: u32,
    #[serde(default)]
    not_before_ms: i64,
    /// The reason of the wait at the last try, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits_since_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tried_ms: Option<i64>,
}

impl StartItem {
    fn new(start: String) -> Self {
        Self { v: FORMAT_1, start, tries: 0, not_before_ms: 0, waits: None, waits_since_ms: None, tried_ms: None }
    }

    fn wait(&self) -> Option<StartWait> {
        Some(StartWait { since_ms: self.waits_since_ms?, tried_ms: self.tried_ms? })
    }
}

/// An item of a list of users.
#[derive(Serialize, Deserialize)]
struct Listed {
    users: Vec<UserId>,
    /// Time to live. Lists of earlier versions get it after the run's end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
}

/// The first request of a start for the creation of an attribute.
#[derive(Serialize, Deserialize)]
struct Creation {
    asked_ms: i64,
    expires_at: i64,
}

impl Ledger {
    /// Queues a start and stores the users of its list.
    pub async fn enqueue(&self, start: &Start, now_ms: i64) -> Result<Queued, LedgerError> {
        self.put_list(&start.run(), &start.source, now_ms).await?;
        let start = start.without_ids();
        if is_for_all(&start) {
            let (at, of_plan) = (key_by_content(&start), key(PARTITION, &start.plan));
            let mut there = None;
            if at != of_plan {
                // Earlier versions stored starts of any content under their plan.
                let stored: Option<StartItem> = self.get(&of_plan).await?;
                there = stored.map(|stored| from_text(&stored.start, &of_plan.sk)).transpose()?;
            }
            if there.as_ref().is_none_or(|there| !is_alike(there, &start)) {
                there = match self.put_start(&at, &start).await? {
                    None => return Ok(Queued::Waits),
                    there => there,
                };
            }
            match there {
                Some(there) if there == start => return Ok(Queued::Known),
                Some(there) if is_alike(&there, &start) => match self.run(&there.run()).await? {
                    None => return Ok(Queued::Covered(there.run())),
                    // Its run began, and the process ended before the start left the queue.
                    Some(_) => self.dequeue(&there).await?,
                },
                // A start of an earlier version, or one with the same digest: this one waits under its own name.
                _ => {}
            }
        }
        Ok(match self.put_start(&key_by_run(&start), &start).await? {
            None => Queued::Waits,
            Some(there) if there == start => Queued::Known,
            Some(_) => Queued::Taken,
        })
    }

    /// Stores a start if the key is free; otherwise returns the stored one.
    async fn put_start(&self, at: &Key, start: &Start) -> Result<Option<Start>, LedgerError> {
        let item = attributes::item(at, &StartItem::new(to_text(start)?))?;
        loop {
            if self.send(Write::put(item.clone()).when("attribute_not_exists(pk)")).await? {
                return Ok(None);
            }
            // The stored start began in between, so the key is free now.
            if let Some(there) = self.get::<StartItem>(at).await? {
                return from_text(&there.start, &at.sk).map(Some);
            }
        }
    }

    /// Returns the waiting starts, oldest first. A start that this version cannot read stays for a
    /// newer version.
    pub async fn waiting(&self) -> Result<Vec<Waiting>, LedgerError> {
        let mut starts = Vec::new();
        for found in self.query(PARTITION, "", usize::MAX).await? {
            let at = key(PARTITION, found.get("sk").and_then(|sk| sk.as_s().ok()).map_or("", String::as_str));
            let read = attributes::read(found, PARTITION)
                .and_then(|item: StartItem| Ok((from_text(&item.start, &at.sk)?, item)));
            match read {
                Ok((start, item)) => starts.push(Waiting {
                    start,
                    tries: item.tries,
                    not_before_ms: item.not_before_ms,
                    wait: item.wait(),
                    waits: item.waits,
                    at,
                    text: item.start,
                }),
                Err(error) => tracing::error!(%error, "cannot read a waiting start"),
            }
        }
        starts.sort_by_key(|waiting: &Waiting| waiting.start.scheduled_at_s);
        Ok(starts)
    }

    /// Counts a failed try, and delays the next one until `not_before_ms`.
    pub async fn defer_start(&self, waiting: &Waiting, not_before_ms: i64) -> Result<(), LedgerError> {
        let write = Write::update(&waiting.at, "SET tries = :tries, not_before_ms = :at")
            .when("#start = :start")
            .with(":start", s(&waiting.text))
            .with(":tries", n(waiting.tries + 1))
            .with(":at", n(not_before_ms));
        self.send(write).await.map(|_| ())
    }

    /// Records that a waiting start did not begin at a try although no run was active, and why.
    /// Returns its wait; `None` if the start does not wait.
    pub async fn note_wait(&self, start: &Start, why: &str, now_ms: i64) -> Result<Option<StartWait>, LedgerError> {
        let text = to_text(&start.without_ids())?;
        for at in keys_of(start) {
            let Some(item) = self.get::<StartItem>(&at).await?.filter(|item| item.start == text) else { continue };
            let wait = StartWait::tried(item.wait(), now_ms);
            let write = Write::update(&at, "SET waits = :waits, waits_since_ms = :since, tried_ms = :now")
                .when("#start = :start")
                .with(":start", s(&text))
                .with(":waits", s(why))
                .with(":since", n(wait.since_ms))
                .with(":now", n(wait.tried_ms));
            self.send(write).await?;
            return Ok(Some(wait));
        }
        Ok(None)
    }

    /// Removes this start from the queue; another start of its plan stays.
    pub async fn dequeue(&self, start: &Start) -> Result<(), LedgerError> {
        for at in keys_of(start) {
            let write = Write::delete(&at)
                .when("attribute_not_exists(pk) OR #start = :start OR #start = :whole")
                .with(":start", s(to_text(&start.without_ids())?))
                // Earlier versions stored a start with the users of its list.
                .with(":whole", s(to_text(start)?));
            self.send(write).await?;
        }
        Ok(())
    }

    /// Records that a start asks Intercom to create an attribute. Returns the time of the start's first
    /// such request in Unix milliseconds, `None` if this is the first.
    pub async fn note_creation(&self, run: &RunId, attribute: &str, now_ms: i64) -> Result<Option<i64>, LedgerError> {
        let at = creation_key(run, attribute);
        let creation = Creation { asked_ms: now_ms, expires_at: expires_at_s(now_ms) };
        if self.send(Write::put(attributes::item(&at, &creation)?).when("attribute_not_exists(pk)")).await? {
            return Ok(None);
        }
        Ok(self.get::<Creation>(&at).await?.map(|creation| creation.asked_ms))
    }

    /// Removes the record of a request that Intercom refused.
    pub async fn forget_creation(&self, run: &RunId, attribute: &str) -> Result<(), LedgerError> {
        self.send(Write::delete(&creation_key(run, attribute))).await.map(|_| ())
    }

    /// Writes the users of a list, if the source is one, under the name of their run. The write is
    /// idempotent.
    pub(super) async fn put_list(&self, run: &RunId, source: &Source, now_ms: i64) -> Result<(), LedgerError> {
        let Source::Users(users) = source else { return Ok(()) };
        for (page, users) in (1..).zip(users.chunks(LIST_ITEM)) {
            let listed = Listed { users: users.to_vec(), expires_at: Some(expires_at_s(now_ms)) };
            self.put(&list_key(run, page), &listed).await?;
        }
        Ok(())
    }

    /// Returns one item of a run's list of users, counted from 1; empty after the last.
    pub async fn listed(&self, run: &RunId, page: u32) -> Result<Vec<UserId>, LedgerError> {
        let found: Option<Listed> = self.get(&list_key(run, page)).await?;
        Ok(found.map(|listed| listed.users).unwrap_or_default())
    }

    /// Returns all users of a run's list.
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

fn creation_key(run: &RunId, attribute: &str) -> Key {
    key(run_pk(run), format!("CREATION#{attribute}"))
}

fn list_key(run: &RunId, page: u32) -> Key {
    key(run_pk(run), format!("USERS#{page:07}"))
}

/// Returns whether a start is for all users, so that one with its plan and limits is enough. A start for
/// some users does not cover the others.
fn is_for_all(start: &Start) -> bool {
    start.source == Source::All && start.limits.do_all()
}

/// Returns whether two starts of a plan for all users do the same.
fn is_alike(a: &Start, b: &Start) -> bool {
    (&a.inline, &a.limits, a.supersede, a.unhold) == (&b.inline, &b.limits, b.supersede, b.unhold)
}

/// Returns the key of a start for all users: its plan, and the digest of its content. Starts that bring
/// another version of the plan or another pace wait beside each other.
fn key_by_content(start: &Start) -> Key {
    let digest = start.digest().map(|digest| format!("#{digest}")).unwrap_or_default();
    key(PARTITION, format!("{}{digest}", start.plan))
}

/// Returns the keys under which a start may wait. Earlier versions stored every start under its plan.
fn keys_of(start: &Start) -> BTreeSet<Key> {
    BTreeSet::from([key_by_run(start), key_by_content(start), key(PARTITION, &start.plan)])
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
