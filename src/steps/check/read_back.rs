//! Reads some of the users that a run wrote back by id, and ends the run by what they show.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;

use super::{CheckOutcome, bind, finish, pay};
use crate::control::{self, RunEnd};
use crate::domain::api::Api;
use crate::domain::kept::{Fate, fate};
use crate::domain::patch::{Change, Patch, Target};
use crate::domain::run::{Accounts, Cursor, FailedReads, READ_BACK_MAX, ReadBack, Run, Seen, State, Totals, Verdict};
use crate::domain::user::User;
use crate::intercom::{CALL_TIMEOUT, Disposition, Error, Intercom, NoUser, disposition, shows_alike};
use crate::plan;
use crate::runtime::binding::Binding;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Users that are read concurrently. The progress is stored after each such group.
const READ_AT_ONCE: usize = 10;
/// The wait before a failed read is repeated, in milliseconds.
const AGAIN_MS: i64 = 10_000;
/// Time that the sample and the final accounts of a large run need, in milliseconds.
const FOR_MANY_ROWS_MS: i64 = 40_000;
/// The reason why values are not checked after the deadline.
const PAST_DEADLINE: &str = "the run's deadline has passed";

/// Begins the check of written values for a run that would end in `state`. Returns the run in its
/// new state, or `None` if it has no values to check.
///
/// A run that ends `incomplete` is not checked: some of its sample may not be written. Runs of format
/// 1 have no sample.
pub(super) async fn begin(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    accounts: &Accounts,
    state: State,
) -> Result<Option<Run>, StepError> {
    let ledger = &clients.ledger;
    // Answers that are results were compared when they came.
    let is_written = run.keeps_parts()
        && !run.limits.dry_run
        && accounts.totals.written > 0
        && run.api.capabilities().write.has_jobs();
    if !is_written || !matches!(state, State::Complete | State::CompleteWithErrors) {
        return Ok(None);
    }
    // A run that was paused while it was verified continues.
    let before = ledger.read_back(&run.id).await?.filter(|progress| progress.generation == cursor.generation);
    let progress = before.unwrap_or_else(|| ReadBack::begin(run.v, cursor.generation, accounts.sample_parts.clone()));
    if progress.is_done() && progress.users == 0 {
        return Ok(None);
    }
    Ok(control::verify(ledger, run, &progress).await?)
}

/// The state of the read-back after an invocation's part of it.
enum ReadSoFar {
    /// All users were read.
    Done,
    /// A later tick continues.
    Later,
    /// The rest is not read, for this reason.
    Stopped(String),
}

/// Continues to read users back, and concludes the run after the last one.
pub(super) async fn go_on(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<(), StepError> {
    let stored = clients.ledger.read_back(&run.id).await?.filter(|progress| progress.generation == cursor.generation);
    let mut progress = stored.unwrap_or_else(|| ReadBack::begin(run.v, cursor.generation, Vec::new()));
    if !progress.parts.is_empty() {
        if at.left_ms() < FOR_MANY_ROWS_MS {
            return Ok(());
        }
        let users = clients.ledger.make_sample(run, cursor, &progress.parts, at.clock.now_ms()).await?;
        progress.sampled(users);
        if !clients.ledger.put_read_back(&run.id, &mut progress).await? {
            return Ok(());
        }
    }
    let stopped = match read(clients, run, &mut progress, at, outcome).await? {
        ReadSoFar::Later => return Ok(()),
        ReadSoFar::Done => None,
        ReadSoFar::Stopped(why) => Some(why),
    };
    if at.left_ms() < FOR_MANY_ROWS_MS {
        return Ok(());
    }
    let accounts = clients.ledger.accounts(run, cursor).await?;
    let Verdict::Ends(state, reason) = accounts.verdict(run, cursor) else {
        // An invocation of submit that was frozen recorded its job after the others had ended.
        control::drain(&clients.ledger, run).await?;
        return Ok(());
    };
    let (state, reason) = progress.end(state, reason, stopped.as_deref());
    let read_back = (progress.users > 0).then(|| progress.totals());
    let totals = Totals { read_back, ..accounts.totals };
    let end = RunEnd { state, reason, totals: Some(totals) };
    if finish::conclude(clients, run, cursor, &end, at, outcome).await? {
        outcome.not_kept += u64::from(progress.not_kept);
    }
    Ok(())
}

/// Reads users that are due, within the rate limit and this invocation's time.
async fn read(
    clients: &Clients,
    run: &Run,
    progress: &mut ReadBack,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<ReadSoFar, StepError> {
    let (mut sample, mut run) = (Vec::new(), run.clone());
    while !progress.is_done() {
        let now_ms = at.clock.now_ms();
        if now_ms > run.deadline_ms {
            return Ok(ReadSoFar::Stopped(PAST_DEADLINE.to_owned()));
        }
        let mut places = progress.due(now_ms, READ_AT_ONCE);
        if places.is_empty() || at.is_stopping() {
            return Ok(ReadSoFar::Later);
        }
        // With a token of another workspace, Intercom would answer 404, and the users would seem to be
        // gone.
        match bind(clients, &run, true, at, outcome).await? {
            Binding::Holds => {}
            Binding::Differs(_) => return Ok(ReadSoFar::Later),
            Binding::Unknown(unknown) => {
                let (now_ms, resumed_ms) = (at.clock.now_ms(), run.resumed_ms);
                let failed = FailedReads { now_ms, resumed_ms, why: unknown.why(), refused: false };
                let stopped = progress.fails(failed).map_or(ReadSoFar::Later, ReadSoFar::Stopped);
                let is_stored = clients.ledger.put_read_back(&run.id, progress).await?;
                return Ok(if is_stored { stopped } else { ReadSoFar::Later });
            }
        }
        if sample.is_empty() {
            sample = clients.ledger.sample(&run.id, run.generation, READ_BACK_MAX).await?;
        }
        places.extend(progress.witness(&places));
        let answers = read_users(clients, &clients.of_run(&run), &sample, &places, at).await?;
        if answers.is_empty() {
            return Ok(ReadSoFar::Later);
        }
        outcome.read_back += answers.len() as u64;
        let stopped = record(clients, &run, progress, answers, at);
        if !clients.ledger.put_read_back(&run.id, progress).await? {
            // Another invocation reads on.
            return Ok(ReadSoFar::Later);
        }
        match clients.ledger.run(&run.id).await?.filter(|now| now.state == State::Verifying) {
            Some(now) => run = now,
            // It was paused or ended.
            None => return Ok(ReadSoFar::Later),
        }
        if let Some(stopped) = stopped {
            return Ok(stopped);
        }
    }
    Ok(ReadSoFar::Done)
}

/// Intercom's answer about one user.
struct Answer<'a> {
    place: usize,
    patch: &'a Patch,
    user: Result<Result<User, NoUser>, Error>,
}

/// Reads the users at these places concurrently. The permit of each read is acquired right before it
/// is sent. Returns the answers by place, and fewer when the time is up.
async fn read_users<'s>(
    clients: &Clients,
    intercom: &Intercom,
    sample: &'s [Patch],
    places: &[usize],
    at: &Invocation,
) -> Result<Vec<Answer<'s>>, StepError> {
    let mut left = places.iter().filter_map(|&place| Some((place, sample.get(place)?))).collect::<VecDeque<_>>();
    let mut paying = std::pin::pin!(pay(clients, left.len() as u32, at));
    let mut reads = FuturesUnordered::new();
    let mut answers = Vec::new();
    let mut is_over = false;
    loop {
        tokio::select! {
            biased;
            Some(answer) = reads.next(), if !reads.is_empty() => answers.push(answer),
            paid = &mut paying, if !is_over && !left.is_empty() => match (paid?, left.pop_front()) {
                (true, Some((place, patch))) => {
                    reads.push(async move {
                        let user = intercom.user(&patch.user, CALL_TIMEOUT).await;
                        Answer { place, patch, user: user.map(|reply| reply.value) }
                    });
                    paying.set(pay(clients, left.len() as u32, at));
                }
                _ => is_over = true,
            },
            else => {
                // They arrived in any order.
                answers.sort_unstable_by_key(|answer: &Answer<'_>| answer.place);
                return Ok(answers);
            }
        }
    }
}

/// Records the answers. Returns a state if no further user is read now.
fn record(
    clients: &Clients,
    run: &Run,
    progress: &mut ReadBack,
    answers: Vec<Answer<'_>>,
    at: &Invocation,
) -> Option<ReadSoFar> {
    let now_ms = at.clock.now_ms();
    let errors: Vec<&Error> = answers.iter().filter_map(|answer| answer.user.as_ref().err()).collect();
    let worked = errors.len() < answers.len();
    let stopped = match errors.first() {
        Some(error) if !worked => {
            // A 404 without a code is about the resource.
            let is_refusal =
                |error: &&Error| matches!(disposition(error), Disposition::RunFault | Disposition::NotFound);
            let (why, refused) = (error.said(), errors.iter().all(is_refusal));
            let failed = FailedReads { now_ms, resumed_ms: run.resumed_ms, why: &why, refused };
            Some(progress.fails(failed).map_or(ReadSoFar::Later, ReadSoFar::Stopped))
        }
        _ => {
            progress.works();
            None
        }
    };
    for Answer { place, patch, user } in answers {
        let seen = match user {
            Ok(Ok(user)) => Seen::Values(values(run, patch, &user)),
            Ok(Err(reason)) if reason.is_gone => Seen::Gone,
            // Intercom refuses this user's read.
            Ok(Err(_)) => Seen::Failed { again_ms: now_ms + AGAIN_MS, alone: true },
            Err(error) => {
                tracing::warn!(run = run.id.as_str(), %error, "cannot read a written user back");
                let again_ms = match disposition(&error) {
                    Disposition::Limited => clients.limiter.closed_until_ms(),
                    _ => now_ms + AGAIN_MS,
                };
                Seen::Failed { again_ms, alone: worked }
            }
        };
        progress.record(place, &patch.user, seen, now_ms + clients.settings.read_again_ms);
    }
    stopped
}

/// Compares a user with what the run wrote. A company that the user has left is not compared.
fn values(run: &Run, patch: &Patch, user: &User) -> Vec<(Target, Fate)> {
    let compared =
        patch.changes.iter().filter_map(|change| Some((change.target.clone(), fate_of(run.api, change, user)?)));
    compared.collect()
}

/// Compares a change with the user's present value; `None` for a company that the user has left.
pub(super) fn fate_of(api: Api, change: &Change, user: &User) -> Option<Fate> {
    let found = plan::present(user, &change.target)?;
    let alike = |one: &Value, other: &Value| shows_alike(api, &change.target, one, other);
    Some(fate(change, found, alike))
}
