//! How many users the workspace has, by Intercom's own count.

use std::time::Duration;

use crate::domain::run::{MaxChanges, Source, Start};
use crate::intercom::{Disposition, disposition};
use crate::ledger::{Lane, Permit};
use crate::rate_limit::PermitRequest;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// The count must leave the invocation time for the start itself.
const COUNT_TIMEOUT: Duration = Duration::from_secs(8);
pub(super) const COUNT_MS: i64 = COUNT_TIMEOUT.as_millis() as i64 + 5_000;

/// How many users there are, to bound the run and to show its progress. A token that may not read the count can still
/// do the run, so that an error here is none of the run's: what is wrong with a token shows on the first page. Where a
/// percentage bounds the changes, a run without the count would have no bound, and is not begun.
pub(super) async fn count_users(clients: &Clients, start: &Start, at: &Invocation) -> Result<Option<u64>, StepError> {
    if start.source != Source::Scroll {
        return Ok(None);
    }
    match (count(clients, at).await?, start.limits.max_changes) {
        (Ok(count), _) => Ok(Some(count)),
        (Err(Uncounted { reason, for_good }), Some(MaxChanges::Percent(_))) => {
            Err(StepError::NotCounted { reason, for_good })
        }
        (Err(Uncounted { reason, .. }), _) => {
            tracing::warn!(reason, "the users could not be counted; the run goes on without an estimate");
            Ok(None)
        }
    }
}

/// Why there is no count.
pub(super) struct Uncounted {
    pub(super) reason: String,
    /// Intercom refuses it, and will again.
    for_good: bool,
}

impl Uncounted {
    fn for_now(reason: &str) -> Self {
        Self { reason: reason.to_owned(), for_good: false }
    }
}

/// Intercom's count of users, or why there is none.
pub(super) async fn count(clients: &Clients, at: &Invocation) -> Result<Result<u64, Uncounted>, StepError> {
    if at.left_ms() < COUNT_MS {
        return Ok(Err(Uncounted::for_now("this invocation has no time left for it")));
    }
    if let Permit::Wait(until_ms) = clients.limiter.take(PermitRequest::one(Lane::Check), at.clock).await? {
        let wait_ms = (until_ms - at.clock.now_ms()).max(1);
        if wait_ms + COUNT_MS > at.left_ms() {
            return Ok(Err(Uncounted::for_now("the rate limit's window is spent")));
        }
        tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())).await;
        if let Permit::Wait(_) = clients.limiter.take(PermitRequest::one(Lane::Check), at.clock).await? {
            return Ok(Err(Uncounted::for_now("the rate limit's windows are spent")));
        }
    }
    match clients.intercom.count_users(COUNT_TIMEOUT).await {
        Ok(reply) => {
            clients.limiter.learn(reply.rate, at.clock).await;
            Ok(Ok(reply.value))
        }
        Err(error) => {
            clients.limiter.learn(error.rate(), at.clock).await;
            let disposition = disposition(&error, at.clock.now_s());
            if let Disposition::Limited { wait_s } = disposition {
                clients.limiter.limited(wait_s, at.clock).await;
            }
            let for_good = matches!(disposition, Disposition::RunFault | Disposition::NotFound);
            Ok(Err(Uncounted { reason: error.to_string(), for_good }))
        }
    }
}
