//! Requests that fail without a reason (5xx, no answer, "later"): decides between an outage and a
//! user that Intercom cannot accept.

/// Single users that are sent to check whether Intercom accepts any request.
pub(super) const PROBES_MAX: u32 = 2;
/// Above this number of consecutive failures, an outage is more likely than users that share a
/// fault. Halving a full request down to one user takes eight requests.
const IN_A_ROW_MAX: u32 = 10;

/// The first wait of a part after a failed request, in milliseconds.
const REST_MS: i64 = 10_000;
/// The longest such wait before [`RARELY_FROM`], in milliseconds.
const REST_MOST_MS: i64 = 300_000;
/// The factor from one wait to the next.
const REST_GROWS: i64 = 4;
/// From this delivery on, each wait is [`RARELY_MS`]. The queue delivers a message 1,000 times, and
/// a run may last 40 days.
const RARELY_FROM: u32 = 600;
/// The wait of a part that was delivered often: one hour, in milliseconds.
const RARELY_MS: i64 = 3600 * 1000;

/// The least wait of a part for permits is this time, in milliseconds, by the square of its receive
/// count: 10 seconds after 50 receives, an hour before the thousandth.
const LEAST_WAIT_GROWS_MS: i64 = 4;

/// A failed request, and the events before it in this invocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    /// Number of users in the request.
    pub(super) users: usize,
    /// True if Intercom answered.
    pub(super) answered: bool,
    /// True if Intercom accepted a request for the same parts.
    pub(super) taken: bool,
    /// Users that were sent alone before any request was accepted.
    pub(super) probes: u32,
    /// True if unsent users of the same parts are left.
    pub(super) others: bool,
    /// Failed requests since the last accepted one, including this one.
    pub(super) in_a_row: u32,
}

/// The next action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Treat the failure as an outage: the parts wait.
    Rest,
    /// Send one user alone. If Intercom accepts it, other users of the request are at fault.
    Probe,
    /// Send each half separately.
    Halve,
    /// Retry this one user after the others: Intercom may be unable to accept it.
    Suspect,
}

/// Decides the next action after a failed request. While an outage explains all failures, no
/// request is split.
pub(super) fn next(failing: Failing) -> Next {
    let Failing { users, answered, taken, probes, others, in_a_row } = failing;
    if in_a_row > IN_A_ROW_MAX {
        return Next::Rest;
    }
    match (taken, users) {
        (true, 1) => Next::Suspect,
        (true, _) => Next::Halve,
        // An unanswered request uses up the invocation's time, so send no probe after it.
        (false, _) if !answered || probes >= PROBES_MAX => Next::Rest,
        (false, 1) if !others => Next::Rest,
        (false, _) => Next::Probe,
    }
}

/// Returns the wait of a part with this receive count, in milliseconds.
pub(super) fn rest_ms(receives: u32) -> i64 {
    if receives >= RARELY_FROM {
        return RARELY_MS;
    }
    REST_MS.saturating_mul(REST_GROWS.saturating_pow(receives.saturating_sub(1))).min(REST_MOST_MS)
}

/// Returns the least wait of a part for permits, in milliseconds. A rate window lasts 10 seconds, and the
/// minute of a pace 60. With these waits alone, a part that waits for a day would become a dead letter.
pub(super) fn least_wait_ms(receives: u32) -> i64 {
    i64::from(receives).saturating_pow(2).saturating_mul(LEAST_WAIT_GROWS_MS)
}

/// Returns the maximum number of users per request for this attempt at a part. Each attempt halves
/// it. If one invocation cannot isolate the users at fault, later attempts send them one by one.
pub(super) fn request_size(users: usize, attempt: u32) -> usize {
    (users >> attempt.saturating_sub(1).min(usize::BITS - 1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn possible_outage_splits_no_request() {
        let whole = Failing { users: 100, answered: true, taken: false, probes: 0, others: false, in_a_row: 1 };
        for (failing, expected) in [
            (whole, Next::Probe),
            (Failing { answered: false, ..whole }, Next::Rest),
            (Failing { users: 1, probes: 1, others: true, in_a_row: 2, ..whole }, Next::Probe),
            (Failing { users: 1, probes: 2, others: true, in_a_row: 3, ..whole }, Next::Rest),
            (Failing { users: 1, ..whole }, Next::Rest),
            (Failing { taken: true, ..whole }, Next::Halve),
            (Failing { taken: true, answered: false, ..whole }, Next::Halve),
            (Failing { taken: true, users: 1, ..whole }, Next::Suspect),
            (Failing { taken: true, in_a_row: 11, ..whole }, Next::Rest),
        ] {
            assert_eq!(next(failing), expected, "{failing:?}");
        }
    }

    #[test]
    fn waits_grow_and_outlast_the_deadline() {
        let rests: Vec<i64> = (1..=6).map(|receives| rest_ms(receives) / 1000).collect();
        assert_eq!(rests, [10, 40, 160, 300, 300, 300]);
        let (all_ms, day_ms) = ((1..1_000).map(rest_ms).sum::<i64>(), 24 * 3600 * 1000);
        assert!(all_ms > 14 * day_ms, "SQS keeps a message for 14 days, and these last {} hours", all_ms / 3_600_000);
        let waits: Vec<i64> = [1, 10, 50, 1_000].map(least_wait_ms).to_vec();
        assert_eq!(waits, [4, 400, 10_000, 4_000_000]);
        let all_ms: i64 = (1..1_000).map(least_wait_ms).sum();
        assert!(all_ms > 14 * day_ms, "waits for permits last {} hours", all_ms / 3_600_000);
        assert_eq!(least_wait_ms(u32::MAX), i64::MAX, "SQS bounds it");
    }

    #[test]
    fn requests_shrink_with_each_attempt() {
        let sizes: Vec<usize> = (1..=8).map(|attempt| request_size(100, attempt)).collect();
        assert_eq!(sizes, [100, 50, 25, 12, 6, 3, 1, 1]);
        assert_eq!((request_size(1, 0), request_size(100, u32::MAX)), (1, 1));
    }
}
