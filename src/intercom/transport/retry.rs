//! The consequence of a failed call for the caller: one pure function, tested as a table.
//!
//! The code decides, then (for answers older than the codes) the message, then the status. A 5xx is
//! ambiguous whatever its body says: a position that Intercom keeps may have advanced. The refusals
//! that only one family of the API has are in that family's module.

use super::error::{Error, route};
use crate::domain::api::PageFailure;
use crate::domain::job::ItemError;

/// The possible reactions to an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Not carried out because of the rate limit: retry later. `rate_limit` decides when.
    Limited,
    /// The request was not sent: retry at once or later.
    NotSent,
    /// The request was not sent, because its conditions held too long ago: check them again.
    TooLate,
    /// Intercom may have carried it out: 5xx, 408, time-out, reset, an unreadable answer.
    Ambiguous,
    /// Intercom refuses an item of the request, or the item's user: find out which. Only for
    /// [`route::SUBMIT`] and [`route::USER`]. If Intercom refuses every item, the run is at fault.
    ItemRejected,
    /// Every such request will fail (token, plan, permission, version, address): the run cannot
    /// continue.
    RunFault,
    /// The resource does not exist: 404, or 410 for a user that was merged into another.
    NotFound,
    /// Not carried out because of a conflict (409, 423 or 425): retry later, a bounded number of
    /// times.
    Later,
    /// Not carried out because of another job than the one that is asked for, so it says nothing about
    /// its users: retry later. Only for [`route::SUBMIT`].
    OtherJob,
}

/// Codes of a 409 about an item's content. Other codes are about a temporary lock on the user.
const ITEM_CODES: [&str; 4] = ["conflict", "data_invalid", "not_restorable", "unique_user_constraint"];

/// Codes of the rate limit; `retry_after` is on Intercom's list without a status.
const LIMIT_CODES: [&str; 3] = ["rate_limit_exceeded", "too_many_requests", "retry_after"];

/// Codes of a job that takes no more items, or does not exist.
const JOB_CODES: [&str; 2] = ["job_closed", "job_not_found"];

/// The message of a job that takes no more items; on Preview its code is that of a missing permission.
const CLOSED_JOB: &str = "is closed for new task updates";

/// The code of an API version without the resource; its status is 400.
pub(in crate::intercom) const VERSION_CODE: &str = "intercom_version_invalid";

/// The code of a subscription that has ended or does not include the request. Its status is 402 or 403.
pub(in crate::intercom) const PLAN_CODE: &str = "api_plan_restricted";

/// Returns the reaction to an error.
pub fn disposition(error: &Error) -> Disposition {
    let Error::Refused { route, status, code, message, .. } = error else {
        return match error {
            Error::NotSent { .. } => Disposition::NotSent,
            Error::TooLate { .. } => Disposition::TooLate,
            Error::Invalid { .. } => Disposition::RunFault,
            _ => Disposition::Ambiguous,
        };
    };
    let (code, message) = (code.to_ascii_lowercase(), message.to_ascii_lowercase());
    match *status {
        408 | 500.. => Disposition::Ambiguous,
        300..=399 => Disposition::RunFault,
        429 => Disposition::Limited,
        _ if is_limit(&code, &message) => Disposition::Limited,
        _ if code == VERSION_CODE || code == PLAN_CODE => Disposition::RunFault,
        _ if is_of_other_job(route, &code, &message) => Disposition::OtherJob,
        // A permission may be missing for one user; the caller finds out whether others are
        // accepted.
        403 if *route == route::SUBMIT => Disposition::ItemRejected,
        401 | 402 | 403 | 405 | 406 | 415 => Disposition::RunFault,
        // A 404 about an item has a code; a gateway's 404 has none.
        404 | 410 if *route == route::SUBMIT && !code.is_empty() => Disposition::ItemRejected,
        404 | 410 => Disposition::NotFound,
        status => of_content(route, status, &code),
    }
}

/// Returns whether a bulk request is refused because of another job. A request for a new job names none.
fn is_of_other_job(route: &str, code: &str, message: &str) -> bool {
    route == route::SUBMIT && (JOB_CODES.contains(&code) || message.contains(CLOSED_JOB))
}

impl Disposition {
    /// Returns the reaction to a page whose request failed.
    pub(in crate::intercom) fn page_failure(self) -> PageFailure {
        match self {
            Self::NotSent | Self::TooLate => PageFailure::Repeat { answered: false },
            Self::Later | Self::OtherJob => PageFailure::Repeat { answered: true },
            Self::Ambiguous => PageFailure::MaybeConsumed,
            Self::Limited => PageFailure::RateLimited,
            Self::RunFault | Self::NotFound | Self::ItemRejected => PageFailure::Fatal,
        }
    }
}

/// Handles refusals because of the request's content, or of the state of its user.
fn of_content(route: &str, status: u16, code: &str) -> Disposition {
    let has_items = matches!(route, route::SUBMIT | route::USER);
    match status {
        409 if has_items && ITEM_CODES.contains(&code) => Disposition::ItemRejected,
        409 | 423 | 425 => Disposition::Later,
        // Any code: an unknown one may be about one user as well as about all.
        400 | 422 if has_items && !code.is_empty() => Disposition::ItemRejected,
        413 if has_items => Disposition::ItemRejected,
        _ => Disposition::RunFault,
    }
}

/// Returns whether a failed item of an error feed may be retried. Intercom applies its rate limit
/// to items as well.
pub fn item_may_be_sent_again(item: &ItemError) -> bool {
    const PASSING: [&str; 3] = ["server_error", "service_unavailable", "request_timeout"];
    let code = item.code.to_ascii_lowercase();
    is_limit(&code, &item.message.to_ascii_lowercase()) || PASSING.contains(&code.as_str())
}

fn is_limit(code: &str, message: &str) -> bool {
    LIMIT_CODES.contains(&code) || message.contains("exceeded rate limit")
}

#[cfg(test)]
mod tests;
