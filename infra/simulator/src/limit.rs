//! The rate limit: windows of ten seconds, aligned to the clock.

use std::collections::BTreeMap;

use crate::options::{Options, RateRemaining, RateReset};

/// The length of a window.
const WINDOW_MS: i64 = 10_000;
/// The time that other programs take to use their part of a window.
const OTHERS_MS: i64 = 2_000;
/// Delay of `X-RateLimit-Reset` after the window's end, in 525 of 525 answers recorded in 2021.
const RESET_LATE_S: i64 = 2;

/// The operations that each window admitted. A window without operations has no entry.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    window: i64,
    used: BTreeMap<i64, u64>,
    /// Operations of the current window before the current request.
    before: u64,
    /// The window in which other programs last used operations, and their count so far.
    others: (i64, u64),
}

/// The values of the rate headers.
pub(crate) struct Rate {
    pub(crate) limit: u32,
    pub(crate) remaining: u64,
    pub(crate) reset_s: i64,
}

impl Limit {
    /// Returns whether one more operation is admitted. A refused operation is not charged.
    pub(crate) fn admit(&mut self, now_ms: i64, limit: u32) -> bool {
        self.window = now_ms.div_euclid(WINDOW_MS);
        let used = self.used.entry(self.window).or_default();
        self.before = *used;
        let admitted = *used < u64::from(limit);
        *used += u64::from(admitted);
        admitted
    }

    /// Uses `per_window` operations for other programs, evenly over each window's first seconds.
    /// Operations beyond the limit are refused. Returns whether any were used since the last call.
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

    /// Charges more operations for an admitted request. This may overdraw the window, not the next
    /// one.
    pub(crate) fn charge(&mut self, more: usize) {
        *self.used.entry(self.window).or_default() += more as u64;
    }

    /// Charges more operations for an admitted request if they fit. Otherwise reverts its
    /// admission.
    pub(crate) fn admit_more(&mut self, more: usize, limit: u32) -> bool {
        let used = self.used.entry(self.window).or_default();
        let admitted = *used + more as u64 <= u64::from(limit);
        *used = if admitted { *used + more as u64 } else { used.saturating_sub(1) };
        admitted
    }

    /// Returns operations by the Unix second at which their window ended.
    pub(crate) fn by_window(&self) -> BTreeMap<i64, u64> {
        self.used.iter().map(|(window, used)| ((window + 1) * WINDOW_MS / 1000, *used)).collect()
    }

    /// Returns the rate headers of the current answer.
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
