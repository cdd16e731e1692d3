//! The effects of a disturbed route on its requests.

use bytes::Bytes;
use http::Response;
use intercom_bulk::intercom::TransportError;

/// An answer of the route.
pub(crate) type Answer = Result<Response<Bytes>, TransportError>;

/// Numbers below 100 in a fixed order that looks random.
#[derive(Debug, Default)]
pub(crate) struct Lots(u64);

impl Lots {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % 100
    }
}

/// The effect on requests on a disturbed route.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Closed {
    /// They are not sent.
    Unsent,
    /// They may be sent, and have no answer.
    NoAnswer,
    /// Another program uses the whole limit.
    Limited,
    /// They have no answer, and are carried out this many seconds after they were sent.
    Late(u64),
    /// Intercom returns this count of users.
    Counts(u64),
    /// They pass, and the answer contains each user twice.
    Doubles,
    /// A proxy answers with this status.
    Answers(u16),
    /// Intercom answers that it has no such user.
    NoUser,
    /// A proxy answers with this status and an empty body.
    Bare(u16),
    /// A proxy answers so many percent of them with 503. The others pass.
    Busy(u64),
    /// Intercom refuses, and its headers state this limit.
    States(u32),
}

impl Closed {
    pub(crate) fn is_doubling(self) -> bool {
        matches!(self, Self::Doubles)
    }

    /// Returns whether the workspace gets the request.
    pub(crate) fn passes(self, lots: &mut Lots) -> bool {
        match self {
            Self::Doubles | Self::Late(_) => true,
            Self::Busy(percent) => lots.draw() >= percent,
            _ => false,
        }
    }

    pub(crate) fn answer(self) -> Answer {
        let error = r#"{"type":"error.list","errors":[{"code":"by_the_test","message":"closed by the test"}]}"#;
        let (status, body) = match self {
            Self::Unsent => return Err(TransportError::NotSent { source: "connection refused".into() }),
            Self::NoAnswer | Self::Doubles | Self::Late(_) => {
                return Err(TransportError::Unknown { source: "connection reset".into() });
            }
            Self::Limited => (429, error.to_owned()),
            Self::Counts(users) => {
                (200, serde_json::json!({"type": "count.hash", "user": {"count": users}}).to_string())
            }
            Self::Answers(status) => (status, error.to_owned()),
            Self::NoUser => {
                (404, error.replace("by_the_test", "not_found").replace("closed by the test", "User Not Found"))
            }
            Self::Bare(status) => (status, String::new()),
            Self::Busy(_) => (503, error.to_owned()),
            Self::States(_) => (403, error.to_owned()),
        };
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = status.try_into().unwrap();
        if let Self::States(limit) = self {
            // The reset names a window of long ago.
            for (name, value) in [("x-ratelimit-limit", limit), ("x-ratelimit-remaining", 0), ("x-ratelimit-reset", 1)]
            {
                answer.headers_mut().insert(name, value.into());
            }
        }
        Ok(answer)
    }
}
