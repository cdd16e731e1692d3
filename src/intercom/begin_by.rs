//! The time in which a write may begin.

use super::Intercom;
use super::transport::service::TransportError;
use crate::domain::clock::Clock;

/// The latest time at which a request may begin; by default there is none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BeginBy(Option<(Clock, i64)>);

impl BeginBy {
    /// Returns an error if the time is over.
    pub(super) fn check(self) -> Result<(), TransportError> {
        match self.0 {
            Some((clock, until_ms)) if clock.now_ms() > until_ms => Err(TransportError::TooLate),
            _ => Ok(()),
        }
    }
}

impl Intercom {
    /// Returns this client for a write that may not begin later than `until_ms` (Unix milliseconds),
    /// because its conditions were checked before. A request that waits longer is not sent: for a
    /// token, or for another token after a 401. See [`Error::TooLate`](super::Error::TooLate).
    #[must_use]
    pub fn beginning_by(&self, clock: Clock, until_ms: i64) -> Self {
        Self { begin_by: BeginBy(Some((clock, until_ms))), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};

    use super::*;
    use crate::domain::api::ApiVersion;
    use crate::domain::patch::{Change, Patch, Target};
    use crate::domain::user::UserId;
    use crate::intercom::{BaseUrl, Disposition, Token, TokenRequest, TokenService, Tokens, Transport, disposition};

    const OLDER: &str = "b2xkZXI";
    const NEWER: &str = "bmV3ZXI";

    /// Returns a client whose first token Intercom refuses, and the number of its requests. To read
    /// another token takes `reading`.
    fn client(version: &str, reading: Duration) -> (Intercom, Arc<AtomicUsize>) {
        let sent = Arc::new(AtomicUsize::new(0));
        let counted = sent.clone();
        let transport = tower::service_fn(move |request: Request<Bytes>| {
            counted.fetch_add(1, Ordering::Relaxed);
            let accepted = request.headers()["authorization"].to_str().is_ok_and(|header| header.ends_with(NEWER));
            let (status, body) = if accepted { (202, r#"{"id":"job_1","state":"running"}"#) } else { (401, "") };
            let response = Response::builder().status(status).body(Bytes::from(body)).unwrap();
            std::future::ready(Ok(response))
        });
        let tokens = tower::service_fn(move |asked| async move {
            let token = match asked {
                TokenRequest::Current => OLDER,
                TokenRequest::InsteadOf(_) | TokenRequest::Newest => {
                    tokio::time::sleep(reading).await;
                    NEWER
                }
            };
            Ok(Token::new(token.to_owned()).unwrap())
        });
        let (base_url, tokens) = (BaseUrl::parse("https://api.intercom.io"), TokenService::new(tokens));
        let version = ApiVersion::parse(version).unwrap();
        (Intercom::new(Transport::new(transport), base_url.unwrap(), Tokens::Service(tokens), version), sent)
    }

    #[tokio::test(start_paused = true)]
    async fn write_is_repeated_with_another_token_only_in_time() {
        let change = Change { target: Target::Attribute("a".into()), new: true.into(), replaced: None };
        let patch = Patch { user: UserId::new("5714dd359a3fd47136000001").unwrap(), changes: vec![change] };
        for (version, reading_ms, until_ms, requests) in [
            ("1.4", 900, 1_000, 2),
            ("1.4", 1_100, 1_000, 1),
            ("2.17", 900, 1_000, 2),
            ("2.17", 1_100, 1_000, 1),
            ("1.4", 0, -1, 0),
        ] {
            let (intercom, sent) = client(version, Duration::from_millis(reading_ms));
            let writer = intercom.beginning_by(Clock::starting_at(0), until_ms);
            let error = match version {
                "1.4" => writer.submit(std::slice::from_ref(&patch)).await.err(),
                _ => writer.write(&patch).await.err(),
            };
            assert_eq!(sent.load(Ordering::Relaxed), requests, "{version} {reading_ms}");
            let is_late = error.is_some_and(|error| disposition(&error) == Disposition::TooLate);
            assert_eq!(is_late, requests < 2, "{version} {reading_ms}");
        }
    }
}
