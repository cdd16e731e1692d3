//! The submit step: receives parts from the patches queue and packs them into bulk jobs within the
//! budget. It records each job under its bucket, together with its parts' done marks.

mod accused;
mod answers;
mod batch;
mod begin;
mod failing;
mod finish;
mod leased;
mod metrics;
mod outage;
mod permits;
mod pieces;
mod record;
mod refused;
mod send;
mod streak;
mod under_way;
mod wanted;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::domain::api::BulkCharge;
use crate::domain::bucket::Bucket;
use crate::domain::part::{Part, ReadingId};
use crate::domain::run::{Run, RunId};
use crate::queue::{Message, QueueName, UnreadableMessage};
use crate::rate_limit::BulkChargeSeen;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event;
use crate::runtime::invocation::Invocation;

/// From this receive count on, a part is handled alone and last. If its message ends the
/// invocation, no other part is affected.
const ALONE_FROM_RECEIVE: u32 = 3;
/// Parts whose submission failed are delivered again this long after their leases expire, in
/// milliseconds.
const AFTER_LEASE_MS: i64 = 1_000;

/// The outcome of an invocation, for the log line and the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubmitOutcome {
    /// Created bulk jobs.
    pub jobs: u64,
    /// Users in these jobs.
    pub users: u64,
    /// Users that Intercom refused individually.
    pub refused: u64,
    /// Parts dropped.
    pub dropped: u64,
    /// Messages of runs that do not submit now, deleted without an effect.
    pub left_out: u64,
    /// Parts given up.
    pub given_up: u64,
    /// Users of the parts given up.
    pub users_given_up: u64,
    /// Runs that this invocation failed or paused.
    pub not_complete: u64,
    /// Answers with status 429.
    pub rate_limited: u64,
    /// The highest use of our quota in a rate window, in percent.
    pub quota_used_percent: u64,
    /// The cost of a bulk request, where Intercom does not document it, as the rate headers show it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk_charge_seen: Option<&'static str>,
    /// Unreadable messages, sent to the dead-letter queue.
    #[serde(rename = "buried")]
    pub dead_lettered: u64,
    /// Messages of a newer format or run, which are left to the newer version of the function.
    pub newer: u64,
    /// The reason why parts wait after a failed request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Ids of messages to deliver again.
    #[serde(skip)]
    pub redeliver: BTreeSet<String>,
}

/// A message and its part.
struct Work {
    message: Message,
    part: Part,
}

/// The state of an invocation.
struct Round<'a> {
    clients: &'a Clients,
    at: &'a Invocation,
    noted: BTreeSet<(RunId, Bucket)>,
    /// The committed readings of pages, as read by this invocation.
    pages: BTreeMap<(RunId, u32, u32), Option<ReadingId>>,
    /// Begin of the last read of the run's item, in Unix milliseconds.
    read_ms: i64,
    /// Bulk requests of this invocation, for all of its parts.
    requests: u32,
    charge_seen: BulkChargeSeen,
    /// The cost of a bulk request that is to be stored with its run.
    charge_to_note: Option<(RunId, BulkCharge)>,
    outcome: SubmitOutcome,
}

/// Handles one event.
pub async fn handle(clients: &Clients, event: &Value, at: &Invocation) -> Result<SubmitOutcome, StepError> {
    let messages = event::submit(event)?;
    StepError::unless_time("submit", at, batch::FOR_A_JOB_MS)?;
    clients.note_format("submit", at.clock.now_ms()).await;
    let (noted, pages, outcome) = (BTreeSet::new(), BTreeMap::new(), SubmitOutcome::default());
    let charge_seen = BulkChargeSeen::default();
    let (read_ms, requests, charge_to_note) = (0, 0, None);
    let mut round = Round { clients, at, noted, pages, read_ms, requests, charge_seen, charge_to_note, outcome };
    let (works, mut failed, mut failure) = round.read(messages).await;
    // Without messages that bring no part, and copies.
    let count = works.len() + failed + (round.outcome.dead_lettered + round.outcome.newer) as usize;
    for group in groups(works) {
        let messages: Vec<Message> = group.iter().map(|work| work.message.clone()).collect();
        // If one group fails, only its messages are delivered again.
        if let Err(error) = round.submit(group).await {
            if error.is_newer() {
                for message in &messages {
                    round.leave(message, &error.to_string()).await;
                }
                continue;
            }
            tracing::error!(%error, parts = messages.len(), "cannot submit parts; they are delivered again");
            for message in &messages {
                // This invocation may hold their leases until then.
                round.return_message(message, at.left_ms() + batch::LEASE_MARGIN_MS + AFTER_LEASE_MS).await;
            }
            failed += messages.len();
            failure = Some(error);
        }
    }
    round.note_charge().await;
    let usage = clients.limiter.take_usage();
    round.outcome.rate_limited = usage.rate_limited;
    round.outcome.quota_used_percent = usage.quota_used_percent;
    match failure {
        // Return an error if all messages failed, so that the function's alarm sees it. After an
        // error, the queue delivers all messages again, including those already in the dead-letter
        // queue.
        Some(error) if failed == count => Err(error),
        _ => Ok(round.outcome),
    }
}

/// Groups parts by run. Parts that were received often come last, each in a group of its own.
fn groups(works: Vec<Work>) -> Vec<Vec<Work>> {
    let (alone, together): (Vec<Work>, Vec<Work>) =
        works.into_iter().partition(|work| work.message.receives >= ALONE_FROM_RECEIVE);
    let mut by_run: BTreeMap<RunId, Vec<Work>> = BTreeMap::new();
    for work in together {
        by_run.entry(work.part.run.clone()).or_default().push(work);
    }
    by_run.into_values().chain(alone.into_iter().map(|work| vec![work])).collect()
}

impl Round<'_> {
    /// Reads the parts of the messages, and sends unreadable messages to the dead-letter queue.
    ///
    /// A duplicate part is skipped. Both copies would have this invocation's lease. DynamoDB
    /// refuses a transaction with two done marks of one part, so the job's id would not be
    /// recorded.
    ///
    /// Returns the parts, the number of messages that could not be sent to the dead-letter queue,
    /// and the last such error.
    async fn read(&mut self, messages: Vec<Message>) -> (Vec<Work>, usize, Option<StepError>) {
        let (mut works, mut failed, mut failure): (Vec<Work>, usize, Option<StepError>) = (Vec::new(), 0, None);
        for message in messages.into_iter().filter(|message| !message.is_hello()) {
            match message.part() {
                Ok(part) if works.iter().any(|work| (&work.part.run, &work.part.id) == (&part.run, &part.id)) => {}
                Ok(part) => works.push(Work { message, part }),
                Err(error @ UnreadableMessage::Newer(_)) => self.leave(&message, &error.to_string()).await,
                Err(UnreadableMessage::Malformed(reason)) => {
                    tracing::error!(message.id, reason, "cannot read a message of the patches queue");
                    match self.clients.queues.dead_letter(QueueName::Patches, &message, &reason).await {
                        Ok(()) => self.outcome.dead_lettered += 1,
                        // The queue delivers it again. The other messages are not affected.
                        Err(error) => {
                            tracing::error!(message.id, %error, "cannot send the unreadable message to the dead-letter queue");
                            self.outcome.redeliver.insert(message.id.clone());
                            failed += 1;
                            failure = Some(error.into());
                        }
                    }
                }
            }
        }
        (works, failed, failure)
    }

    /// Reads a run again before a further request for its parts. Returns whether it still submits
    /// the generation of these parts.
    async fn still_submits(&mut self, run: &mut Run) -> Result<bool, StepError> {
        let read_ms = self.at.clock.now_ms();
        let now = self.clients.ledger.run(&run.id).await?;
        self.read_ms = read_ms;
        let Some(now) = now.filter(|now| now.submits() && now.generation == run.generation) else {
            return Ok(false);
        };
        *run = now;
        Ok(true)
    }

    /// Leaves a message to a newer version of the function. The queue delivers it again until that
    /// version is deployed.
    async fn leave(&mut self, message: &Message, reason: &str) {
        tracing::error!(message.id, reason, "a message is left to a newer version of the function");
        self.return_message(message, message.rest_for_newer_ms()).await;
        self.outcome.newer += 1;
    }

    /// Returns a part to the queue, for delivery after `ms` milliseconds.
    async fn return_after(&mut self, work: &Work, ms: i64) {
        self.return_message(&work.message, ms).await;
    }

    async fn return_message(&mut self, message: &Message, ms: i64) {
        self.outcome.redeliver.insert(message.id.clone());
        if let Err(error) = self.clients.queues.change_visibility(QueueName::Patches, message, ms).await {
            tracing::debug!(%error, "cannot change a message's visibility; the queue's timeout applies");
        }
    }
}
