//! The report of an answer about the rate limit, for a layer of the transport.

use bytes::Bytes;
use http::Response;

use super::call::answer;
use super::headers::{Rate, retry_after_s};
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
    /// `Retry-After` in seconds, if the answer has it.
    pub retry_after_s: Option<u64>,
}

impl RateReport {
    /// Reads an answer.
    pub fn read(response: &Response<Bytes>) -> Self {
        // The disposition that speaks of the rate limit is the same on every route.
        let refusal = answer("", response, |_| Ok(())).err();
        let is_limited = refusal.is_some_and(|error| disposition(&error) == Disposition::Limited);
        let limited = is_limited.then(|| Limited { retry_after_s: retry_after_s(response.headers()) });
        Self { rate: Rate::read(response.headers()), limited }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { limit: 83, remaining: 0, reset_at_s: 1_522_849_880 };

    fn answered(status: u16, headers: &[(&'static str, &str)], body: &'static str) -> RateReport {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        RateReport::read(&response.body(Bytes::from_static(body.as_bytes())).unwrap())
    }

    #[test]
    fn an_answer_reports_its_window_and_a_refusal_its_wait() {
        let window = [("x-ratelimit-limit", "83"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1522849880")];
        let limit_code = r#"{"errors":[{"code":"rate_limit_exceeded"}]}"#;
        let limited = |retry_after_s| Some(Limited { retry_after_s });
        for (status, headers, body, rate, refused) in [
            (200, &window[..], "{}", Some(RATE), None),
            (200, &[][..], "not JSON", None, None),
            (429, &[], "", None, limited(None)),
            (429, &window, "{}", Some(RATE), limited(None)),
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
