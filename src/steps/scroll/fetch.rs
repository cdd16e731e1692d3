//! Reads a page from its source: all users of the workspace, or a list of user ids.

use std::time::Duration;

use futures_util::future::join_all;

use super::by_id::{self, NextUsers, Task};
use crate::domain::run::{Cursor, LastPage, Position, Run};
use crate::domain::user::{User, UserId};
use crate::intercom::{Disposition, Error, NoUser, Page, disposition};
use crate::plan::Plan;
use crate::rate_limit::{Lane, Permit, PermitRequest};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Time reserved for the calls after a page, in milliseconds.
const AFTER_PAGE_MS: i64 = 4_000;

/// The least time-out with which a page is requested, in milliseconds.
const PAGE_LEAST_MS: i64 = 3_000;

/// A page of either source.
pub(super) struct FetchedPage {
    pub(super) users: Vec<User>,
    /// Entries of the page without a usable id.
    pub(super) unreadable: u32,
    /// Users of the list that cannot be read, with the reason.
    pub(super) unknown: Vec<(UserId, NoUser)>,
    /// The place of the next page, if the answer names one.
    pub(super) next: Option<Position>,
    /// Digest that distinguishes the page from the previous one.
    pub(super) digest: u64,
    /// True if there are no users, and no page follows.
    pub(super) is_end: bool,
    /// Intercom's count of users, if the answer contains it.
    pub(super) count: Option<u64>,
    /// This page, if it is the last one of its list.
    pub(super) last: Option<LastPage>,
    /// The action on the users.
    pub(super) task: Task,
}

impl FetchedPage {
    /// Creates a page of these users.
    fn of(users: Vec<User>, next: Option<Position>, is_end: bool) -> Self {
        let (unknown, task) = (Vec::new(), Task::Plan);
        Self { users, unreadable: 0, unknown, next, digest: 0, is_end, count: None, last: None, task }
    }

    /// Creates a page of all users from an answer for the cursor's place. If the last page of a list was
    /// requested again, only the users are left that the run has not read, also on a page after it.
    fn of_answer(page: Page, cursor: &Cursor, run: &Run) -> Self {
        let is_last = page.next == Some(Position::ListEnd);
        let last = is_last.then(|| LastPage::of(cursor, page.users.iter().map(User::id), page.unreadable));
        // An empty page of a list ends it like any last page, unless it is the first one.
        let is_end = page.is_end() && (run.reads_exclusively() || cursor.page == 0);
        let Page { mut users, mut unreadable, next, digest, count } = page;
        if let Some(before) = &cursor.last_page {
            users.retain(|user| !before.has(user));
            unreadable = unreadable.saturating_sub(before.unreadable_at(&cursor.position));
        }
        Self { unreadable, digest, count, last, ..Self::of(users, next, is_end) }
    }
}

/// The result of a request for a page.
pub(super) enum Fetched {
    Page(FetchedPage),
    Failed(Error),
    /// The page was not requested: retry at this time (Unix milliseconds), for this reason.
    Wait(i64, &'static str),
    /// No user was requested: the rate limit's window is spent until this time (Unix milliseconds).
    Spent(i64),
}

/// Requests the cursor's next page. The caller has acquired the permit, unless the page is of a list.
pub(super) async fn fetch(
    clients: &Clients,
    run: &Run,
    cursor: &Cursor,
    plan: &Plan,
    at: &Invocation,
) -> Result<Fetched, StepError> {
    if run.listed.is_some() {
        return listed(clients, run, cursor, at).await;
    }
    if cursor.position == Position::ListEnd {
        // The page before named no further one.
        return Ok(Fetched::Page(FetchedPage::of(Vec::new(), None, true)));
    }
    let Some(timeout) = timeout(clients, at) else {
        // A request that times out loses its page. The next invocation has its full time.
        return Ok(Fetched::Wait(at.clock.now_ms(), "this invocation has no time left for a page"));
    };
    match clients.of_run(run).page(&cursor.position, plan.projection(), timeout).await {
        Ok(reply) => Ok(Fetched::Page(FetchedPage::of_answer(reply.value, cursor, run))),
        Err(error) => Ok(Fetched::Failed(error)),
    }
}

/// Returns the time-out of a request, or `None` if this invocation has too little time. A request
/// ends before the turn's lease expires, so no other invocation sends a request at the same time.
fn timeout(clients: &Clients, at: &Invocation) -> Option<Duration> {
    let left_ms = at.left_ms() - AFTER_PAGE_MS;
    let left = Duration::from_millis(left_ms.unsigned_abs());
    (left_ms >= PAGE_LEAST_MS).then(|| clients.settings.page_timeout.min(left))
}

/// Unanswered requests after which the first user of a list's page is compared with another user.
/// If Intercom fails for this user alone, the user must not block the users behind.
const SUSPECT_AFTER: u32 = 8;

/// Reads the users of a page of the list at the same time, as many as the rate limit permits now. If a user
/// cannot be read now, the users before it form the page. Therefore a list makes progress even if some
/// requests fail.
async fn listed(clients: &Clients, run: &Run, cursor: &Cursor, at: &Invocation) -> Result<Fetched, StepError> {
    let NextUsers { users: ids, before, reached, task } = by_id::next(clients, run, cursor, at.clock).await?;
    let digest = cursor.position.digest();
    if ids.is_empty() {
        let is_end = reached.is_none();
        return Ok(Fetched::Page(FetchedPage { digest, task, ..FetchedPage::of(Vec::new(), reached, is_end) }));
    }
    let most = ids.len() as u32;
    let request = PermitRequest { most, ahead: most, ..PermitRequest::one(Lane::Page) };
    let permits = match clients.limiter.try_acquire(request, at.clock).await? {
        Permit::Granted { permits, .. } => permits as usize,
        Permit::Wait(until_ms) => return Ok(Fetched::Spent(until_ms)),
    };
    let answers = join_all(ids.iter().take(permits).map(|(id, _)| one(clients, run, id, at))).await;
    let (mut users, mut unknown, mut read) = (Vec::new(), Vec::new(), 0);
    let mut suspect = None;
    for (answer, (id, _)) in answers.into_iter().zip(&ids) {
        match answer {
            Ok(Ok(user)) => users.push(user),
            Ok(Err(why)) => unknown.push((id.clone(), why)),
            Err(Fetched::Failed(error)) if read == 0 && is_suspect(cursor, &error) => {
                suspect = Some((id, error));
            }
            Err(why) if read == 0 => return Ok(why),
            Err(Fetched::Failed(error)) => {
                tracing::warn!(run = run.id.as_str(), %error, "cannot read a user of the list now; the page ends before it");
                break;
            }
            Err(_) => break,
        }
        read += 1;
    }
    if let Some((id, error)) = suspect {
        // If no user is behind, read the previous user once more.
        let others_come = !users.is_empty()
            || !unknown.is_empty()
            || match before {
                Some(before) if read >= ids.len() => is_shown(clients, run, &before, at).await? == Some(true),
                _ => false,
            };
        // An outage may have caused the requests before, and an accident this one.
        if !others_come || is_shown(clients, run, id, at).await? != Some(false) {
            return Ok(Fetched::Failed(error));
        }
        unknown.push((id.clone(), refused(&error)));
    }
    let next = match reached {
        Some(reached) if read == ids.len() => Some(reached),
        _ => ids.into_iter().nth(read.saturating_sub(1)).map(|(_, place)| place),
    };
    Ok(Fetched::Page(FetchedPage { unknown, digest, task, ..FetchedPage::of(users, next, false) }))
}

/// Returns whether Intercom may fail for this user alone: enough requests had no answer, and the
/// rate limit is not the cause.
fn is_suspect(cursor: &Cursor, error: &Error) -> bool {
    cursor.unanswered.times >= SUSPECT_AFTER && disposition(error) == Disposition::Ambiguous
}

/// Returns the reason for not reading a user whose requests fail.
fn refused(error: &Error) -> NoUser {
    let code = match (error.code(), error.status()) {
        ("", Some(status)) => format!("http_{status}"),
        ("", None) => "no_answer".to_owned(),
        (code, _) => code.to_owned(),
    };
    NoUser { code, said: error.said(), is_unknown: false, is_gone: false }
}

/// The answer for a user: the user, or the reason why Intercom does not show it. Otherwise the reason why the
/// user was not read.
type Answer = Result<Result<User, NoUser>, Fetched>;

/// Returns whether Intercom answers for this user now; `None` if that is not known.
async fn is_shown(clients: &Clients, run: &Run, id: &UserId, at: &Invocation) -> Result<Option<bool>, StepError> {
    let permit = clients.limiter.acquire(PermitRequest::one(Lane::Page), &at.leaving(AFTER_PAGE_MS)).await?;
    if !matches!(permit, Permit::Granted { .. }) {
        return Ok(None);
    }
    Ok(match one(clients, run, id, at).await {
        Ok(_) => Some(true),
        Err(Fetched::Failed(error)) if disposition(&error) == Disposition::Ambiguous => Some(false),
        Err(_) => None,
    })
}

/// Reads one user, whose permit the caller has acquired.
async fn one(clients: &Clients, run: &Run, id: &UserId, at: &Invocation) -> Answer {
    let Some(timeout) = timeout(clients, at) else {
        return Err(Fetched::Wait(at.clock.now_ms(), "this invocation has no time left for a user"));
    };
    clients.of_run(run).user(id, timeout).await.map(|reply| reply.value).map_err(Fetched::Failed)
}
