//! The check step: finds out how each bulk job ended, sends refused items that may be tried again back, and decides the
//! end of a run once everything is accounted for.

mod finish;
mod look;
mod metrics;

use std::collections::BTreeMap;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use serde_json::Value;

use crate::domain::run::RunId;
use crate::ledger::JobRow;
use crate::rate_limit::{Lane, Permit, PermitRequest};
use crate::runtime::binding::{self, Binding};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::event;
use crate::runtime::invocation::Invocation;

/// Jobs listed at once. Their number is also what is kept of each window for polls, so it is above the polls of a window
/// of 4,000 operations.
const LISTED: i32 = 200;
/// Jobs polled at once: at Intercom's 0.6 s an answer these are 130 polls in a window.
const POLLED_AT_ONCE: usize = 8;
/// Items of an ended run that get their time to live in one tick.
const EXPIRED_AT_ONCE: i32 = 500;
/// Kept of the invocation's time for one job: its state, its feed, and the writes.
const FOR_A_LOOK_MS: i64 = 60_000;
/// Polls in a row that failed, from which on the rest waits for the next tick.
const FAILURES_MAX: u32 = 3;

/// What an invocation did, for the log line and the caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckOutcome {
    /// Jobs looked at.
    pub looked: u64,
    /// Jobs that were due and are left for the next tick.
    pub overdue: u64,
    /// Jobs closed.
    pub closed: u64,
    /// Users refused for good.
    pub failed: u64,
    /// Users sent again.
    pub again: u64,
    /// Closed jobs in which users were refused.
    pub with_errors: u64,
    /// Closed jobs whose end nobody knows.
    pub unknown: u64,
    /// Refused items that belong to no user of their job.
    pub unattributed: u64,
    /// Jobs and runs of a newer format, left to the newer version of the function.
    pub newer: u64,
    /// Runs that were paused, because the token is of another workspace.
    pub paused: u64,
    /// Answers that said 429.
    pub rate_limited: u64,
    /// How much of our quota the fullest window had spent, in percent.
    pub quota_used_percent: u64,
    /// The run that ended, and its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<(String, String)>,
}

/// Handles one tick.
pub async fn handle(clients: &Clients, event: &Value, at: &Invocation) -> Result<CheckOutcome, StepError> {
    event::check(event)?;
    StepError::unless_time("check", at, FOR_A_LOOK_MS)?;
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
    let usage = clients.limiter.take_usage();
    outcome.rate_limited = usage.rate_limited;
    outcome.quota_used_percent = usage.quota_used_percent;
    match finish::finish(clients, at, &mut outcome).await {
        Err(error) if error.is_newer() => {
            tracing::error!(%error, "the active run is left to a newer version of the function");
            outcome.newer += 1;
        }
        done => done?,
    }
    clients.ledger.expire(EXPIRED_AT_ONCE).await?;
    match failure {
        // No poll went well: an error, so that the function's alarm sees it.
        Some(error) if clean == 0 => Err(error),
        _ => Ok(outcome),
    }
}

/// A tick's polls so far.
#[derive(Debug, Default)]
struct Tick {
    outcome: CheckOutcome,
    /// Polls that went well.
    clean: u32,
    /// The last poll that failed for what the ledger holds or does.
    failure: Option<StepError>,
    /// Polls in a row that did not go well.
    failures: u32,
    /// How the present token stands to the runs of the jobs.
    bindings: BTreeMap<RunId, Binding>,
}

/// What one poll came to.
struct Polled {
    outcome: CheckOutcome,
    clean: bool,
    failure: Option<StepError>,
}

impl Tick {
    /// The jobs that may be asked for with the present token. Those of a run that is of another workspace would look as if
    /// Intercom had lost them: the run is paused, and they are polled again later. Where the workspace is not known, the
    /// jobs wait for the next tick.
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
                Binding::Later(..) | Binding::Spent(_) => self.outcome.overdue += 1,
            }
        }
        Ok(bound)
    }

    /// Polls these jobs, several at once. Each is paid for, one after the other, right before it is sent. What is left when
    /// the time is up, or after too many failures, is counted as overdue.
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
                // Those that are under way come to their end, whatever becomes of one of them.
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

/// How the present token stands to a run; one of another workspace pauses the run.
async fn binding_of(
    clients: &Clients,
    run: &RunId,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<Binding, StepError> {
    let Some(run) = clients.ledger.run(run).await? else { return Ok(Binding::Holds) };
    let mut binding = binding::of_run(clients, &run, at).await?;
    while let Binding::Later(until_ms, _) | Binding::Spent(until_ms) = binding {
        let wait_ms = (until_ms - at.clock.now_ms()).max(1);
        if wait_ms + FOR_A_LOOK_MS > at.left_ms() || at.is_stopping() {
            tracing::warn!(run = run.id.as_str(), ?binding, "the run's jobs are polled with the next tick");
            break;
        }
        at.rest(wait_ms).await;
        binding = binding::of_run(clients, &run, at).await?;
    }
    if let Binding::Differs(reason) = &binding
        && run.state.submits()
        && clients.ledger.pause(&run, reason).await?
    {
        tracing::error!(run = run.id.as_str(), reason, "run is paused");
        outcome.paused += 1;
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
        // One job's rows are no reason to leave the others alone: it is polled again later.
        Err(error) => {
            tracing::error!(job.id = row.job.as_str(), %error, "a look at a job failed");
            look::defer(clients, &row, at, &mut outcome).await?;
            Ok(Polled { outcome, clean: false, failure: Some(error) })
        }
    }
}

impl CheckOutcome {
    /// Adds what one poll came to.
    fn add(&mut self, polled: &Self) {
        self.looked += polled.looked;
        self.closed += polled.closed;
        self.failed += polled.failed;
        self.again += polled.again;
        self.with_errors += polled.with_errors;
        self.unknown += polled.unknown;
        self.unattributed += polled.unattributed;
        self.newer += polled.newer;
    }
}

/// Acquires a permit for one poll, with `ahead` expected in the window. Returns `false` when the time
/// is up.
async fn pay(clients: &Clients, ahead: u32, at: &Invocation) -> Result<bool, StepError> {
    let request = PermitRequest { ahead, ..PermitRequest::one(Lane::Check) };
    let permit = clients.limiter.acquire(request, &at.leaving(FOR_A_LOOK_MS)).await?;
    Ok(matches!(permit, Permit::Granted(_)))
}
