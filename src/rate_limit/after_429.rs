//! The wait after a 429: its length, and the closing of the budget for all functions.

use super::limiter::RateLimiter;
use super::window::{WINDOW_MS, window_end_ms};
use crate::intercom::Rate;
use crate::ledger::LedgerError;

/// The longest accepted `Retry-After`, in seconds; a longer one is cut to it. The bounds of a run
/// end the waiting.
const RETRY_AFTER_MAX_S: u64 = 3600;

/// The most seconds between now and the end of a 10-second window. A larger distance shows that the
/// clocks disagree.
const WINDOW_END_APART_MAX_S: i64 = 60;

/// The longest wait after a 429, in milliseconds.
const CLOSED_MAX_MS: i64 = RETRY_AFTER_MAX_S as i64 * 1000;
/// Windows that are marked as spent after a 429, with one write each. A longer wait is stored in
/// the limit's item, which each process reads once per window.
const MARKED_MAX: i64 = 6;

/// Returns the wait after a 429: `Retry-After`, or else the rest of the window by our clock, in
/// seconds (at least 1). `None` if neither is usable, which means a whole window of 10 s. `now_s` is
/// the caller's time in Unix seconds.
pub fn wait_after_429(retry_after_s: Option<u64>, rate: Option<Rate>, now_s: i64) -> Option<u64> {
    if let Some(wait_s) = retry_after_s {
        return Some(wait_s.clamp(1, RETRY_AFTER_MAX_S));
    }
    let ahead_s = rate?.window_end_s().checked_sub(now_s)?;
    let believable = (-WINDOW_END_APART_MAX_S..=WINDOW_END_APART_MAX_S).contains(&ahead_s);
    believable.then_some(ahead_s.max(1).unsigned_abs())
}

/// The time from a 429 until the budget opens again, in Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    since_ms: i64,
    until_ms: i64,
}

impl RateLimiter {
    /// Closes the budget of this process after a 429 for `wait_s`, or until the window's end.
    pub(super) fn close(&self, wait_s: Option<u64>, now_ms: i64) -> Closing {
        let pause_ms = wait_s.and_then(|s| i64::try_from(s).ok()).map_or(WINDOW_MS, |s| s.saturating_mul(1000));
        let until_ms = window_end_ms(now_ms).max(now_ms.saturating_add(pause_ms.clamp(1, CLOSED_MAX_MS)));
        self.known().close_until(until_ms);
        Closing { since_ms: now_ms, until_ms }
    }

    /// Closes the budget of all functions.
    pub(super) async fn store_closing(&self, closing: Closing) -> Result<(), LedgerError> {
        let Closing { since_ms, until_ms } = closing;
        if until_ms - since_ms > MARKED_MAX * WINDOW_MS {
            self.ledger.store_closed_until(until_ms).await?;
        }
        let present_ms = window_end_ms(since_ms);
        for window in 0..MARKED_MAX {
            let end_ms = present_ms + window * WINDOW_MS;
            // The window that contains the end of the wait stays open, except for the present one.
            if window > 0 && end_ms > until_ms {
                break;
            }
            self.ledger.mark_spent(end_ms).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_522_849_873;

    #[test]
    fn the_wait_is_retry_after_or_the_rest_of_the_window() {
        let wait = |reset_at_s: Option<i64>, retry_after_s, now_s| {
            let rate = reset_at_s.map(|reset_at_s| Rate { limit: 83, remaining: 0, reset_at_s });
            wait_after_429(retry_after_s, rate, now_s)
        };
        for (reset_at_s, retry_after_s, wait_s) in [
            (Some(NOW_S + 7), Some(3), Some(3)),
            (Some(NOW_S + 7), Some(300), Some(300)),
            (Some(NOW_S + 7), None, Some(7)),
            // Two seconds after the window's end.
            (Some(NOW_S + 9), None, Some(7)),
            (None, Some(0), Some(1)),
            (None, Some(u64::MAX), Some(RETRY_AFTER_MAX_S)),
            // The window is over by our clock.
            (Some(NOW_S - 1), None, Some(1)),
            (Some(NOW_S - 300), None, None),
            (Some(NOW_S + 300), None, None),
            (Some(i64::MAX), None, None),
            (None, None, None),
        ] {
            assert_eq!(wait(reset_at_s, retry_after_s, NOW_S), wait_s, "{reset_at_s:?} {retry_after_s:?}");
        }
        assert_eq!(wait(Some(i64::MAX), None, i64::MIN), None);
    }
}
