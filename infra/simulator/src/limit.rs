//! The rate limit: windows of ten seconds, aligned to the clock.

/// The length of a window.
const WINDOW_MS: i64 = 10_000;

/// What the present window has let in.
#[derive(Debug, Default)]
pub(crate) struct Limit {
    window: i64,
    used: u64,
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
        let window = now_ms.div_euclid(WINDOW_MS);
        if window != self.window {
            *self = Self { window, used: 0 };
        }
        let admitted = self.used < u64::from(limit);
        self.used += u64::from(admitted);
        admitted
    }

    /// Charges what was let in for more: the window may be overdrawn by it, and the next one starts anew.
    pub(crate) fn charge(&mut self, more: usize) {
        self.used += more as u64;
    }

    pub(crate) fn rate(&self, limit: u32) -> Rate {
        Rate {
            limit,
            remaining: u64::from(limit).saturating_sub(self.used),
            reset_s: (self.window + 1) * WINDOW_MS / 1000,
        }
    }
}
