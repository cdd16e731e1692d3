//! The rate limit: windows of ten seconds, aligned to the clock.

use std::collections::BTreeMap;

use crate::options::{Options, RateRemaining, RateReset};

/// The length of a window.
const WINDOW_MS: i64 = 10_000;
/// How long other programs take to spend their part of a window.
const OTHERS_MS: i64 = 2_000;
/// How much later than the window's end `X-RateLimit-Reset` was in 525 of 525 answers recorded in 2021.
const RESET_LATE_S: i64 = 2;

/// The operations that each window let in. A window without operations has no entry.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    window: i64,
    used: BTreeMap<i64, u64>,
    /// Operations of the present window before the request that is being answered.
    before: u64,
    /// The window that other programs spend of, and how much of it they have spent so far.
    others: (i64, u64),
}

/// The values of the rate headers.
pub(crate) struct Rate {
    pub(crate) limit: u32,
    pub(crate) remaining: u64,
    pub(crate) reset_s: i64,
}

impl Limit {
    /// Lets one operation in, or not: a refused one is not charged.
    pub(crate) fn admit(&mut self, now_ms: i64, limit: u32) -> bool {
        self.window = now_ms.div_euclid(WINDOW_MS);
        let used = self.used.entry(self.window).or_default();
        self.before = *used;
        let admitted = *used < u64::from(limit);
        *used += u64::from(admitted);
        admitted
    }

    /// Other programs spend `per_window` operations, evenly over the first seconds of each window; those that do not fit are refused. Returns
    /// whether they spent any since the last call.
    pub(crate) fn others_spend(&mut self, now_ms: i64, per_window: u64, limit: u32) -> bool {
        let window = now_ms.div_euclid(WINDOW_MS);
        let so_far = if self.others.0 == window { self.others.1 } else { 0 };
        let elapsed_ms = now_ms.rem_euclid(WINDOW_MS).min(OTHERS_MS);
        let by_now = per_window * elapsed_ms.unsigned_abs() / OTHERS_MS.unsigned_abs();
        self.others = (window, by_now);
        let used = self.used.entry(window).or_default();
        let more = (by_now - so_far).min(u64::from(limit).saturating_sub(*used));
        *used += more;
        more > 0
    }

    /// Charges what was let in for more: the window may be overdrawn by it, and the next one starts again.
    pub(crate) fn charge(&mut self, more: usize) {
        *self.used.entry(self.window).or_default() += more as u64;
    }

    /// Charges what was let in for so many more, where they fit; otherwise it was not let in, and is not charged.
    pub(crate) fn admit_more(&mut self, more: usize, limit: u32) -> bool {
        let used = self.used.entry(self.window).or_default();
        let admitted = *used + more as u64 <= u64::from(limit);
        *used = if admitted { *used + more as u64 } else { used.saturating_sub(1) };
        admitted
    }

    /// Operations by the Unix second that their window ended in.
    pub(crate) fn by_window(&self) -> BTreeMap<i64, u64> {
        self.used.iter().map(|(window, used)| ((window + 1) * WINDOW_MS / 1000, *used)).collect()
    }

    /// What the headers of the present answer say.
    pub(crate) fn rate(&self, options: &Options) -> Rate {
        let used = self.used.get(&self.window).copied().unwrap_or_default();
        let shown = if options.rate_remaining == RateRemaining::After { used } else { self.before };
        let late_s = if options.rate_reset == RateReset::Late { RESET_LATE_S } else { 0 };
        Rate {
            limit: options.rate_limit_per_10s,
            remaining: u64::from(options.rate_limit_per_10s).saturating_sub(shown),
            reset_s: (self.window + 1) * WINDOW_MS / 1000 + late_s,
        }
    }
}
