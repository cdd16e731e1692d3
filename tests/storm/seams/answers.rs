//! Answers that are not the workspace's: a proxy's, and those to another token.

use bytes::Bytes;
use http::{Response, StatusCode};
use intercom_simulator::{Fault, RateReset};

use super::intercom::{FOREIGN, USERS, WHOSE};
use crate::accident::Accident;
use crate::storm::{Storm, Who};

/// Returns a proxy's answer instead of Intercom's.
pub(super) fn refusal(storm: &Storm) -> Option<Response<Bytes>> {
    let weather = &storm.weather;
    let (status, headers) = match () {
        () if weather.strikes(Accident::ServerError) => (502, false),
        () if weather.strikes(Accident::LimitedBare) => (429, false),
        () if weather.strikes(Accident::Limited) => (429, true),
        () => return None,
    };
    Some(refused(storm, status, headers))
}

/// Returns an answer with this status, with or without rate limit headers.
pub(super) fn refused(storm: &Storm, status: u16, headers: bool) -> Response<Bytes> {
    let limit = storm.story.options.rate_limit_per_10s;
    let late_s = if storm.story.options.rate_reset == RateReset::Late { 2 } else { 0 };
    let reset_s = (storm.now_ms().div_euclid(10_000) + 1) * 10 + late_s;
    let mut answer = Response::new(Bytes::from_static(b"{}"));
    *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
    if headers {
        for (name, value) in [("limit", i64::from(limit)), ("remaining", 0), ("reset", reset_s)] {
            let name = http::HeaderName::try_from(format!("x-ratelimit-{name}")).expect("a name in lower case");
            answer.headers_mut().insert(name, http::HeaderValue::from(value));
        }
    }
    answer
}

impl Storm {
    /// Returns the answer to a revoked or foreign token. A foreign one can only read whose it is.
    pub(super) fn another_answer(&self, who: Option<Who>, name: &str, is_taken: bool) -> Response<Bytes> {
        if is_taken {
            self.goes_to_another_workspace(who, name);
        }
        let (status, body) = match name {
            _ if !is_taken => (StatusCode::UNAUTHORIZED, "{}".to_owned()),
            WHOSE if self.story.options.faults.contains(&Fault::DenyMe) => (StatusCode::FORBIDDEN, "{}".to_owned()),
            _ if name == USERS[0] => (StatusCode::OK, format!(r#"{{"users":[{{"id":"a","app_id":"{FOREIGN}"}}]}}"#)),
            _ if name == USERS[1] => {
                let contact = format!(r#"{{"id":"a","workspace_id":"{FOREIGN}"}}"#);
                (StatusCode::OK, format!(r#"{{"type":"list","data":[{contact}],"total_count":1}}"#))
            }
            WHOSE => (StatusCode::OK, format!(r#"{{"type":"admin","app":{{"id_code":"{FOREIGN}"}}}}"#)),
            _ => (StatusCode::FORBIDDEN, "{}".to_owned()),
        };
        self.weather.note(|| format!("{name} → {status}, by its token"));
        let mut answer = Response::new(Bytes::from(body));
        *answer.status_mut() = status;
        answer
    }
}
