//! The simulated workspace behind the client's transport, without a socket, and Parameter Store.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use intercom_bulk::aws::ParameterError;
use intercom_bulk::domain::api::{Api, ApiSetting, ApiVersion};
use intercom_bulk::domain::clock::Clock;
use intercom_bulk::intercom::{BaseUrl, Intercom, Transport, TransportError};
use intercom_bulk::runtime::token::{ParameterReading, StoredToken};
use intercom_simulator::World;
use tokio::time::Instant;
use tower::ServiceExt;

pub(crate) use crate::closed::Closed;
use crate::closed::{Answer, Lots};

/// The token of these tests, unless a test replaces it.
pub(crate) const TOKEN: &str = "dG9rOjEyMzQ=";

/// The route to Intercom and to the token. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Way(Arc<Mutex<State>>);

struct State {
    /// The effect on requests whose method and path have this prefix, or are equal to it if `$` ends it.
    closed: Option<(&'static str, Closed)>,
    /// The token in Parameter Store; `None`: it does not answer.
    stored: Option<String>,
    /// Tokens that Intercom refuses.
    revoked: BTreeSet<String>,
    /// A token of another workspace, and that workspace.
    other: Option<(String, World)>,
    /// The version of the API that the client speaks, or `auto`.
    api: ApiSetting,
    /// The duration of a read of the token.
    reading: Duration,
    /// Requests that a disturbed route answered by itself.
    kept_away: u64,
    /// Decides which requests of a busy route pass.
    lots: Lots,
    /// The duration of each such answer.
    answering: Duration,
    /// The times of the requests that write one user.
    puts: Vec<Instant>,
}

impl Default for State {
    fn default() -> Self {
        let stored = Some(TOKEN.to_owned());
        Self {
            closed: None,
            stored,
            revoked: BTreeSet::new(),
            other: None,
            api: ApiVersion::newest(Api::V1).into(),
            reading: Duration::ZERO,
            kept_away: 0,
            lots: Lots::default(),
            answering: Duration::ZERO,
            puts: Vec::new(),
        }
    }
}

/// Returns whether a request is one of a disturbed route.
fn is_of(to: &str, request: &Request<Bytes>) -> bool {
    let line = format!("{} {}", request.method(), request.uri().path());
    to.strip_suffix('$').map_or_else(|| line.starts_with(to), |whole| line == whole)
}

impl Way {
    /// Returns a way whose client speaks this version of the API.
    pub(crate) fn of_version(version: &str) -> Self {
        let way = Self::default();
        way.speak(version);
        way
    }

    /// Makes each client that is created from now on speak this version of the API, or choose it.
    pub(crate) fn speak(&self, version: &str) {
        self.state().api = ApiSetting::parse(version).expect("the version is known");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on, requests with this prefix of method and path are not sent. `None`: all are
    /// sent.
    pub(crate) fn close(&self, to: Option<&'static str>) {
        self.state().closed = to.map(|to| (to, Closed::Unsent));
    }

    /// From now on, requests with this prefix of method and path have this effect.
    pub(crate) fn disturb(&self, to: &'static str, how: Closed) {
        self.state().closed = Some((to, how));
    }

    /// From now on, each answer of a disturbed route takes this long.
    pub(crate) fn answer_slowly(&self, answering: Duration) {
        self.state().answering = answering;
    }

    /// Stores a token in Parameter Store. `None`: it does not answer.
    pub(crate) fn store(&self, token: Option<&str>) {
        self.state().stored = token.map(ToOwned::to_owned);
    }

    /// Makes Intercom refuse this token from now on.
    pub(crate) fn revoke(&self, token: &str) {
        self.state().revoked.insert(token.to_owned());
    }

    /// Makes Intercom accept all tokens from now on.
    pub(crate) fn accept_all(&self) {
        self.state().revoked.clear();
    }

    /// From now on, each read of the token takes this long.
    pub(crate) fn read_slowly(&self, reading: Duration) {
        self.state().reading = reading;
    }

    /// Returns the number of requests that a disturbed route answered by itself.
    pub(crate) fn kept_away(&self) -> u64 {
        self.state().kept_away
    }

    /// Makes this token one of that workspace.
    pub(crate) fn lead(&self, token: &str, to: World) {
        self.state().other = Some((token.to_owned(), to));
    }

    /// Returns the times of the requests that write one user, with or without an answer.
    pub(crate) fn puts(&self) -> Vec<Instant> {
        self.state().puts.clone()
    }

    fn tokens(&self) -> StoredToken {
        let way = self.clone();
        let reading = tower::service_fn(move |_now_ms: i64| {
            let (stored, reading) = {
                let state = way.state();
                (state.stored.clone(), state.reading)
            };
            let error = || ParameterError::Refused { name: "t".into(), status: 500, code: "Throttling".into() };
            async move {
                tokio::time::sleep(reading).await;
                stored.ok_or_else(error)
            }
        });
        StoredToken::read_by("t".to_owned(), ParameterReading::new(reading), Clock::starting_at(0))
    }

    /// Returns whether the answer must contain each user twice.
    fn doubles(&self, request: &Request<Bytes>) -> bool {
        self.state().closed.is_some_and(|(to, how)| is_of(to, request) && how.is_doubling())
    }

    /// Returns the delay of a request that is carried out late.
    fn delays(&self, request: &Request<Bytes>) -> Option<Duration> {
        match self.state().closed {
            Some((to, Closed::Late(seconds))) if is_of(to, request) => Some(Duration::from_secs(seconds)),
            _ => None,
        }
    }

    /// Returns the route's own answer, or the workspace that gets the request.
    fn lead_to(&self, request: &Request<Bytes>, world: &World) -> Result<axum::Router, Box<Answer>> {
        let mut state = self.state();
        let token = request.headers()["authorization"].to_str().unwrap().trim_start_matches("Bearer ");
        if let Some((_, how)) = state.closed.filter(|(to, _)| is_of(to, request))
            && !how.passes(&mut state.lots)
        {
            state.kept_away += 1;
            return Err(Box::new(how.answer()));
        }
        if state.revoked.contains(token) {
            return Err(Box::new(Closed::Answers(401).answer()));
        }
        let other = state.other.as_ref().filter(|(of, _)| of == token);
        Ok(other.map_or(world, |(_, other)| other).router())
    }
}

/// Returns a client of this workspace. A truncated body is a lost answer, as on a socket.
pub(crate) fn client(world: &World, way: &Way) -> Intercom {
    let (world, tokens, way) = (world.clone(), way.tokens().tokens(), way.clone());
    let api = way.state().api;
    let transport = Transport::new(tower::service_fn(move |request: Request<Bytes>| {
        if request.method() == Method::PUT {
            way.state().puts.push(Instant::now());
        }
        let (led, doubles, late) = (way.lead_to(&request, &world), way.doubles(&request), way.delays(&request));
        let answering = way.state().answering;
        async move {
            let router = match led {
                Ok(router) => router,
                Err(answer) => {
                    if !answering.is_zero() {
                        tokio::time::sleep(answering).await;
                    }
                    return *answer;
                }
            };
            if let Some(late) = late {
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    router.oneshot(request.map(axum::body::Body::from)).await
                });
                return std::future::pending().await;
            }
            let response = router.oneshot(request.map(axum::body::Body::from)).await;
            let (parts, body) = response.unwrap_or_else(|never| match never {}).into_parts();
            match body.collect().await {
                Ok(body) if doubles => Ok(Response::from_parts(parts, doubled(&body.to_bytes()))),
                Ok(body) => Ok(Response::from_parts(parts, body.to_bytes())),
                Err(error) => Err(TransportError::Unknown { source: error.into() }),
            }
        }
    }));
    let base_url = BaseUrl::parse("http://127.0.0.1:1").expect("loopback is taken");
    Intercom::new(transport, base_url, tokens, api)
}

/// Returns a page with each of its users twice.
fn doubled(page: &Bytes) -> Bytes {
    let mut page: serde_json::Value = serde_json::from_slice(page).unwrap();
    if let Some(users) = page["users"].as_array_mut() {
        *users = users.iter().flat_map(|user| [user.clone(), user.clone()]).collect();
    }
    page.to_string().into()
}
