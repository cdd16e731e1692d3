//! Intercom's rate windows: 10 seconds long, aligned to Unix time.

/// Length of Intercom's rate windows, aligned to Unix time (documentation of the rate headers).
pub const WINDOW_MS: i64 = 10_000;
/// A request that starts this long before a window's end may be counted in either window.
pub const EDGE_MS: i64 = 250;
/// A request that starts this long after a window's start may be counted in the window before, if
/// our clock runs ahead of Intercom's. Amazon Time Sync keeps functions' clocks within 1 ms, NTP a
/// laptop's within tens of ms.
const LEAD_MS: i64 = 50;

/// Returns the end of the window that contains this time.
pub fn window_end_ms(now_ms: i64) -> i64 {
    (now_ms.div_euclid(WINDOW_MS) + 1) * WINDOW_MS
}

/// Returns whether a request at this time may be counted in the next window.
pub(super) fn at_edge(now_ms: i64) -> bool {
    window_end_ms(now_ms) - now_ms <= EDGE_MS
}

/// Returns how long a request at this time may still be counted in the window before, in
/// milliseconds.
pub(super) fn lead_ms(now_ms: i64) -> i64 {
    (LEAD_MS - now_ms.rem_euclid(WINDOW_MS)).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_aligned() {
        assert_eq!((window_end_ms(0), window_end_ms(9_999), window_end_ms(10_000)), (10_000, 10_000, 20_000));
    }

    #[test]
    fn a_windows_first_moments_may_count_in_the_previous_one() {
        assert_eq!([lead_ms(10_000), lead_ms(10_049), lead_ms(10_050), lead_ms(19_999)], [50, 1, 0, 0]);
    }

    #[test]
    fn a_windows_last_moments_may_count_in_the_next_one() {
        assert_eq!([9_749, 9_750, 9_999, 10_000].map(at_edge), [false, true, true, false]);
    }
}
