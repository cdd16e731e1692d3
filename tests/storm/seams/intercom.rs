//! The network between the client and Intercom.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use intercom_bulk::aws::ParameterError;
use intercom_bulk::domain::clock::Clock;
use intercom_bulk::intercom::{BaseUrl, Intercom, Transport, TransportError};
use intercom_bulk::runtime::token::{ParameterReading, StoredToken};

use crate::accident::Accident;
use crate::asked::{Asked, Kind};
use crate::await_point::Side;
use crate::outage::Way;
use crate::seams::answers::{refusal, refused};
use crate::seams::effect::carried_out;
use crate::seams::late::{Late, LateRequest};
use crate::storm::Storm;

/// The prefix of each token, before a number. Tokens appear only in requests to Intercom.
pub(crate) const TOKEN: &str = "c3Rvcm06c2VjcmV0LXRva2Vu";
/// The duration of a slow answer: it may exceed the limit of a page or a call.
const SLOW_MS: RangeInclusive<u64> = 3_000..=30_000;

/// The id of a foreign token's workspace.
pub(crate) const FOREIGN: &str = "foreign0";
/// The request for a token's workspace.
pub(crate) const WHOSE: &str = "GET /me";
/// The request for a user of a token that may not request its workspace.
pub(crate) const USERS: [&str; 2] = ["GET /users", "GET /contacts?per_page=1"];

/// Returns the token of one process, from the story's Parameter Store.
pub(crate) fn token(storm: &Arc<Storm>) -> StoredToken {
    let reading = {
        let storm = storm.clone();
        tower::service_fn(move |_now_ms: i64| {
            let storm = storm.clone();
            async move {
                storm.travel(&storm.story.aws_ms).await;
                let down =
                    || ParameterError::Refused { name: "t".into(), status: 500, code: "InternalServerError".into() };
                let token = storm.stored_token().ok_or_else(down);
                storm.weather.note(|| format!("the token is read: {}", token.is_ok()));
                token
            }
        })
    };
    StoredToken::read_by("t".to_owned(), ParameterReading::new(reading), Clock::starting_at(storm.now_ms()))
}

impl Storm {
    /// Returns the number of replacements so far.
    fn replaced(&self) -> usize {
        let now = self.weather.elapsed();
        self.story.tokens.iter().filter(|token| token.after <= now).count()
    }

    /// Returns Parameter Store's answer: the latest token.
    fn stored_token(&self) -> Option<String> {
        let now = self.weather.elapsed();
        let down = self.story.store_down.is_some_and(|(from, lasts)| (from..from + lasts).contains(&now));
        (!down).then(|| format!("{TOKEN}{}", self.replaced()))
    }

    /// Returns whether Intercom accepts this token, and whether it is of another workspace.
    fn stands(&self, request: &Request<Bytes>) -> (bool, bool) {
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let number: usize = header.rsplit(TOKEN).next().and_then(|number| number.parse().ok()).unwrap_or(usize::MAX);
        let tokens = &self.story.tokens;
        let revoked = tokens.get(number).is_some_and(|by| by.after + by.revoked_after <= self.weather.elapsed());
        let is_foreign = number.checked_sub(1).and_then(|at| tokens.get(at)).is_some_and(|token| token.is_foreign);
        (!revoked, is_foreign)
    }
}

/// Returns a client of the story's workspace behind the weather.
pub(crate) fn client(storm: &Arc<Storm>, token: &StoredToken) -> Intercom {
    let (storm, router, api) = (storm.clone(), storm.world.0.router(), storm.story.api);
    let transport = Transport::new(tower::service_fn(move |request: Request<Bytes>| {
        let (storm, router) = (storm.clone(), router.clone());
        async move { carry(&storm, router, request).await }
    }));
    let base_url = BaseUrl::parse("http://127.0.0.1:1").expect("loopback is taken");
    Intercom::new(transport, base_url, token.tokens(), api)
}

/// Carries a request, and notes whether a request for one user alone brought a usable answer.
async fn carry(
    storm: &Arc<Storm>,
    router: axum::Router,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    let request = storm.of_smaller_pages(request);
    let asked = Asked::of(&request);
    // The client may not wait for the answer.
    if let Some(user) = asked.only() {
        storm.promises.asks_alone(user);
    }
    let minute = storm.keeps_the_pace(storm.current(), &asked);
    let answer = carried(storm, router, &asked, request).await;
    if let Some(minute) = minute.filter(|_| has_no_effect(&answer)) {
        storm.had_no_effect(&minute, &asked);
    }
    let is_usable = match &answer {
        Ok(answer) => {
            !answer.status().is_server_error() && serde_json::from_slice::<serde::de::IgnoredAny>(answer.body()).is_ok()
        }
        Err(error) => matches!(error, TransportError::NotSent { .. }),
    };
    if let Some(user) = asked.only().filter(|_| is_usable) {
        storm.promises.answered_alone(user);
    }
    answer
}

/// Returns whether the process knows that its request was not carried out, and sends it again.
fn has_no_effect(answer: &Result<Response<Bytes>, TransportError>) -> bool {
    match answer {
        Ok(answer) => match answer.status() {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED => true,
            status if status.is_client_error() => {
                let text = String::from_utf8_lossy(answer.body());
                ["rate_limit_exceeded", "is closed for new task updates"].iter().any(|why| text.contains(why))
            }
            _ => false,
        },
        Err(error) => matches!(error, TransportError::NotSent { .. }),
    }
}

async fn carried(
    storm: &Arc<Storm>,
    router: axum::Router,
    asked: &Asked,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    let (who, weather, name) = (storm.current(), &storm.weather, asked.name.as_str());
    // Before a possible freeze: the process has decided by now which permit pays for a request.
    let begun = storm.begins(who, asked);
    storm.is_paid_in_its_window(who, asked);
    storm.charges(who, asked);
    storm.ends_before_its_lease(who, asked);
    storm.pass(who, name, Side::Before).await;
    let fails = storm.fails(who, asked);
    if fails == Some(Way::Unsent) || weather.strikes(Accident::Unsent) {
        return Err(TransportError::NotSent { source: "connection refused".into() });
    }
    storm.promises.unreported(who, asked);
    let _in_flight = storm.asks_intercom(who, asked, &request);
    storm.travel(&storm.story.transit_ms).await;
    if fails == Some(Way::Lost) || weather.strikes(Accident::LostBefore) {
        return Err(lost(storm, name, "the request is lost"));
    }
    let uncounted = storm.story.uncounted && name == "GET /counts";
    let refused = match fails {
        Some(Way::Answered(status)) => Some(refused(storm, status, status == 429)),
        _ if uncounted => Some(refused(storm, 403, false)),
        _ => refusal(storm),
    };
    if let Some(answer) = refused {
        weather.note(|| format!("{name} → {} by accident", answer.status()));
        storm.travel(&storm.story.transit_ms).await;
        return Ok(answer);
    }
    let (is_taken, is_foreign) = storm.stands(&request);
    if !is_taken || is_foreign {
        let answer = storm.another_answer(who, name, is_taken);
        if !is_taken {
            storm.token_was_refused(who);
        }
        storm.travel(&storm.story.transit_ms).await;
        storm.promises.told(who, asked);
        return Ok(answer);
    }
    let before = storm.reaches_intercom(who, asked, begun).await;
    if asked.is_write() && weather.strikes(Accident::LateEffect) {
        let _late = Late::new(storm, LateRequest { asked: asked.clone(), router, request, before });
        return std::future::pending().await;
    }
    let (parts, collected) = carried_out(storm, asked, &before, router, request).await;
    let whole = collected.as_ref().ok();
    weather.note(|| {
        let of = asked.alone().filter(|_| asked.kind == Kind::Put).unwrap_or_default();
        let status = whole.map_or("lost".to_owned(), |_| parts.status.to_string());
        format!("#{} {name} {of}→ {status}", who.unwrap_or_default())
    });
    let given = storm.answered_by_intercom(asked, parts.status, whole, &before);
    let Ok(answer) = collected else { return Err(lost(storm, name, "the answer is lost by the workspace")) };
    if weather.strikes(Accident::LostAfter) {
        return Err(lost(storm, name, "the answer is lost"));
    }
    if weather.strikes(Accident::SlowAnswer) {
        storm.travel(&SLOW_MS).await;
    }
    storm.travel(&storm.story.transit_ms).await;
    let garbled = weather.strikes(Accident::Garbled);
    if !garbled {
        storm.gave(who, given);
    }
    storm.limit_was_told(who, &parts.headers);
    if parts.status == StatusCode::UNAUTHORIZED {
        storm.refusal_is_not_counted(asked);
        storm.token_was_refused(who);
    }
    storm.pass(who, name, Side::After).await;
    let is_readable = !parts.status.is_success() || !answer.is_empty();
    if !garbled && is_readable && !parts.status.is_server_error() {
        storm.promises.told(who, asked);
        storm.promises.was_answered(who, asked, &before, parts.status, &answer);
    }
    let answer = if garbled { answer.slice(..answer.len() / 2) } else { answer };
    Ok(Response::from_parts(parts, answer))
}

fn lost(storm: &Storm, name: &str, why: &'static str) -> TransportError {
    storm.weather.note(|| format!("{name}: {why}"));
    TransportError::Unknown { source: why.into() }
}
