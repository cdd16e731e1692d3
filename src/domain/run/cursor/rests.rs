//! Requests without an answer: the wait before the next one, and the effect on the generation.

use serde::{Deserialize, Serialize};

use super::Cursor;

/// The first wait after a request without an answer, in milliseconds.
const REST_MS: i64 = 5_000;
/// The longest wait, in milliseconds.
pub const REST_MOST_MS: i64 = 300_000;
/// Waits that do not grow while an exclusive reading is open: the first minute, after which it has
/// expired.
const RESTS_WHILE_OPEN: u32 = 12;

/// Consecutive requests without an answer that cost no page: an outage, or another program uses up
/// the limit. Only the run's deadline bounds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unanswered {
    /// Their number.
    #[serde(rename = "unanswered", default)]
    pub times: u32,
    /// Time of the first, in Unix milliseconds.
    #[serde(rename = "unanswered_since_ms", default)]
    pub since_ms: i64,
    /// Time since which no request could be sent because the windows of the rate limit are spent, in
    /// Unix milliseconds; 0 if one could.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub spent_since_ms: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(ms: &i64) -> bool {
    *ms == 0
}

impl Cursor {
    /// Records a request that got no answer and cost no page. Returns the time of the next request.
    pub fn rest(&mut self, now_ms: i64) -> i64 {
        if self.unanswered.times == 0 {
            self.unanswered.since_ms = now_ms;
        }
        let rest_ms = rest_ms(self.unanswered.times, self.position.is_exclusive());
        self.unanswered.times += 1;
        now_ms + rest_ms
    }

    /// Records that no request could be sent, because the rate limit's window is spent.
    pub fn found_spent(&mut self, now_ms: i64) {
        if self.unanswered.spent_since_ms == 0 {
            self.unanswered.spent_since_ms = now_ms;
        }
    }

    /// Records an answer.
    pub fn answered(&mut self) {
        self.unanswered = Unanswered::default();
    }

    /// Returns whether an exclusive reading expired because nothing could be sent. That is: for at
    /// least half of its life no request got an answer or a permit, or the queue did not deliver the
    /// turn's message.
    pub fn was_kept_from_reading(&self, now_ms: i64) -> bool {
        let Unanswered { times, since_ms, spent_since_ms } = self.unanswered;
        let long_ago = |since_ms: i64| 2 * (now_ms - since_ms) >= self.exclusive.life_ms;
        let unsent = times > 0 && long_ago(since_ms) || spent_since_ms > 0 && long_ago(spent_since_ms);
        unsent || self.resends > 0 && self.leases == 0
    }
}

/// Returns the wait after `unanswered` earlier requests without an answer, in milliseconds.
fn rest_ms(unanswered: u32, is_open: bool) -> i64 {
    let grows = if is_open { unanswered.saturating_sub(RESTS_WHILE_OPEN - 1) } else { unanswered };
    REST_MS.saturating_mul(1 << grows.min(10)).min(REST_MOST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_without_an_answer_grow_to_five_minutes() {
        let waits = |open: bool, count: u32| (0..count).map(|n| rest_ms(n, open) / 1000).collect::<Vec<_>>();
        assert_eq!(waits(false, 8), [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(waits(true, 12), [5; 12], "the first minute of a reading that is open");
        assert_eq!(waits(true, 18)[12..], [10, 20, 40, 80, 160, 300]);
        assert_eq!(rest_ms(u32::MAX, true), REST_MOST_MS);
    }
}
