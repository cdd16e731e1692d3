//! The network between the client and Intercom.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use intercom_bulk::intercom::{ApiVersion, BaseUrl, Intercom, Token, Transport, TransportError};
use tower::ServiceExt;

use crate::accident::Accident;
use crate::await_point::Side;
use crate::storm::Storm;

/// The token of every story. It appears nowhere but in requests to Intercom.
pub(crate) const TOKEN: &str = "c3Rvcm06c2VjcmV0LXRva2Vu";
/// A slow answer, some of them slower than a page or a call may be.
const SLOW_MS: RangeInclusive<u64> = 3_000..=30_000;

/// A client of the story's workspace, with the weather in between.
pub(crate) fn client(storm: &Arc<Storm>) -> Intercom {
    let (storm, router) = (storm.clone(), storm.world.0.router());
    let transport = Transport::new(tower::service_fn(move |request: Request<Bytes>| {
        let (storm, router) = (storm.clone(), router.clone());
        async move { carry(&storm, router, request).await }
    }));
    let base_url = BaseUrl::parse("http://127.0.0.1:1").expect("loopback is taken");
    let token = Token::new(TOKEN.to_owned()).expect("it has the form of a token");
    Intercom::new(transport, base_url, token, ApiVersion::parse("1.4").expect("the version is known"))
}

/// Method and path without ids, as in `GET /jobs/{id}`.
fn name(request: &Request<Bytes>) -> String {
    let path = request.uri().path();
    let path = match path.split('/').nth(1) {
        Some("jobs") if path.ends_with("/error") => "/jobs/{id}/error",
        Some("jobs") => "/jobs/{id}",
        Some("users") if path.len() > 20 => "/users/{id}",
        _ => path,
    };
    format!("{} {path}", request.method())
}

async fn carry(
    storm: &Storm,
    router: axum::Router,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, TransportError> {
    let (who, weather) = (storm.current(), &storm.weather);
    let name = name(&request);
    // Before the process may freeze: what pays for a request it has decided by now.
    storm.charges(who, &name);
    storm.pass(who, &name, Side::Before).await;
    if weather.strikes(Accident::Unsent) {
        return Err(TransportError::NotSent { source: "connection refused".into() });
    }
    storm.promises.untold(who, &name);
    let _in_flight = storm.asks_intercom(who, &name, &request);
    storm.travel(&storm.story.transit_ms).await;
    if weather.strikes(Accident::LostBefore) {
        return Err(lost(storm, &name, "the request is lost"));
    }
    if let Some(answer) = refusal(storm) {
        weather.note(|| format!("{name} → {} by accident", answer.status()));
        storm.travel(&storm.story.transit_ms).await;
        return Ok(answer);
    }
    let before = storm.reaches_intercom(who, &name, &request).await;
    let body = request.body().clone();
    let response = router.oneshot(request.map(axum::body::Body::from)).await;
    let (parts, answer) = response.unwrap_or_else(|never| match never {}).into_parts();
    let collected = answer.collect().await.map(http_body_util::Collected::to_bytes);
    let whole = collected.as_ref().ok();
    weather.note(|| {
        format!(
            "#{} {name} → {}",
            who.unwrap_or_default(),
            whole.map_or("lost".to_owned(), |_| parts.status.to_string())
        )
    });
    let given = storm.answered_by_intercom(&name, &body, parts.status, whole, before);
    let Ok(answer) = collected else { return Err(lost(storm, &name, "the answer is lost by the workspace")) };
    if weather.strikes(Accident::LostAfter) {
        return Err(lost(storm, &name, "the answer is lost"));
    }
    if weather.strikes(Accident::SlowAnswer) {
        storm.travel(&SLOW_MS).await;
    }
    storm.travel(&storm.story.transit_ms).await;
    let garbled = weather.strikes(Accident::Garbled);
    if !garbled {
        storm.gave(who, given);
    }
    storm.pass(who, &name, Side::After).await;
    if !garbled && !parts.status.is_server_error() {
        storm.promises.told(who, &name);
    }
    let answer = if garbled { answer.slice(..answer.len() / 2) } else { answer };
    Ok(Response::from_parts(parts, answer))
}

fn lost(storm: &Storm, name: &str, why: &'static str) -> TransportError {
    storm.weather.note(|| format!("{name}: {why}"));
    TransportError::Unknown { source: why.into() }
}

/// An answer that somebody on the way gives in Intercom's place.
fn refusal(storm: &Storm) -> Option<Response<Bytes>> {
    let weather = &storm.weather;
    let (status, headers) = match () {
        () if weather.strikes(Accident::ServerError) => (StatusCode::BAD_GATEWAY, false),
        () if weather.strikes(Accident::LimitedBare) => (StatusCode::TOO_MANY_REQUESTS, false),
        () if weather.strikes(Accident::Limited) => (StatusCode::TOO_MANY_REQUESTS, true),
        () => return None,
    };
    let limit = storm.story.options.rate_limit_per_10s;
    let reset_s = (storm.now_ms().div_euclid(10_000) + 1) * 10;
    let mut answer = Response::new(Bytes::from_static(b"{}"));
    *answer.status_mut() = status;
    if headers {
        for (name, value) in [("limit", i64::from(limit)), ("remaining", 0), ("reset", reset_s)] {
            let name = http::HeaderName::try_from(format!("x-ratelimit-{name}")).expect("a name in lower case");
            answer.headers_mut().insert(name, http::HeaderValue::from(value));
        }
    }
    Some(answer)
}
