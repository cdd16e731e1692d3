//! Polls one job and handles its result.

use std::collections::BTreeMap;

use super::conclude::{Again, Conclusion, close, conclude};
use super::unnamed::look_at_users;
use super::{CheckOutcome, pay};
use crate::domain::api::JobState;
use crate::domain::job::{ItemError, NotFound, UNKNOWN_AFTER_MS, after_not_found};
use crate::domain::part::PartId;
use crate::domain::patch::Patch;
use crate::domain::user::UserId;
use crate::intercom::{Disposition, Error, disposition, item_may_be_sent_again};
use crate::ledger::{Changes, Closing, End, ErrorRow, JobRow, NextPoll};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// The most attempts at an item, including the first.
pub(super) const AGAIN_ATTEMPTS_MAX: u32 = 3;
/// The most pages of an error feed. A job has at most hundreds of items, so this is more
/// than enough.
const FEED_PAGES_MAX: u32 = 200;
/// The delay before refused items are sent again, in milliseconds: more than one rate window.
const AGAIN_AFTER_MS: i64 = 15_000;

/// Polls a job. Returns `false` if its state is still unknown.
pub(super) async fn look(
    clients: &Clients,
    row: &JobRow,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<bool, StepError> {
    let now_ms = at.clock.now_ms();
    let state = match clients.of_api(row.api, None).job(&row.job).await {
        Ok(reply) => reply.value,
        Err(error) => return unreported(clients, row, &error, at, outcome).await,
    };
    match state {
        JobState::Open if now_ms - row.made_ms >= UNKNOWN_AFTER_MS => return unknown(clients, row, at, outcome).await,
        // The job may never say how it ended, so its users do.
        JobState::TasksEnded if now_ms - row.made_ms >= clients.settings.job_life_ms => {
            return Box::pin(look_at_users(clients, row, End::Completed, at, outcome)).await;
        }
        JobState::Open | JobState::TasksEnded => {
            let next = NextPoll { due_ms: now_ms + rest_ms(clients, row), not_found_ms: None };
            clients.ledger.reschedule(row, next).await?;
        }
        JobState::Completed => close(clients, row, Closing::with(End::Completed), outcome).await?,
        JobState::CompletedWithErrors if !row.api.capabilities().write.names_refused() => {
            return Box::pin(look_at_users(clients, row, End::CompletedWithErrors, at, outcome)).await;
        }
        JobState::CompletedWithErrors => match feed(clients, row, at).await? {
            // The job reports failed items, but its error feed is empty. It is unknown which users
            // have the value.
            Feed::Items(items) if items.is_empty() => {
                tracing::error!(
                    job.id = row.job.as_str(),
                    job.users = row.users,
                    "a job failed without naming its users"
                );
                let closing = Closing { failed_unnamed: true, ..Closing::with(End::Unknown) };
                close(clients, row, closing, outcome).await?;
            }
            Feed::Items(items) => close_with_errors(clients, row, items, at, outcome).await?,
            Feed::Unreported(error) => return unreported(clients, row, &error, at, outcome).await,
            // The job stays due, and the next tick polls it again.
            Feed::OutOfTime => return Ok(false),
        },
    }
    Ok(true)
}

/// Handles a failed poll. A job that Intercom has not known for as long as a job lives is closed as
/// unknown. Otherwise it is polled again later.
async fn unreported(
    clients: &Clients,
    row: &JobRow,
    error: &Error,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<bool, StepError> {
    let now_ms = at.clock.now_ms();
    let mut next = NextPoll { due_ms: now_ms + rest_ms(clients, row), not_found_ms: row.not_found_ms };
    match disposition(error) {
        Disposition::NotFound => {
            let life_ms = clients.settings.job_life_ms;
            match after_not_found(row.made_ms, row.not_found_ms, now_ms, life_ms) {
                NotFound::Lost => return unknown(clients, row, at, outcome).await,
                NotFound::MayExist { since_ms } => {
                    tracing::info!(job.id = row.job.as_str(), "Intercom does not show this job; it is polled again");
                    next.not_found_ms = Some(since_ms);
                    clients.ledger.reschedule(row, next).await?;
                }
            }
            return Ok(true);
        }
        Disposition::Limited => next.due_ms = clients.limiter.closed_until_ms(),
        _ if now_ms - row.made_ms >= UNKNOWN_AFTER_MS => {
            unknown(clients, row, at, outcome).await?;
            return Ok(false);
        }
        _ => {}
    }
    tracing::warn!(job.id = row.job.as_str(), %error, "cannot read a job's state; it is polled again later");
    clients.ledger.reschedule(row, next).await?;
    Ok(false)
}

/// Reschedules a job whose poll failed because of the ledger. After [`UNKNOWN_AFTER_MS`], closes it
/// as unknown.
pub(super) async fn defer(
    clients: &Clients,
    row: &JobRow,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<(), StepError> {
    let now_ms = at.clock.now_ms();
    if now_ms - row.made_ms >= UNKNOWN_AFTER_MS {
        return close_unknown(clients, row, outcome).await;
    }
    let next = NextPoll { due_ms: now_ms + rest_ms(clients, row), not_found_ms: row.not_found_ms };
    Ok(clients.ledger.reschedule(row, next).await?)
}

/// Handles a job whose end stays unknown. If its users can tell it, they are read by id. Returns
/// `false` if they are not all read yet, and Intercom answers no request.
async fn unknown(
    clients: &Clients,
    row: &JobRow,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<bool, StepError> {
    if !row.api.capabilities().write.names_refused() {
        return Box::pin(look_at_users(clients, row, End::Unknown, at, outcome)).await;
    }
    close_unknown(clients, row, outcome).await.map(|()| true)
}

async fn close_unknown(clients: &Clients, row: &JobRow, outcome: &mut CheckOutcome) -> Result<(), StepError> {
    tracing::error!(job.id = row.job.as_str(), job.users = row.users, "the result of this job is unknown");
    close(clients, row, Closing::with(End::Unknown), outcome).await
}

/// Returns the time to the next poll, in milliseconds. It grows with each poll.
pub(super) fn rest_ms(clients: &Clients, row: &JobRow) -> i64 {
    let pace = clients.settings.pace;
    pace.look_first_ms.saturating_mul(i64::from(row.looks) + 1).min(pace.look_most_ms)
}

/// The result of reading an error feed.
enum Feed {
    Items(Vec<ItemError>),
    Unreported(Error),
    OutOfTime,
}

/// Reads all pages of a job's error feed, by number. No link is followed.
async fn feed(clients: &Clients, row: &JobRow, at: &Invocation) -> Result<Feed, StepError> {
    let mut items = Vec::new();
    for page in 1..=FEED_PAGES_MAX {
        if !pay(clients, 1, at).await? {
            return Ok(Feed::OutOfTime);
        }
        match clients.of_api(row.api, None).job_errors(&row.job, page).await {
            Ok(reply) => {
                items.extend(reply.value.items);
                if !reply.value.more || items.len() as u64 > row.users {
                    break;
                }
            }
            Err(error) => return Ok(Feed::Unreported(error)),
        }
    }
    Ok(Feed::Items(items))
}

/// Closes a job with refused items. Items that may be retried become a follow-up part. The others become
/// error rows.
async fn close_with_errors(
    clients: &Clients,
    row: &JobRow,
    items: Vec<ItemError>,
    at: &Invocation,
    outcome: &mut CheckOutcome,
) -> Result<(), StepError> {
    let changes = clients.ledger.changes_of(row).await?;
    let Sorted { again, failed, unattributed } = sort(row, &changes, items);
    let attempt = again.iter().map(|(_, attempt)| *attempt).max();
    let patches = again.into_iter().map(|(patch, _)| patch).collect();
    let again = attempt.map(|attempt| Again { patches, attempt: attempt + 1, after_ms: AGAIN_AFTER_MS });
    let conclusion = Conclusion { failed, again, unattributed, ..Conclusion::of(End::CompletedWithErrors) };
    conclude(clients, row, conclusion, at, outcome).await
}

struct Sorted {
    again: Vec<(Patch, u32)>,
    failed: Vec<ErrorRow>,
    unattributed: u64,
}

/// Sorts the refused items by what may be done about them. A job can hold several items of one
/// user, from two pages or from two follow-up parts. Each refusal takes one of them, the last
/// first. Those of users whom another job decides about are left to it.
fn sort(row: &JobRow, changes: &Changes, items: Vec<ItemError>) -> Sorted {
    let mut open: BTreeMap<&UserId, Vec<(&Patch, &PartId)>> = BTreeMap::new();
    for of_part in &changes.parts {
        for patch in &of_part.patches {
            open.entry(&patch.user).or_default().push((patch, &of_part.part));
        }
    }
    let mut sorted = Sorted { again: Vec::new(), failed: Vec::new(), unattributed: 0 };
    for item in items {
        let Some((patch, part)) = item.user.as_ref().and_then(|user| open.get_mut(user)?.pop()) else {
            sorted.unattributed += 1;
            continue;
        };
        let attempt = part.attempt();
        if row.is_decided_elsewhere(part) {
            continue;
        }
        if item_may_be_sent_again(&item) && attempt < AGAIN_ATTEMPTS_MAX {
            sorted.again.push((patch.clone(), attempt));
        } else {
            let (code, message) = (item.code, item.message);
            let (at, generation) = (format!("job {}", row.job), row.generation);
            sorted.failed.push(ErrorRow { user: patch.user.to_string(), code, message, at, generation });
        }
    }
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bucket::{Bucket, Width};
    use crate::domain::job::JobId;
    use crate::domain::part::PageRead;
    use crate::domain::run::RunId;
    use crate::ledger::{ChangesOfPart, JobOf, PartOfJob};

    #[test]
    fn each_refusal_takes_one_item_of_its_user() {
        let user = |id: &str| UserId::new(id.to_owned()).unwrap();
        let patch = |id: &str| Patch { user: user(id), changes: Vec::new() };
        let id = |page| PageRead { generation: 1, page, reading: None }.part(0);
        let parts = [(1, ["ann", "bob"]), (2, ["ann", "eve"])];
        let parts = parts.map(|(page, ids)| ChangesOfPart { part: id(page), patches: ids.map(patch).to_vec() });
        let run = RunId::of("p", 0);
        let of = JobOf { run, v: 2, generation: 1, users: 4, changes: String::new(), parts: Vec::new() };
        let job: JobId = serde_json::from_value(serde_json::json!("job_1")).unwrap();
        let row = JobRow::open(job, Bucket::of(0, Width::MINUTE), of, 0, 0);
        let refused =
            |id: &str, code: &str| ItemError { user: Some(user(id)), code: code.to_owned(), message: String::new() };
        let items = vec![refused("ann", "rate_limit_exceeded"), refused("ann", "data_invalid"), refused("zoe", "x")];
        let changes = Changes { parts: parts.to_vec() };
        let sorted = sort(&row, &changes, items.clone());
        assert_eq!((sorted.again.len(), sorted.failed.len(), sorted.unattributed), (1, 1, 1));
        // Another job decides about the users of all parts, or of the second one.
        let in_job = |page, repeated| PartOfJob { part: id(page), users: None, repeated };
        let again = JobRow { resubmission: true, parts: vec![in_job(1, false), in_job(2, true)], ..row };
        for (repeated, counts) in [(None, (0, 0, 1)), (Some(2), (0, 1, 1))] {
            let sorted = sort(&JobRow { repeated, ..again.clone() }, &changes, items.clone());
            assert_eq!((sorted.again.len(), sorted.failed.len(), sorted.unattributed), counts, "{repeated:?}");
        }
    }
}
