//! The submit step: takes parts from the patches queue, packs them into bulk jobs within the budget, and records each job
//! under its bucket together with its parts' done marks.

mod batch;
mod failing;
mod leased;
mod metrics;
mod pieces;
mod record;
mod refused;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::domain::bucket::Bucket;
use crate::domain::part::Part;
use crate::domain::run::{Run, RunId};
use crate::queue::{Message, QueueName, UnreadableMessage};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event;
use crate::runtime::invocation::Invocation;

/// From this delivery on a part is handled alone and last, so that poison harms no neighbour.
const ALONE_FROM_RECEIVE: u32 = 3;
/// Parts whose submission failed come back so long after the leases that it may have left.
const AFTER_LEASE_MS: i64 = 1_000;

/// What an invocation did, for the log line and the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SubmitOutcome {
    /// Bulk jobs made.
    pub jobs: u64,
    /// Users in them.
    pub users: u64,
    /// Users that Intercom refused one by one.
    pub refused: u64,
    /// Parts dropped.
    pub dropped: u64,
    /// Parts given up.
    pub given_up: u64,
    /// Users of them.
    pub users_given_up: u64,
    /// Runs that failed or were paused here.
    pub not_complete: u64,
    /// Answers that said 429.
    pub rate_limited: u64,
    /// How much of our quota the fullest window had spent, in percent.
    pub quota_used_percent: u64,
    /// Messages that cannot be read.
    #[serde(rename = "buried")]
    pub dead_lettered: u64,
    /// Messages of a newer format or run, left to the newer version of the function.
    pub newer: u64,
    /// Why parts rest after a request that failed, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Messages to be delivered again, by id.
    #[serde(skip)]
    pub redeliver: BTreeSet<String>,
}

/// A message and the part that it carries.
struct Work {
    message: Message,
    part: Part,
}

/// What an invocation carries from job to job.
struct Round<'a> {
    clients: &'a Clients,
    at: &'a Invocation,
    noted: BTreeSet<(RunId, Bucket)>,
    outcome: SubmitOutcome,
}

/// Handles one event.
pub async fn handle(clients: &Clients, event: &Value, at: &Invocation) -> Result<SubmitOutcome, StepError> {
    let messages = event::submit(event)?;
    StepError::unless_time("submit", at, batch::FOR_A_JOB_MS)?;
    let mut round = Round { clients, at, noted: BTreeSet::new(), outcome: SubmitOutcome::default() };
    let count = messages.len();
    let (works, mut failed, mut failure) = round.read(messages).await;
    for group in groups(works) {
        let messages: Vec<Message> = group.iter().map(|work| work.message.clone()).collect();
        // A failure of one group is delivered again and leaves the others alone.
        if let Err(error) = round.submit(group).await {
            if error.is_newer() {
                for message in &messages {
                    round.leave(message, &error.to_string()).await;
                }
                continue;
            }
            tracing::error!(%error, parts = messages.len(), "parts could not be submitted; they are delivered again");
            for message in &messages {
                // Their leases may be ours until then.
                round.return_message(message, at.left_ms() + batch::LEASE_MARGIN_MS + AFTER_LEASE_MS).await;
            }
            failed += messages.len();
            failure = Some(error);
        }
    }
    let usage = clients.limiter.take_usage();
    round.outcome.rate_limited = usage.rate_limited;
    round.outcome.quota_used_percent = usage.quota_used_percent;
    match failure {
        // Nothing was done at all: an error, so that the function's alarm sees it. With an error all messages come again,
        // also one that is in the dead-letter queue by now.
        Some(error) if failed == count => Err(error),
        _ => Ok(round.outcome),
    }
}

/// Parts of one run go together; those that came often already, alone and last.
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
    /// The parts of the messages. One that cannot be read goes to the dead-letter queue by our own hand. A part that came
    /// twice is taken once: the lease is this invocation's for both, and two done marks of one part in the transaction
    /// that records a job would refuse it, and with it the job's id.
    ///
    /// Returns the parts, how many messages could not even be put into the dead-letter queue, and why.
    async fn read(&mut self, messages: Vec<Message>) -> (Vec<Work>, usize, Option<StepError>) {
        let (mut works, mut failed, mut failure): (Vec<Work>, usize, Option<StepError>) = (Vec::new(), 0, None);
        for message in messages {
            match message.part() {
                Ok(part) if works.iter().any(|work| (&work.part.run, &work.part.id) == (&part.run, &part.id)) => {}
                Ok(part) => works.push(Work { message, part }),
                Err(error @ UnreadableMessage::Newer(_)) => self.leave(&message, &error.to_string()).await,
                Err(UnreadableMessage::Malformed(reason)) => {
                    tracing::error!(message.id, reason, "a message of the patches queue cannot be read");
                    match self.clients.queues.dead_letter(QueueName::Patches, &message, &reason).await {
                        Ok(()) => self.outcome.dead_lettered += 1,
                        // It comes again by itself, and those beside it are no worse for it.
                        Err(error) => {
                            tracing::error!(message.id, %error, "it cannot be put into the dead-letter queue either");
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
    async fn still_submits(&self, run: &mut Run) -> Result<bool, StepError> {
        let now = self.clients.ledger.run(&run.id).await?;
        let Some(now) = now.filter(|now| now.state.submits() && now.generation == run.generation) else {
            return Ok(false);
        };
        *run = now;
        Ok(true)
    }

    /// Leaves a message to a newer version of the function: it comes back until that is deployed.
    async fn leave(&mut self, message: &Message, reason: &str) {
        tracing::error!(message.id, reason, "a message is left to a newer version of the function");
        self.return_message(message, message.rest_for_newer_ms()).await;
        self.outcome.newer += 1;
    }

    /// Has a part delivered again after so many milliseconds.
    async fn return_after(&mut self, work: &Work, ms: i64) {
        self.return_message(&work.message, ms).await;
    }

    async fn return_message(&mut self, message: &Message, ms: i64) {
        self.outcome.redeliver.insert(message.id.clone());
        if let Err(error) = self.clients.queues.hide(QueueName::Patches, message, ms).await {
            tracing::debug!(%error, "a message keeps the queue's visibility time-out");
        }
    }
}
