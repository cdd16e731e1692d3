//! What a failed call means for the caller: one pure function, tested as a table.
//!
//! It decides by code, then (for answers older than the codes) by message, then by status. A 5xx is ambiguous whatever
//! its body says: the scroll's cursor lives on Intercom's server and may have moved on.

use super::error::{Error, route};
use super::reply::{RETRY_AFTER_MAX_S, Rate};
use crate::domain::job::ItemError;

/// The furthest believable end of a window of 10 seconds, in seconds before or after now; a further one shows that the
/// clocks disagree.
const WINDOW_END_APART_MAX_S: i64 = 60;

/// What may be done after an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Another scroll is open in the workspace: wait until it expires.
    ScrollExists,
    /// The scroll is gone, or (on the first call, which has no cursor) `/users/scroll` itself is: the caller knows which.
    CursorExpired,
    /// Not done, because of the rate limit: the same again later.
    Limited {
        /// How long to wait; `None` where nothing usable was said, hence a whole window of 10 s.
        wait_s: Option<u64>,
    },
    /// The request never left: the same again at once or later.
    NotSent,
    /// Intercom may have done it: 5xx, 408, time-out, reset, an answer that cannot be read.
    Ambiguous,
    /// Intercom refuses something in the request's items, or the items' user: find which. Only for [`route::SUBMIT`] and
    /// [`route::USER`]. Where every item is refused so, it is the run's fault.
    ItemRejected,
    /// Every such request will fail (token, plan, permission, version, address): the run cannot go on.
    RunFault,
    /// There is no such thing: 404, or 410 for one that was merged away.
    NotFound,
    /// Not done, because something else holds it just now: 409, 423 or 425. The same again later, a bounded number of times.
    Later,
}

/// Codes of a 409 that speak of what an item holds; others speak of something that holds the user just now.
const ITEM_CODES: [&str; 4] = ["conflict", "data_invalid", "not_restorable", "unique_user_constraint"];

/// Codes of the rate limit; `retry_after` is on Intercom's list without a status.
const LIMIT_CODES: [&str; 3] = ["rate_limit_exceeded", "too_many_requests", "retry_after"];

/// The code of a version that does not have the resource; it comes as a 400.
pub(super) const VERSION_CODE: &str = "intercom_version_invalid";

/// Says what may be done. `now_s` is the caller's time in Unix seconds.
pub fn disposition(error: &Error, now_s: i64) -> Disposition {
    let Error::Refused { route, status, code, message, rate, retry_after_s, .. } = error else {
        return match error {
            Error::NotSent { .. } => Disposition::NotSent,
            Error::Invalid { .. } => Disposition::RunFault,
            _ => Disposition::Ambiguous,
        };
    };
    let (code, message) = (code.to_ascii_lowercase(), message.to_ascii_lowercase());
    match *status {
        408 | 500.. => Disposition::Ambiguous,
        300..=399 => Disposition::RunFault,
        429 => Disposition::Limited { wait_s: wait_s(*retry_after_s, *rate, now_s) },
        _ if is_limit(&code, &message) => Disposition::Limited { wait_s: wait_s(*retry_after_s, *rate, now_s) },
        _ if code == VERSION_CODE => Disposition::RunFault,
        // A permission may lack for one user: the caller finds out whether others are taken.
        403 if *route == route::SUBMIT => Disposition::ItemRejected,
        401 | 402 | 403 | 405 | 406 | 415 => Disposition::RunFault,
        _ if *route == route::PAGE => of_page(*status, &code, &message),
        // Intercom names a code where it speaks of an item; a gateway's 404 has none.
        404 | 410 if *route == route::SUBMIT && !code.is_empty() => Disposition::ItemRejected,
        404 | 410 => Disposition::NotFound,
        status => of_content(route, status, &code),
    }
}

/// The scroll's own errors. Until about 2019 the first had no code and said "for this app".
fn of_page(status: u16, code: &str, message: &str) -> Disposition {
    if code == "scroll_exists" || message.contains("scroll already exists") {
        return Disposition::ScrollExists;
    }
    let gone = message.contains("scroll parameter not found") || (status == 404 && code == "not_found");
    match status {
        400 | 404 | 410 if gone => Disposition::CursorExpired,
        404 | 410 => Disposition::NotFound,
        409 | 423 | 425 => Disposition::Later,
        _ => Disposition::RunFault,
    }
}

/// Refusals because of what was sent, or of the state it met.
fn of_content(route: &str, status: u16, code: &str) -> Disposition {
    let has_items = matches!(route, route::SUBMIT | route::USER);
    match status {
        409 if has_items && ITEM_CODES.contains(&code) => Disposition::ItemRejected,
        409 | 423 | 425 => Disposition::Later,
        // Whatever the code: one that is not known yet may speak of one user as well as of all.
        400 | 422 if has_items && !code.is_empty() => Disposition::ItemRejected,
        413 if has_items => Disposition::ItemRejected,
        _ => Disposition::RunFault,
    }
}

/// Whether an item of an error feed failed for a reason that passes (Intercom applies its rate limit to items as well).
pub fn item_may_be_sent_again(item: &ItemError) -> bool {
    const PASSING: [&str; 3] = ["server_error", "service_unavailable", "request_timeout"];
    let code = item.code.to_ascii_lowercase();
    is_limit(&code, &item.message.to_ascii_lowercase()) || PASSING.contains(&code.as_str())
}

fn is_limit(code: &str, message: &str) -> bool {
    LIMIT_CODES.contains(&code) || message.contains("exceeded rate limit")
}

/// `Retry-After`, else what is left of the window by our clock (a second where the window is over by it), else nothing.
fn wait_s(retry_after_s: Option<u64>, rate: Option<Rate>, now_s: i64) -> Option<u64> {
    if let Some(wait_s) = retry_after_s {
        return Some(wait_s.clamp(1, RETRY_AFTER_MAX_S));
    }
    let ahead_s = rate?.window_end_s().checked_sub(now_s)?;
    let believable = (-WINDOW_END_APART_MAX_S..=WINDOW_END_APART_MAX_S).contains(&ahead_s);
    believable.then_some(ahead_s.max(1).unsigned_abs())
}

#[cfg(test)]
mod tests;
