//! The rate limit: windows of ten seconds, aligned to the clock.

use std::collections::BTreeMap;

/// The length of a window.
const WINDOW_MS: i64 = 10_000;

/// What the windows have let in; those that nobody used are not there.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    window: i64,
    used: BTreeMap<i64, u64>,
}

/// What the rate headers say.
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
        let admitted = *used < u64::from(limit);
        *used += u64::from(admitted);
        admitted
    }

    /// Charges what was let in for more: the window may be overdrawn by it, and the next one starts anew.
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

    pub(crate) fn rate(&self, limit: u32) -> Rate {
        Rate {
            limit,
            remaining: u64::from(limit).saturating_sub(self.used.get(&self.window).copied().unwrap_or_default()),
            reset_s: (self.window + 1) * WINDOW_MS / 1000,
        }
    }
}
