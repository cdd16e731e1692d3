//! The check step: polls bulk jobs, sends refused items again if that can help, reads some of the
//! written users back when all parts and jobs of a run have ended, and ends the run.

mod conclude;
mod finish;
mod look;
mod outcome;
mod read_back;
mod unnamed;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;

pub use outcome::CheckOutcome;

use crate::control::{self, Looking};
use crate::domain::run::{Run, RunId};
use crate::ledger::JobRow;
use crate::rate_limit::{Lane, Permit, PermitRequest};
use crate::runtime::binding::{self, Binding};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event;
use crate::runtime::invocation::Invocation;

/// Jobs listed at once. Each window reserves this many polls at most, so it exceeds the polls of a
/// window of 4,000 operations.
const LISTED: i32 = 200;
/// Jobs polled at once. At 0.6 s per answer of Intercom, this allows 130 polls per window.
const POLLED_AT_ONCE: usize = 8;
/// Items of an ended run that get their time to live in one tick.
const EXPIRED_AT_ONCE: i32 = 500;
/// Time reserved for one job, in milliseconds: its state, its error feed, and the writes.
const FOR_A_LOOK_MS: i64 = 60_000;
/// Time reserved for the writes after the looks at ended runs, in milliseconds.
const FOR_THE_REST_MS: i64 = 10_000;
/// Consecutive failed polls after which the other jobs wait for the next tick.
const FAILURES_MAX: u32 = 3;

/// Handles one tick.
pub async fn handle(clients: &Clients, event: &Value, at: &Invocation) -> Result<CheckOutcome, StepError> {
    event::check(event)?;
    StepError::unless_time("check", at, FOR_A_LOOK_MS)?;
    clients.note_format("check", at.clock.now_ms()).await;
    let mut tick = Tick::default();
    loop {
        let due = clients.ledger.due(at.clock.now_ms(), LISTED).await?;
        if due.is_empty() {
            break;
        }
        clients.limiter.expect_polls(due.len() as u32, at.clock).await?;
        let due = tick.bound(clients, due, at).await?;
        tick.poll(clients, due, at).await?;
        if tick.outcome.overdue > 0 {
            break;
        }
    }
    let Tick { mut outcome, clean, failure, .. } = tick;
    let finished = finish::finish(clients, at, &mut outcome).await;
    // After the reads of written users, which count, too.
    let usage = clients.limiter.take_usage();
    outcome.rate_limited = usage.rate_limited;
    outcome.quota_used_percent = usage.quota_used_percent;
    match finished {
        Err(error) if error.is_newer() => {
            tracing::error!(%error, "the active run is left to a newer version of the function");
            outcome.newer += 1;
        }
        done => done?,
    }
    let times = clients.settings.settle_times();
    let timeout = Duration::from_millis((at.left_ms() - FOR_THE_REST_MS).max(0).unsigned_abs());
    match control::unsettled(&clients.ledger, &Looking { times, timeout }, at.clock).await {
        Err(error) if error.is_newer() => {
            tracing::error!(%error, "ended runs are left to a newer version of the function");
            outcome.newer += 1;
        }
        done => drop(done?),
    }
    let reports = control::report(clients, at).await;
    (outcome.events, outcome.events_failed) = (reports.sent, reports.failed);
    clients.ledger.expire(EXPIRED_AT_ONCE).await?;
    match failure {
        // Return an error if no poll succeeded, so that the function's alarm sees it.
        Some(error) if clean == 0 => Err(error),
        _ => Ok(outcome),
    }
}

/// A tick's polls so far.
#[derive(Debug, Default)]
struct Tick {
    outcome: CheckOutcome,
    /// Successful polls.
    clean: u32,
    /// The error of the last poll that failed because of the ledger.
    failure: Option<StepError>,
    /// Consecutive failed polls.
    failures: u32,
    /// The present token's binding to the runs of the jobs.
    bindings: BTreeMap<RunId, Binding>,
}

/// The result of one poll.
struct Polled {
    outcome: CheckOutcome,
    clean: bool,
    failure: Option<StepError>,
}

impl Tick {
    /// Returns the jobs that may be polled with the present token.
    ///
    /// With a token of another workspace, Intercom would answer 404, and the jobs would seem lost.
    /// Therefore their run is paused, and they are polled again later. If the token's workspace is
    /// unknown, the jobs wait for the next tick.
    async fn bound(&mut self, clients: &Clients, due: Vec<JobRow>, at: &Invocation) -> Result<Vec<JobRow>, StepError> {
        let mut bound = Vec::new();
        for row in due {
            if !self.bindings.contains_key(&row.run) {
                let binding = match binding_of(clients, &row.run, at, &mut self.outcome).await {
                    Err(error) if error.is_newer() => {
                        tracing::error!(run = row.run.as_str(), %error, "a run's jobs are left to a newer version");
                        self.outcome.newer += 1;
                        Binding::Differs("the run is of a newer format".to_owned())
                    }
                    done => done?,
                };
                self.bindings.insert(row.run.clone(), binding);
            }
            match &self.bindings[&row.run] {
                Binding::Holds => bound.push(row),
                Binding::Differs(_) => look::defer(clients, &row, at, &mut self.outcome).await?,
                Binding::Unknown(_) => self.outcome.overdue += 1,
            }
        }
        Ok(bound)
    }

    /// Polls these jobs concurrently. The permit of each poll is acquired right before it is sent.
    /// Jobs that are left when the time is up, or after too many failures, count as overdue.
    async fn poll(&mut self, clients: &Clients, due: Vec<JobRow>, at: &Invocation) -> Result<(), StepError> {
        let kept = clients.limiter.quota(at.clock).await?.polls_kept();
        let mut rows = due.into_iter();
        let mut paying = std::pin::pin!(pay(clients, kept.min(rows.len() as u32), at));
        let mut polls = FuturesUnordered::new();
        let (mut is_over, mut failed) = (false, None);
        loop {
            let room = polls.len() < POLLED_AT_ONCE && self.failures < FAILURES_MAX;
            let pays = room && !is_over && rows.len() > 0;
            tokio::select! {
                biased;
                // Polls in progress finish, even if one of them fails.
                Some(polled) = polls.next(), if !polls.is_empty() => match polled {
                    Ok(polled) => self.add(polled),
                    Err(error) => (is_over, failed) = (true, Some(error)),
                },
                paid = &mut paying, if pays => match paid {
                    Ok(true) => {
                        polls.extend(rows.next().map(|row| poll(clients, row, at)));
                        paying.set(pay(clients, kept.min(rows.len() as u32), at));
                    }
                    Ok(false) => is_over = true,
                    Err(error) => (is_over, failed) = (true, Some(error)),
                },
                else => break,
            }
        }
        self.outcome.overdue += rows.len() as u64;
        failed.map_or(Ok(()), Err)
    }

    fn add(&mut self, polled: Polled) {
        self.outcome.add(&polled.outcome);
        self.clean += u32::from(polled.clean);
        self.failures = if polled.clean { 0 } else { self.failures + 1 };
        self.failure = polled.failure.or(self.failure.take());
    }
}

/// Compares the present token with a run's workspace, and pauses the run if they differ.
async fn binding_of(
    clients: &Clients,
    run: &RunId,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<Binding, StepError> {
    let Some(run) = clients.ledger.run(run).await? else { return Ok(Binding::Holds) };
    // Users of its jobs may be read by id, and another workspace would answer that they are gone.
    bind(clients, &run, !run.api.capabilities().write.names_refused(), at, outcome).await
}

/// Compares the present token with a run's workspace, and pauses the run if they differ. `is_strict`: a
/// token whose workspace Intercom does not report pauses it, too.
async fn bind(
    clients: &Clients,
    run: &Run,
    is_strict: bool,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<Binding, StepError> {
    let compared = || async {
        if is_strict { binding::of_write(clients, run, at).await } else { binding::of_run(clients, run, at).await }
    };
    let mut binding = compared().await?;
    while let Binding::Unknown(unknown) = binding {
        let wait_ms = (unknown.until_ms() - at.clock.now_ms()).max(1);
        if wait_ms + FOR_A_LOOK_MS > at.left_ms() || at.is_stopping() {
            tracing::warn!(
                run = run.id.as_str(),
                reason = unknown.why(),
                "the run's jobs and users are read with the next tick"
            );
            break;
        }
        at.rest(wait_ms).await;
        binding = compared().await?;
    }
    if let Binding::Differs(reason) = &binding {
        let paused = control::pause(&clients.ledger, run, reason, at.clock.now_ms()).await?;
        outcome.paused += u64::from(paused);
    }
    Ok(binding)
}

/// Polls one job.
async fn poll(clients: &Clients, row: JobRow, at: &Invocation) -> Result<Polled, StepError> {
    let mut outcome = CheckOutcome { looked: 1, ..CheckOutcome::default() };
    match look::look(clients, &row, at, &mut outcome).await {
        Ok(clean) => Ok(Polled { outcome, clean, failure: None }),
        Err(error) if error.is_newer() => {
            tracing::error!(job.id = row.job.as_str(), %error, "a job is left to a newer version of the function");
            look::defer(clients, &row, at, &mut outcome).await?;
            outcome.newer += 1;
            Ok(Polled { outcome, clean: true, failure: None })
        }
        // A job with faulty rows must not block other jobs. It is polled again later.
        Err(error) => {
            tracing::error!(job.id = row.job.as_str(), %error, "a poll of a job failed");
            look::defer(clients, &row, at, &mut outcome).await?;
            Ok(Polled { outcome, clean: false, failure: Some(error) })
        }
    }
}

/// Acquires a permit for one poll, with `ahead` expected in the window. Returns `false` when the
/// time is up.
async fn pay(clients: &Clients, ahead: u32, at: &Invocation) -> Result<bool, StepError> {
    let request = PermitRequest { ahead, ..PermitRequest::one(Lane::Check) };
    let permit = clients.limiter.acquire(request, &at.leaving(FOR_A_LOOK_MS)).await?;
    Ok(matches!(permit, Permit::Granted { .. }))
}
