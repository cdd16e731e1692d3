//! The report of an answer about the rate limit, for a layer of the transport.

use bytes::Bytes;
use http::Response;

use super::call::answer;
use super::headers::Rate;
use super::retry::{Disposition, disposition};

/// The report of an answer about the rate limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateReport {
    /// The window, if the headers describe it.
    pub rate: Option<Rate>,
    /// Present if Intercom refused the request because of the rate limit.
    pub limited: Option<Limited>,
}

/// A refusal because of the rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// The requested wait in seconds, if the answer states one.
    pub wait_s: Option<u64>,
}

impl RateReport {
    /// Reads an answer. `now_s` is the caller's time in Unix seconds.
    pub fn read(response: &Response<Bytes>, now_s: i64) -> Self {
        // The disposition that speaks of the rate limit is the same on every route.
        let refusal = answer("", response, |_| Ok(())).err();
        let limited = refusal.and_then(|error| match disposition(&error, now_s) {
            Disposition::Limited { wait_s } => Some(Limited { wait_s }),
            _ => None,
        });
        Self { rate: Rate::read(response.headers()), limited }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: i64 = 1_522_849_871;
    const RATE: Rate = Rate { limit: 83, remaining: 0, reset_at_s: 1_522_849_880 };

    fn answered(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> RateReport {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        RateReport::read(&response.body(Bytes::from_static(body.as_bytes())).unwrap(), NOW_S)
    }

    #[test]
    fn an_answer_reports_its_window_and_a_refusal_its_wait() {
        let window = [("x-ratelimit-limit", "83"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1522849880")];
        let limit_code = r#"{"errors":[{"code":"rate_limit_exceeded"}]}"#;
        let limited = |wait_s| Some(Limited { wait_s });
        for (status, headers, body, rate, refused) in [
            (200, &window[..], "{}", Some(RATE), None),
            (200, &[][..], "not JSON", None, None),
            (429, &[], "", None, limited(None)),
            (429, &window, "{}", Some(RATE), limited(Some(9))),
            (429, &[("retry-after", "300")], "{}", None, limited(Some(300))),
            (403, &[], limit_code, None, limited(None)),
            (404, &window, "{}", Some(RATE), None),
            (500, &window, limit_code, Some(RATE), None),
        ] {
            let expected = RateReport { rate, limited: refused };
            assert_eq!(answered(status, headers, body), expected, "{status} {headers:?} {body}");
        }
    }
}
