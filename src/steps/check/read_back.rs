//! Reads some of the users that a run wrote back by id, and ends the run by what they show.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde_json::Value;

use super::{CheckOutcome, binding_of, finish, pay};
use crate::control::{self, RunEnd};
use crate::domain::kept::{Fate, fate};
use crate::domain::patch::{Patch, Target};
use crate::domain::run::{Accounts, Cursor, READ_BACK_MAX, ReadBack, Run, Seen, State, Totals, Verdict};
use crate::domain::user::User;
use crate::intercom::{CALL_TIMEOUT, Disposition, Error, NoUser, disposition, shows_alike};
use crate::plan;
use crate::runtime::binding::Binding;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Users that are read concurrently. The progress is stored after each such group.
const READ_AT_ONCE: usize = 10;
/// The wait before a failed read is repeated, in milliseconds.
const AGAIN_MS: i64 = 10_000;
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
    at: &Invocation,
) -> Result<Option<Run>, StepError> {
    let ledger = &clients.ledger;
    let is_written = run.keeps_parts() && !run.limits.dry_run && accounts.totals.written > 0;
    if !is_written || !matches!(state, State::Complete | State::CompleteWithErrors) {
        return Ok(None);
    }
    // A run that was paused while it was verified continues.
    let before = ledger.read_back(&run.id).await?.filter(|progress| progress.generation == cursor.generation);
    let progress = if let Some(progress) = before {
        progress
    } else {
        let sample = ledger.make_sample(run, cursor, accounts.totals.errors > 0, at.clock.now_ms()).await?;
        ReadBack::begin(cursor.generation, sample)
    };
    if progress.users == 0 {
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
    let mut progress = stored.unwrap_or_else(|| ReadBack::begin(cursor.generation, 0));
    let stopped = match read(clients, run, &mut progress, at, outcome).await? {
        ReadSoFar::Later => return Ok(()),
        ReadSoFar::Done => None,
        ReadSoFar::Stopped(why) => Some(why),
    };
    let accounts = clients.ledger.accounts(run, cursor).await?;
    let Verdict::Ends(state, reason) = accounts.verdict(run, cursor) else {
        // An invocation of submit that was frozen recorded its job after the others had ended.
        control::drain(&clients.ledger, run).await?;
        return Ok(());
    };
    let (state, reason) = progress.end(state, reason, stopped.as_deref());
    outcome.not_kept += u64::from(progress.not_kept);
    let totals = Totals { read_back: Some(progress.totals()), ..accounts.totals };
    let end = RunEnd { state, reason, totals: Some(totals) };
    finish::conclude(clients, run, cursor, &end, at, outcome).await
}

/// Reads users that are due, within the rate limit and this invocation's time.
async fn read(
    clients: &Clients,
    run: &Run,
    progress: &mut ReadBack,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<ReadSoFar, StepError> {
    let mut sample = Vec::new();
    while !progress.is_done() {
        let now_ms = at.clock.now_ms();
        if now_ms > run.deadline_ms {
            return Ok(ReadSoFar::Stopped(PAST_DEADLINE.to_owned()));
        }
        let places = progress.due(now_ms, READ_AT_ONCE);
        if places.is_empty() || at.is_stopping() {
            return Ok(ReadSoFar::Later);
        }
        if sample.is_empty() {
            // With a token of another workspace, Intercom would answer 404, and the users would seem
            // to be gone.
            if binding_of(clients, &run.id, at, outcome).await? != Binding::Holds {
                return Ok(ReadSoFar::Later);
            }
            sample = clients.ledger.sample(&run.id, run.generation, READ_BACK_MAX).await?;
        }
        let answers = read_users(clients, &sample, &places, at).await?;
        if answers.is_empty() {
            return Ok(ReadSoFar::Later);
        }
        outcome.read_back += answers.len() as u64;
        let stopped = record(clients, run, progress, answers, at);
        let goes_on = clients.ledger.put_read_back(&run.id, progress).await?
            && clients.ledger.run(&run.id).await?.is_some_and(|now| now.state == State::Verifying);
        if !goes_on {
            // Another invocation reads on, or the run was paused or ended.
            return Ok(ReadSoFar::Later);
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
/// is sent. Returns fewer answers when the time is up.
async fn read_users<'s>(
    clients: &Clients,
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
                        let user = clients.intercom.user(&patch.user, CALL_TIMEOUT).await;
                        Answer { place, patch, user: user.map(|reply| reply.value) }
                    });
                    paying.set(pay(clients, left.len() as u32, at));
                }
                _ => is_over = true,
            },
            else => return Ok(answers),
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
    let worked = answers.iter().any(|answer| answer.user.is_ok());
    let mut stopped = (!worked).then_some(ReadSoFar::Later);
    for Answer { place, patch, user } in answers {
        let seen = match user {
            Ok(Ok(user)) => Seen::Values(values(run, patch, &user)),
            Ok(Err(_)) => Seen::Gone,
            Err(error) => {
                tracing::warn!(run = run.id.as_str(), %error, "cannot read a written user back");
                let again_ms = match disposition(&error) {
                    Disposition::Limited => clients.limiter.closed_until_ms(),
                    Disposition::RunFault if !worked => {
                        stopped =
                            Some(ReadSoFar::Stopped(format!("Intercom refused to return users ({})", error.said())));
                        now_ms + AGAIN_MS
                    }
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
    let compared = patch.changes.iter().filter_map(|change| {
        let found = plan::present(user, &change.target)?;
        let alike = |one: &Value, other: &Value| shows_alike(run.api, &change.target, one, other);
        Some((change.target.clone(), fate(change, found, alike)))
    });
    compared.collect()
}
