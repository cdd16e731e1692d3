//! HTTP around the workspace: request bodies, response headers, and latency.

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::{Full, Limited};
use tokio::time::Instant;

use crate::chance;
use crate::limit::Rate;
use crate::route::Route;
use crate::user::Id;
use crate::version::{VERSION_HEADER, Version};
use crate::wire::{Answer, Content, RateHeaders};
use crate::workspace::Call;
use crate::world::World;

/// The largest accepted body.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;
/// Default number of users in an answer of the simulator's own list.
const USERS_LIMIT: usize = 1000;
/// `X-Intercom-Version` names the build of Intercom's servers, not the API version.
const BUILD: &str = "b0c1ae5f9d7c43f9a6f2e51c0d8f4c7a9be0d312";

/// Returns all routes. Those under `/_simulator` need no credentials and have no limits or latency.
pub(crate) fn router(world: World) -> Router {
    Router::new()
        .route("/_simulator/state", axum::routing::get(state))
        .route("/_simulator/users", axum::routing::get(users))
        .fallback(intercom)
        .with_state(world)
}

async fn state(State(world): State<World>) -> Response {
    axum::Json(world.state()).into_response()
}

async fn users(State(world): State<World>, Query(query): Query<HashMap<String, String>>) -> Response {
    let after = query.get("after").and_then(|id| Id::parse(id));
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(USERS_LIMIT);
    axum::Json(world.users_after(after, limit)).into_response()
}

async fn intercom(State(world): State<World>, request: Request) -> Response {
    let began = Instant::now();
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, BODY_LIMIT_BYTES).await.ok();
    let (answer, shared) = decide(&world, &parts, body);
    let delay = Duration::from_millis(world.options().latency_ms + answer.delay_ms);
    let response = respond(answer, &shared);
    // The time to create the answer is part of its latency.
    if !delay.is_zero() {
        world.timer().wait(began + delay).await;
    }
    response
}

/// The values that every answer carries.
struct Common {
    request_id: String,
    /// `None`: the answer does not name it.
    version: Option<&'static str>,
    rate: Rate,
}

fn decide(world: &World, parts: &Parts, body: Option<Bytes>) -> (Answer, Common) {
    let query = Query::try_from_uri(&parts.uri).map(|Query(query)| query).unwrap_or_default();
    let call = Call {
        path: parts.uri.path(),
        route: Route::of(&parts.method, parts.uri.path()),
        headers: &parts.headers,
        query,
        body,
        base_url: base_url(&parts.headers),
        version: Version::of(&parts.headers, world.options()),
    };
    let options = world.options();
    let now_ms = world.now_ms();
    let mut workspace = world.workspace();
    let answer = workspace.answer(&call, options, now_ms);
    let shared = Common {
        request_id: chance::request_id(&mut workspace.rng),
        version: options.contacts.version_named.then(|| call.version.unwrap_or(options.contacts.app_version).name()),
        rate: workspace.limit.rate(options),
    };
    (answer, shared)
}

/// Returns the base URL of links: the address that the request used.
fn base_url(headers: &HeaderMap) -> String {
    match headers.get(header::HOST).and_then(|host| host.to_str().ok()) {
        Some(host) => format!("http://{host}"),
        None => "https://api.intercom.io".to_owned(),
    }
}

fn respond(answer: Answer, shared: &Common) -> Response {
    let mut link = None;
    let body = match answer.content {
        Content::Json(body) => Body::from(body.to_string()),
        Content::Text(body) => Body::from(body),
        Content::Refused(refusal) => {
            link = refusal.link();
            Body::from(refusal.body(&shared.request_id).to_string())
        }
        Content::Empty => Body::empty(),
        Content::Lost => return Response::new(lost()),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if let Some(version) = shared.version {
        headers.insert(VERSION_HEADER, HeaderValue::from_static(version));
    }
    headers.insert("x-intercom-version", HeaderValue::from_static(BUILD));
    headers.insert("x-runtime", HeaderValue::from_static("0.042000"));
    if let Ok(request_id) = HeaderValue::from_str(&shared.request_id) {
        headers.insert("x-request-id", request_id);
    }
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        headers.insert(header::LINK, link);
    }
    if answer.rate_headers != RateHeaders::Missing {
        let remaining = if answer.rate_headers == RateHeaders::Spent { 0 } else { shared.rate.remaining };
        headers.insert("x-ratelimit-limit", shared.rate.limit.into());
        headers.insert("x-ratelimit-remaining", remaining.into());
        headers.insert("x-ratelimit-reset", shared.rate.reset_s.into());
    }
    response
}

/// Returns a body that fails when it is read, because it is longer than its limit. On a socket the
/// server closes the connection before it sends a byte. Without a socket the reader gets the error.
fn lost() -> Body {
    const LONGER_THAN_ALLOWED: &[u8] = b"lost";
    Body::new(Limited::new(Full::new(Bytes::from_static(LONGER_THAN_ALLOWED)), 1))
}
