//! Requests that Intercom does not take for a reason that it does not name (5xx, no answer, "later"): whether that is an
//! outage, or one user in them whom Intercom cannot take.

/// Single users that are sent to find out whether Intercom takes any.
pub(super) const PROBES_MAX: u32 = 2;
/// Requests that fail one after the other, from which on an outage is more likely than users who share a fault. The halves
/// of a full request down to one user are eight.
const IN_A_ROW_MAX: u32 = 10;

/// How long a part rests after a request that failed, the first time and at most.
const REST_MS: i64 = 10_000;
const REST_MOST_MS: i64 = 300_000;
/// Each further rest is so many times as long.
const REST_GROWS: i64 = 4;
/// From this delivery on a rest takes an hour: the queue delivers a message 1,000 times, and a run may last 40 days.
const RARELY_FROM: u32 = 600;
const RARELY_MS: i64 = 3600 * 1000;

/// A request that failed, and what happened before it in this invocation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failing {
    /// Its users.
    pub(super) users: usize,
    /// Whether Intercom answered it.
    pub(super) answered: bool,
    /// Whether a request for the same parts was taken.
    pub(super) taken: bool,
    /// Users that were sent alone before anything was taken.
    pub(super) probes: u32,
    /// Whether users of the same parts are left to be sent.
    pub(super) others: bool,
    /// Requests that failed since the last one that was taken, this one included.
    pub(super) in_a_row: u32,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// An outage, as far as is known: the parts rest.
    Rest,
    /// Send one user alone: if that is taken, others of the request are at fault.
    Probe,
    /// Send each half.
    Halve,
    /// One user whom Intercom may be unable to take: tried once more after the others.
    Suspect,
}

/// Decides what a request that failed means. Nothing is split while an outage explains all that was seen.
pub(super) fn next(failing: Failing) -> Next {
    let Failing { users, answered, taken, probes, others, in_a_row } = failing;
    if in_a_row > IN_A_ROW_MAX {
        return Next::Rest;
    }
    match (taken, users) {
        (true, 1) => Next::Suspect,
        (true, _) => Next::Halve,
        // A request without an answer takes as long as the invocation has time for.
        (false, _) if !answered || probes >= PROBES_MAX => Next::Rest,
        (false, 1) if !others => Next::Rest,
        (false, _) => Next::Probe,
    }
}

/// How long a part rests that was delivered so often.
pub(super) fn rest_ms(receives: u32) -> i64 {
    if receives >= RARELY_FROM {
        return RARELY_MS;
    }
    REST_MS.saturating_mul(REST_GROWS.saturating_pow(receives.saturating_sub(1))).min(REST_MOST_MS)
}

/// The most users of a request at this attempt at a part: half as many at each, so that a part whose users cannot be told
/// apart within one invocation is in the end sent one by one.
pub(super) fn request_size(users: usize, attempt: u32) -> usize {
    (users >> attempt.saturating_sub(1).min(usize::BITS - 1)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_split_while_an_outage_explains_it() {
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
    fn rests_grow_and_outlast_a_run_s_deadline() {
        let rests: Vec<i64> = (1..=6).map(|receives| rest_ms(receives) / 1000).collect();
        assert_eq!(rests, [10, 40, 160, 300, 300, 300]);
        let (all_ms, day_ms) = ((1..1_000).map(rest_ms).sum::<i64>(), 24 * 3600 * 1000);
        assert!(all_ms > 14 * day_ms, "SQS keeps a message for 14 days, and these last {} hours", all_ms / 3_600_000);
    }

    #[test]
    fn requests_shrink_with_each_attempt_to_one_user() {
        let sizes: Vec<usize> = (1..=8).map(|attempt| request_size(100, attempt)).collect();
        assert_eq!(sizes, [100, 50, 25, 12, 6, 3, 1, 1]);
        assert_eq!((request_size(1, 0), request_size(100, u32::MAX)), (1, 1));
    }
}
