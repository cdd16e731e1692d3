//! Promise 4: the rate limit is never knowingly exceeded.

use bytes::Bytes;

use super::steps::SUBMIT;
use crate::storm::Storm;

impl Storm {
    /// Counts a request against what the budget granted, and in the window that it reaches Intercom in. Where the clocks
    /// are further apart than the edge that the budget charges twice, nobody can know the window, and nothing is asserted
    /// of it.
    pub(super) fn counts_request(&self, name: &str, body: &Bytes) {
        let items = || serde_json::from_slice::<serde_json::Value>(body).ok()?["items"].as_array().map(Vec::len);
        let cost = if name == SUBMIT { items().unwrap_or(1).max(1) as u64 } else { 1 };
        let window = self.now_ms().div_euclid(10_000);
        let mut memory = self.promises.memory();
        memory.asked += cost;
        let (asked, paid) = (memory.asked, memory.paid);
        if asked > paid {
            drop(memory);
            return self.weather.bug(format!("4: {asked} operations were asked for, and {paid} are paid for"));
        }
        if !self.story.is_punctual() {
            return;
        }
        memory.windows.retain(|number, _| *number == window);
        let spent = memory.windows.entry(window).or_default();
        *spent += cost;
        let (spent, limit) = (*spent, u64::from(self.story.options.rate_limit_per_10s));
        drop(memory);
        if spent > limit {
            self.weather.bug(format!("4: {spent} operations in a window of {limit}"));
        }
    }
}
