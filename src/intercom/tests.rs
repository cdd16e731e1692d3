//! The client with a closure as its transport; `transport/tests.rs` uses real sockets.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use serde_json::{Value, json};

use super::*;
use crate::domain::api::Submitted;
use crate::domain::job::JobId;
use crate::domain::patch::{Change, Patch, Target};

mod disclosure;

const TOKEN: &str = "dG9rOnMzY3JldA";

fn client(transport: Transport) -> Intercom {
    Intercom::new(
        transport,
        BaseUrl::parse("https://api.intercom.io").unwrap(),
        Token::new(TOKEN.into()).unwrap(),
        ApiVersion::newest(Api::V1),
    )
}

/// Returns a client with this answer to every call, and the requests it sends.
fn answering(status: u16, headers: &[(&str, &str)], body: &str) -> (Intercom, Arc<Mutex<Vec<Request<Bytes>>>>) {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let response = response.body(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let transport = tower::service_fn(move |request| {
        seen.lock().unwrap().push(request);
        std::future::ready(Ok(response.clone()))
    });
    (client(Transport::new(transport)), requests)
}

fn after(param: &str) -> Position {
    Position::Scroll { param: param.to_owned() }
}

fn user_id() -> UserId {
    UserId::new("5714dd359a3fd47136000001").unwrap()
}

fn patch() -> Patch {
    let change = Change { target: Target::Attribute("has avatar".into()), new: json!(false), replaced: None };
    Patch { user: user_id(), changes: vec![change] }
}

#[tokio::test]
async fn a_truncated_refusal_is_ambiguous() {
    let json = [("content-type", "application/json; charset=utf-8")];
    let cut = r#"{"type": "error.list", "errors": [{"code": "parame"#;
    // A 403 may be about a permission, the plan, the rate limit or another job.
    for status in [400, 403, 404, 422] {
        let error = answering(status, &json, cut).0.submit(&[patch()]).await.unwrap_err();
        assert_eq!(disposition(&error), Disposition::Ambiguous, "{status}");
    }
    let denied = answering(401, &json, cut).0.submit(&[patch()]).await.unwrap_err();
    assert_eq!(disposition(&denied), Disposition::RunFault, "the status says it all");
    let html = answering(400, &[("content-type", "text/html")], "<html>").0.submit(&[patch()]).await.unwrap_err();
    assert_eq!(disposition(&html), Disposition::RunFault);
}

#[tokio::test]
async fn every_request_carries_the_same_headers() {
    let (intercom, requests) = answering(500, &[], "");
    let job = JobId::new("job_1").unwrap();
    let _ = intercom.page(&after("25b649f7"), &Projection::Whole, CALL_TIMEOUT).await;
    let _ =
        (intercom.user(&user_id(), CALL_TIMEOUT).await, intercom.submit(&[patch()]).await, intercom.job(&job).await);
    let _ = (intercom.job_errors(&job, 2).await, intercom.count_users(CALL_TIMEOUT).await, intercom.workspace().await);
    let requests = requests.lock().unwrap();
    assert_eq!(requests.len(), 7, "each call is sent once, even after a 500");
    for request in &*requests {
        let headers = request.headers();
        assert_eq!(headers["authorization"], format!("Bearer {TOKEN}"));
        assert!(headers["authorization"].is_sensitive());
        assert_eq!(headers["accept"], "application/json");
        assert_eq!(headers["intercom-version"], "1.4");
        assert_eq!(headers["cache-control"], "no-cache, no-store");
        assert_eq!(request.uri().host(), Some("api.intercom.io"));
    }
}

#[tokio::test]
async fn a_submission_posts_json_and_returns_the_job() {
    let (intercom, requests) =
        answering(202, &[], r#"{"id":"job_v2_c5e0b20a_895d","created_at":1475494652,"state":"running"}"#);
    let id = JobId::new("job_v2_c5e0b20a_895d").unwrap();
    let submitted = intercom.submit(&[patch()]).await.unwrap().value;
    assert_eq!(submitted, Submitted::Job { id, created_at_s: Some(1_475_494_652) });
    let requests = requests.lock().unwrap();
    assert_eq!((requests[0].method().as_str(), requests[0].uri().path()), ("POST", "/bulk/users"));
    assert_eq!(requests[0].headers()["content-type"], "application/json");
    let body: Value = serde_json::from_slice(requests[0].body()).unwrap();
    assert_eq!(body["items"][0]["data"]["custom_attributes"]["has avatar"], json!(false));
}

#[tokio::test]
async fn invalid_patches_are_not_sent() {
    let (intercom, requests) = answering(202, &[], r#"{"id":"job_1"}"#);
    let error = intercom.submit(&vec![patch(); 101]).await.unwrap_err();
    assert!(matches!(error, Error::Invalid { reason: Invalid::TooManyPatches { count: 101 }, .. }), "{error}");
    assert!(requests.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_rate_comes_with_success_and_with_failure() {
    let headers = [("x-ratelimit-limit", "83"), ("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "1522849880")];
    let rate = Some(Rate { limit: 83, remaining: 5, reset_at_s: 1_522_849_880 });
    let (intercom, _) = answering(200, &headers, r#"{"users":[]}"#);
    assert_eq!(intercom.page(&Position::First, &Projection::Whole, CALL_TIMEOUT).await.unwrap().rate, rate);
    let (intercom, _) = answering(429, &headers, "");
    assert_eq!(intercom.page(&Position::First, &Projection::Whole, CALL_TIMEOUT).await.unwrap_err().rate(), rate);
    let (intercom, _) = answering(200, &headers, "");
    let error = intercom.page(&Position::First, &Projection::Whole, CALL_TIMEOUT).await.unwrap_err();
    assert!(matches!(error, Error::Unknown { .. }), "an empty 200 is no answer: {error}");
    assert_eq!(error.rate(), rate);
}

#[tokio::test]
async fn a_refused_user_has_a_reason_and_a_missing_api_is_an_error() {
    let missing = r#"{"type":"error.list","errors":[{"code":"not_found","message":"User Not Found"}]}"#;
    let (intercom, _) = answering(404, &[], missing);
    let reason = intercom.user(&user_id(), CALL_TIMEOUT).await.unwrap().value.unwrap_err();
    assert!(
        reason.is_unknown && reason.is_gone && reason.said.contains("404 not_found \"User Not Found\""),
        "{reason:?}"
    );
    for (status, code) in [(410, "contact_merged"), (400, "parameter_invalid"), (422, "of_tomorrow")] {
        let body = json!({"errors": [{"code": code, "message": "so"}]}).to_string();
        let (intercom, _) = answering(status, &[], &body);
        let reason = intercom.user(&user_id(), CALL_TIMEOUT).await.unwrap().value.unwrap_err();
        assert_eq!((reason.code.as_str(), reason.is_unknown, reason.is_gone), (code, false, status == 410));
    }
    for status in [401, 403, 500] {
        let (intercom, _) = answering(status, &[], missing);
        assert!(intercom.user(&user_id(), CALL_TIMEOUT).await.is_err(), "{status} says nothing of the user");
    }
    let (intercom, _) = answering(404, &[], "<html>Not Found</html>");
    assert_eq!(intercom.user(&user_id(), CALL_TIMEOUT).await.unwrap_err().status(), Some(404));
}

#[tokio::test]
async fn an_answer_about_another_job_is_unreadable() {
    let (intercom, _) = answering(200, &[], r#"{"id":"job_2","tasks":[{"state":"completed"}]}"#);
    let error = intercom.job(&JobId::new("job_1").unwrap()).await.unwrap_err();
    assert_eq!(disposition(&error), Disposition::Ambiguous);
}

#[tokio::test]
async fn a_redirect_is_a_refusal() {
    let (intercom, requests) = answering(302, &[("location", "https://evil.example/")], "");
    let error = intercom.workspace().await.unwrap_err();
    assert_eq!((error.status(), disposition(&error)), (Some(302), Disposition::RunFault));
    assert_eq!(requests.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_time_out_is_unknown() {
    let transport = tower::service_fn(|_| std::future::pending());
    let error = client(Transport::new(transport))
        .page(&Position::First, &Projection::Whole, Duration::from_millis(20))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unknown { lost: Lost::TimedOut { .. }, .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_accepts_and_is_silent_is_unknown_too() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = BaseUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let transport = over_https(Duration::from_secs(5)).unwrap();
    let intercom = Intercom::new(transport, base_url, Token::new(TOKEN.into()).unwrap(), ApiVersion::newest(Api::V1));
    let error = intercom.page(&Position::First, &Projection::Whole, Duration::from_millis(150)).await.unwrap_err();
    assert_eq!(disposition(&error), Disposition::Ambiguous, "{error}");
}

#[tokio::test]
async fn requests_carry_their_cost() {
    let (intercom, requests) = answering(202, &[], r#"{"id":"job_1","state":"running"}"#);
    intercom.submit(&vec![patch(); 7]).await.unwrap();
    intercom.job(&JobId::new("job_1").unwrap()).await.unwrap();
    let costs = requests.lock().unwrap().iter().map(|request| request.extensions().get().copied()).collect::<Vec<_>>();
    assert_eq!(costs, [Some(Operations(7)), Some(Operations(1))]);
}

/// If a layer writes to a slow ledger within the time-out, the answer is lost with its page.
#[tokio::test(start_paused = true)]
async fn work_of_a_layer_outlasts_the_timeout() {
    let transport = tower::service_fn(|_: Request<Bytes>| async {
        let mut response = Response::new(Bytes::from_static(br#"{"users":[]}"#));
        let work = tokio::time::sleep(Duration::from_mins(1));
        response.extensions_mut().insert(AfterAnswer::new(work));
        Ok(response)
    });
    let begun = tokio::time::Instant::now();
    let page =
        client(Transport::new(transport)).page(&Position::First, &Projection::Whole, Duration::from_secs(1)).await;
    assert!(page.is_ok(), "{page:?}");
    assert_eq!(begun.elapsed().as_secs(), 60);
}

/// A 401 may be a missing permission.
#[tokio::test]
async fn token_that_is_refused_its_users_has_no_workspace() {
    for status in [401, 403] {
        let (intercom, _) = answering(status, &[], "");
        assert_eq!(intercom.ask_whose(CALL_TIMEOUT, 0).await.unwrap().value, Whose::Refused);
        assert_eq!(intercom.whose(0).await.unwrap(), Known::NotByItself, "the users are requested next");
        assert_eq!(intercom.ask_users_whose(CALL_TIMEOUT, 0).await.unwrap().value, Whose::Refused);
        assert_eq!(intercom.whose(0).await.unwrap(), Known::Answer(Whose::Refused));
    }
}
