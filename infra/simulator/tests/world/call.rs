//! Sends one request and reads one answer.

use std::time::Duration;

use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Request};
use intercom_simulator::{Fault, Options, World};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Returns the status and the code of the first error.
    pub(crate) fn error(&self) -> (u16, &str) {
        (self.status, self.body["errors"][0]["code"].as_str().unwrap_or_default())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// Creates a world with these faults, on 1 December 2016 at 00:00:00.
pub(crate) fn world(faults: &[&str]) -> World {
    World::new(options(faults))
}

pub(crate) fn options(faults: &[&str]) -> Options {
    let faults: Vec<Fault> = faults.iter().map(|text| text.parse().unwrap()).collect();
    Options { faults, users: 250, started_at_s: Some(1_480_550_400), ..Options::default() }
}

pub(crate) fn request(method: &str, path: &str) -> Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer token")
        .header("accept", "application/json")
        .header("content-type", "application/json")
}

/// Sends a request. Returns `None` if the connection closes without an answer.
pub(crate) async fn send(world: &World, request: Request<Body>) -> Option<Answer> {
    let (parts, body) = world.router().oneshot(request).await.unwrap().into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.ok()?;
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Some(Answer { status: parts.status.as_u16(), headers: parts.headers, body })
}

pub(crate) async fn try_get(world: &World, path: &str) -> Option<Answer> {
    send(world, request("GET", path).body(Body::empty()).unwrap()).await
}

pub(crate) async fn get(world: &World, path: &str) -> Answer {
    try_get(world, path).await.expect("an answer")
}

pub(crate) async fn try_post(world: &World, path: &str, body: &Value) -> Option<Answer> {
    send(world, request("POST", path).body(Body::from(body.to_string())).unwrap()).await
}

pub(crate) async fn post(world: &World, path: &str, body: &Value) -> Answer {
    try_post(world, path, body).await.expect("an answer")
}

/// Returns a bulk request that posts these data.
pub(crate) fn items(data: &[Value]) -> Value {
    let items: Vec<Value> =
        data.iter().map(|data| json!({"method": "post", "data_type": "user", "data": data})).collect();
    json!({ "items": items })
}

/// Posts the data, waits until they are applied, and returns the feed's errors as (code, message).
pub(crate) async fn outcome(world: &World, data: &[Value]) -> Vec<(String, String)> {
    let job = post(world, "/bulk/users", &items(data)).await;
    assert_eq!(job.status, 202, "{:?}", job.body);
    pass(3).await;
    let feed = get(world, &format!("/jobs/{}/error", job.body["id"].as_str().unwrap())).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let errors = feed.body["items"].as_array().unwrap().iter().map(|item| &item["error"]);
    errors.map(|error| (text(&error["code"]), text(&error["message"]))).collect()
}

/// Advances time.
pub(crate) async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

/// Returns the id of the n-th user.
pub(crate) fn id(world: &World, number: usize) -> String {
    world.users()[number]["id"].as_str().unwrap().to_owned()
}

/// Returns the ids of a page.
pub(crate) fn ids(page: &Value) -> Vec<String> {
    page["users"].as_array().unwrap().iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
}
