//! The run that a start retries: whether it may be, and for how many users.

use crate::domain::run::{Retry, Run};
use crate::ledger::{Active, Ledger, LedgerError};

/// An ended run that is retried or undone.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierRun {
    /// The run.
    pub run: Run,
    /// The users that are read, of an undo about. A run that is not settled may get more.
    pub users: u64,
}

/// Returns the run that is retried, or the reason why it cannot be.
pub async fn retried(
    ledger: &Ledger,
    retry: &Retry,
    active: &Active,
    now_ms: i64,
) -> Result<Result<EarlierRun, String>, LedgerError> {
    let found = ledger.run(&retry.run).await?.zip(ledger.cursor(&retry.run).await?);
    let refused = retry.refusal(found.as_ref().map(|(run, _)| run), now_ms);
    let (run, cursor) = match (found, refused) {
        (Some(found), None) => found,
        (_, why) => return Ok(Err(why.unwrap_or_default())),
    };
    let users = if retry.unknown {
        let some = ledger.retried_users((&run, &cursor), retry, None, 1).await?;
        // The accounts of several generations do not say how many users are left.
        let some = some.users.len() as u64 + u64::from(some.reached.is_some());
        if some == 0 { 0 } else { ledger.accounts(&run, &cursor).await?.without_end(&cursor).max(some) }
    } else {
        ledger.count_failed(&run, retry.code.as_deref()).await?
    };
    // A job that is open may still have errors; the first page waits for its end.
    let is_settled = active.unsettled.iter().all(|other| other.id != run.id);
    if users == 0 && is_settled {
        return Ok(Err(retry.nobody(&run)));
    }
    Ok(Ok(EarlierRun { run, users }))
}
