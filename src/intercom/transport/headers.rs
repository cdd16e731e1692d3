//! The headers of an answer: rate window, `Retry-After`, and request id.

use http::HeaderMap;

use crate::domain::redact::redact_to;

/// The value of an answer and its rate window.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply<T> {
    /// The value.
    pub value: T,
    /// The rate window, if the headers have it: Intercom leaves them out at times.
    pub rate: Option<Rate>,
}

/// The rate window of an answer: 10 seconds long, aligned to the clock (Intercom's documentation on
/// rate limiting).
///
/// Answers recorded in 2021 and fixtures of 2017 and 2018 differ in two points. `X-RateLimit-Reset`
/// is the window's end or 2 s later. `X-RateLimit-Remaining` does not count the request that it
/// answers: the first of a window shows the whole limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Operations per window, at least 1.
    pub limit: u32,
    /// Operations left in the window, at most `limit`.
    pub remaining: u32,
    /// `X-RateLimit-Reset`, in Unix seconds by Intercom's clock; see [`Self::window_end_s`].
    pub reset_at_s: i64,
}

/// The length of a window, in seconds.
const WINDOW_S: i64 = 10;

/// The most characters of a request id; Intercom's have 20 or 36.
const REQUEST_ID_CHARS_MAX: usize = 64;

/// The most characters of a version's name; the longest known one has 8.
const VERSION_CHARS_MAX: usize = 32;

impl Rate {
    /// Reads the three headers; `None` unless all three are plausible.
    pub(in crate::intercom) fn read(headers: &HeaderMap) -> Option<Self> {
        let limit: u32 = number(headers, "x-ratelimit-limit")?;
        let remaining: u32 = number(headers, "x-ratelimit-remaining")?;
        let reset_at_s: i64 = number(headers, "x-ratelimit-reset")?;
        let plausible = limit > 0 && reset_at_s > 0;
        plausible.then_some(Self { limit, remaining: remaining.min(limit), reset_at_s })
    }

    /// Returns the end of the window, in Unix seconds by Intercom's clock. Windows end at multiples
    /// of 10 s, and the header has that time or 2 s later.
    pub fn window_end_s(self) -> i64 {
        self.reset_at_s.div_euclid(WINDOW_S) * WINDOW_S
    }

    /// Returns the operations that Intercom counted in the window.
    pub fn used(self) -> u32 {
        self.limit.saturating_sub(self.remaining)
    }
}

/// Returns `Retry-After` in seconds. The date form is ignored, because it needs two clocks to
/// agree.
pub(in crate::intercom) fn retry_after_s(headers: &HeaderMap) -> Option<u64> {
    number(headers, "retry-after")
}

/// Returns `X-Request-Id`, for Intercom's support.
pub(in crate::intercom) fn request_id(headers: &HeaderMap) -> Option<Box<str>> {
    clean_request_id(text(headers, "x-request-id")?)
}

/// Returns `Intercom-Version`: the version of the API that served the request. `X-Intercom-Version` is
/// the build of Intercom's servers.
pub(in crate::intercom) fn served_by(headers: &HeaderMap) -> Option<Box<str>> {
    let name = redact_to(text(headers, "intercom-version")?, VERSION_CHARS_MAX);
    (!name.is_empty()).then(|| name.into())
}

/// Returns a request id that is safe in a log line.
pub(in crate::intercom) fn clean_request_id(id: &str) -> Option<Box<str>> {
    let id = redact_to(id, REQUEST_ID_CHARS_MAX);
    (!id.is_empty()).then(|| id.into())
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn number<T: std::str::FromStr>(headers: &HeaderMap, name: &str) -> Option<T> {
    text(headers, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn rate(limit: &'static str, remaining: &'static str, reset: &'static str) -> Option<Rate> {
        let [l, r, t] = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
        Rate::read(&headers(&[(l, limit), (r, remaining), (t, reset)]))
    }

    #[test]
    fn a_rate_is_read_whole_or_not_at_all() {
        let real = Rate { limit: 83, remaining: 0, reset_at_s: 1_522_849_880 };
        assert_eq!(rate("83", "0", "1522849880"), Some(real));
        assert_eq!(rate("83", "99", "1522849880"), Some(Rate { remaining: 83, ..real }));
        for (limit, remaining, reset) in [
            ("0", "0", "1522849880"),
            ("-1", "0", "1522849880"),
            ("83", "-1", "1522849880"),
            ("83", "0", "soon"),
            ("83", "0", "-5"),
            ("83", "0", ""),
            ("8.3", "0", "1522849880"),
            ("99999999999", "0", "1522849880"),
        ] {
            assert_eq!(rate(limit, remaining, reset), None, "{limit} {remaining} {reset}");
        }
        assert_eq!(Rate::read(&headers(&[("x-ratelimit-limit", "83")])), None);
    }

    #[test]
    fn both_forms_of_the_reset_name_one_window() {
        for (reset_at_s, end_s) in [(1_522_849_880, 1_522_849_880), (1_522_849_882, 1_522_849_880), (9, 0)] {
            assert_eq!(Rate { limit: 83, remaining: 0, reset_at_s }.window_end_s(), end_s);
        }
    }

    #[test]
    fn retry_after_is_seconds_and_a_date_is_ignored() {
        for (value, seconds) in
            [("7", Some(7)), ("0", Some(0)), ("-1", None), ("1.5", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
        {
            assert_eq!(retry_after_s(&headers(&[("retry-after", value)])), seconds, "{value}");
        }
    }

    #[test]
    fn a_request_id_is_bounded() {
        assert_eq!(clean_request_id("b2i3mhcboc6pcbe33q80").as_deref(), Some("b2i3mhcboc6pcbe33q80"));
        assert_eq!(clean_request_id(&"x".repeat(999)).map(|id| id.len()), Some(REQUEST_ID_CHARS_MAX));
        assert_eq!(clean_request_id(" "), None);
    }
}
