//! The messages of a run's parts that are sent again.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::attributes::{attribute, key, n, run_pk};
use super::expiry::expires_at_s;
use super::{Key, Ledger, LedgerError, Write};
use crate::domain::part::PartId;
use crate::domain::run::RunId;

/// When the messages of a run's parts were sent again, and the signs that they must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resends {
    /// Number of requests for a resend. A resend that began before the last request does not end it.
    #[serde(default)]
    pub requests: u64,
    /// True while parts are left to send: another invocation goes on.
    #[serde(default)]
    pub pending: bool,
    /// The last part whose message was sent, while some are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PartId>,
    /// Time of the last complete resend, in Unix milliseconds; 0 if there was none.
    #[serde(default)]
    pub sent_ms: i64,
    /// Consecutive reads that found the patches queue empty, although parts have no end.
    #[serde(default)]
    pub empty_reads: u32,
    /// Time of the last of these reads, in Unix milliseconds.
    #[serde(default)]
    pub read_ms: i64,
    /// Number of parts without end at the last read of the queue.
    #[serde(default)]
    pub parts_open: u64,
    /// Time since which that number is the same, in Unix milliseconds; 0 before the first read.
    #[serde(default)]
    pub open_since_ms: i64,
}

fn resends_key(run: &RunId) -> Key {
    key(run_pk(run), "RESEND")
}

impl Ledger {
    /// Returns the resends of a run; the default if there were none.
    pub async fn resends(&self, run: &RunId) -> Result<Resends, LedgerError> {
        Ok(self.get(&resends_key(run)).await?.unwrap_or_default())
    }

    /// Requests that the messages of all parts without end are sent, or sent again.
    pub async fn request_resend(&self, run: &RunId, now_ms: i64) -> Result<(), LedgerError> {
        self.send(Self::resend_write(run, now_ms)).await.map(|_| ())
    }

    /// Returns the write of such a request.
    pub(super) fn resend_write(run: &RunId, now_ms: i64) -> Write {
        let update = "SET pending = :pending, empty_reads = :none, read_ms = :none, expires_at = :expires \
                      REMOVE #after, open_since_ms ADD requests :one";
        Write::update(&resends_key(run), update)
            .with(":pending", AttributeValue::Bool(true))
            .with(":none", n(0))
            .with(":expires", n(expires_at_s(now_ms)))
            .with(":one", n(1))
    }

    /// Stores that messages up to this part were sent, in addition to those up to `resends.after`.
    /// Returns `false` if a newer request was made, or if another invocation sends them, too.
    pub async fn resent_to(&self, run: &RunId, resends: &Resends, part: &PartId) -> Result<bool, LedgerError> {
        let write = Write::update(&resends_key(run), "SET #after = :after")
            .with(":after", attribute(part, "RESEND")?)
            .with(":pending", AttributeValue::Bool(true));
        let (write, to) = match &resends.after {
            None => (write, "attribute_not_exists(#after)"),
            Some(after) => (write.with(":was", attribute(after, "RESEND")?), "#after = :was"),
        };
        let write = write.when(format!("requests = :requests AND pending = :pending AND {to}"));
        self.send(write.with(":requests", n(resends.requests))).await
    }

    /// Stores that the messages of all parts were sent, if no newer request was made.
    pub async fn resent_all(&self, run: &RunId, resends: &Resends, now_ms: i64) -> Result<(), LedgerError> {
        let write = Write::update(&resends_key(run), "SET pending = :pending, sent_ms = :now REMOVE #after")
            .with(":pending", AttributeValue::Bool(false))
            .with(":now", n(now_ms));
        self.send(since(write, resends)).await.map(|_| ())
    }

    /// Stores what the reads of the queue showed.
    pub async fn queue_was_read(&self, run: &RunId, resends: &Resends, now_ms: i64) -> Result<(), LedgerError> {
        let update = "SET empty_reads = :reads, read_ms = :read, parts_open = :open, open_since_ms = :since, \
                      expires_at = :expires, requests = :requests";
        let write = Write::update(&resends_key(run), update)
            .when("attribute_not_exists(pk) OR requests = :requests")
            .with(":reads", n(resends.empty_reads))
            .with(":read", n(resends.read_ms))
            .with(":open", n(resends.parts_open))
            .with(":since", n(resends.open_since_ms))
            .with(":expires", n(expires_at_s(now_ms)))
            .with(":requests", n(resends.requests));
        self.send(write).await.map(|_| ())
    }
}

/// Adds the condition that no request was made since the read.
fn since(write: Write, resends: &Resends) -> Write {
    write.when("requests = :requests").with(":requests", n(resends.requests))
}
