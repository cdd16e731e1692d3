//! The two sources of a page: the workspace's scroll, and a list of ids.

use crate::clients::{Clients, StepError};
use crate::intercom::Error;
use crate::invocation::Invocation;
use crate::ledger::{Grant, Share};
use crate::meter::Ask;
use crate::plan::Plan;
use crate::run::{Cursor, Run};
use crate::user::{User, UserId};

/// Kept of the invocation's time for what follows a page.
const AFTER_PAGE_MS: i64 = 4_000;

/// A page is not asked for with less time than this.
const PAGE_LEAST_MS: i64 = 3_000;

/// A page of either source.
pub(super) struct Page {
    pub(super) users: Vec<User>,
    /// Entries of the scroll without a usable id.
    pub(super) unreadable: u32,
    /// Users of the list that Intercom does not know.
    pub(super) unknown: Vec<UserId>,
    /// The cursor of the next page, where the scroll gave one.
    pub(super) cursor: Option<String>,
    /// Tells a page from the one before.
    pub(super) digest: u64,
    /// Nothing follows.
    pub(super) is_end: bool,
}

/// A page, or why there is none.
pub(super) enum Fetched {
    Page(Page),
    Failed(Error),
    /// Not asked for: again at this time, and why.
    Wait(i64, &'static str),
}

/// Asks for the cursor's next page; its first request is paid for.
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
    // Given up in time for the claim: nobody else asks while this request may be under way.
    let left_ms = at.left_ms() - AFTER_PAGE_MS;
    if left_ms < PAGE_LEAST_MS {
        // A page that is given up is gone; the next invocation has all of its time.
        return Ok(Fetched::Wait(at.clock.now_ms(), "this invocation has no time left for a page"));
    }
    let timeout = clients.settings.page_timeout.min(std::time::Duration::from_millis(left_ms as u64));
    match clients.intercom.page(cursor.scroll.as_deref(), plan.keeps(), timeout).await {
        Ok(reply) => {
            clients.meter.learn(reply.rate, at).await;
            let page = reply.value;
            let is_end = page.is_end();
            let (users, unreadable, cursor) = (page.users, page.unreadable, page.cursor);
            Ok(Fetched::Page(Page { users, unreadable, unknown: Vec::new(), cursor, digest: page.digest, is_end }))
        }
        Err(error) => {
            clients.meter.learn(error.rate(), at).await;
            Ok(Fetched::Failed(error))
        }
    }
}

/// Reads the users of a page of the list one by one.
async fn listed(clients: &Clients, run: &Run, cursor: &Cursor, at: &Invocation) -> Result<Fetched, StepError> {
    let number = cursor.page + 1;
    let ids = clients.ledger.listed(&run.run, number).await?;
    let (mut users, mut unknown, is_end) = (Vec::new(), Vec::new(), ids.is_empty());
    for (index, id) in ids.into_iter().enumerate() {
        if index > 0
            && let Some(until_ms) = wait_for_one(clients, at).await?
        {
            return Ok(Fetched::Wait(until_ms, "the rate limit's window is spent"));
        }
        match clients.intercom.user(&id).await {
            Ok(reply) => {
                clients.meter.learn(reply.rate, at).await;
                match reply.value {
                    Some(user) => users.push(user),
                    None => unknown.push(id),
                }
            }
            Err(error) => return Ok(Fetched::Failed(error)),
        }
    }
    let digest = u64::from(number);
    Ok(Fetched::Page(Page { users, unreadable: 0, unknown, cursor: None, digest, is_end }))
}

/// Waits within the invocation until the budget gives one request; returns when to come back if that is too late.
async fn wait_for_one(clients: &Clients, at: &Invocation) -> Result<Option<i64>, StepError> {
    while let Grant::Wait(until_ms) = clients.meter.take(Ask::one(Share::Page), at).await? {
        let wait_ms = (until_ms - at.clock.now_ms()).max(1);
        if wait_ms + AFTER_PAGE_MS > at.left_ms() {
            return Ok(Some(until_ms));
        }
        tokio::time::sleep(std::time::Duration::from_millis(wait_ms as u64)).await;
    }
    Ok(None)
}
