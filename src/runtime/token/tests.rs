//! Tests the token with a loopback server in place of Parameter Store and a closure in place of
//! Intercom.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;
use tokio::time::{advance, pause, resume};

use super::*;
use crate::aws::tests::{Cloud, secure};
use crate::domain::api::{Api, ApiVersion};
use crate::intercom::{BaseUrl, Intercom, Transport, TransportError};

const NOW_MS: i64 = 1_479_981_900_000;

#[test]
fn token_has_exactly_one_source() {
    let only = |name: &'static str| move |asked: &str| (asked == name).then(|| "/bulk/token".to_owned());
    let read = |name| TokenFrom::read(only(name)).unwrap();
    assert!(matches!(read("INTERCOM_TOKEN"), TokenFrom::Here(_)));
    assert!(matches!(read("INTERCOM_TOKEN_PARAMETER"), TokenFrom::Parameter(name) if name == "/bulk/token"));
    let both = TokenFrom::read(|asked| asked.starts_with("INTERCOM_TOKEN").then(|| "s3cret".to_owned()));
    let error = both.unwrap_err().to_string();
    assert!(error.contains("both") && !error.contains("s3cret"), "{error}");
}

async fn stored(cloud: &Cloud) -> (StoredToken, Clock) {
    let clock = Clock::starting_at(NOW_MS);
    (StoredToken::new(Parameter::new(cloud.serve().await, "/bulk/token".to_owned()), clock), clock)
}

/// Advances the clocks. Sockets keep working in real time.
async fn pass(minutes: u64) {
    pause();
    advance(Duration::from_mins(minutes)).await;
    resume();
}

/// Returns a client of an Intercom that accepts only this token.
fn intercom(stored: &StoredToken, takes: &'static str) -> Intercom {
    let answer = move |request: Request<Bytes>| {
        let good = request.headers()["authorization"].to_str().unwrap() == format!("Bearer {takes}");
        let (status, body) = if good { (200, r#"{"type":"admin","app":{"id_code":"abc"}}"#) } else { (401, "{}") };
        let response = Response::builder().status(status).body(Bytes::from_static(body.as_bytes())).unwrap();
        std::future::ready(Ok::<_, TransportError>(response))
    };
    Intercom::new(
        Transport::new(tower::service_fn(answer)),
        BaseUrl::parse("https://api.intercom.io").unwrap(),
        stored.tokens(),
        ApiVersion::newest(Api::V1),
    )
}

#[tokio::test]
async fn token_is_read_once_and_again_when_it_is_old() {
    let cloud = Cloud::default();
    cloud.answers(&[secure("first"), secure("second")]);
    let (stored, clock) = stored(&cloud).await;
    for _ in 0..3 {
        stored.ready(clock).await.unwrap();
        assert!(intercom(&stored, "first").workspace().await.is_ok());
    }
    assert_eq!(cloud.calls(), 1);
    pass(4).await;
    stored.ready(clock).await.unwrap();
    assert_eq!(cloud.calls(), 1);
    pass(1).await;
    stored.ready(clock).await.unwrap();
    assert_eq!(cloud.calls(), 2);
    assert!(intercom(&stored, "second").workspace().await.is_ok());
}

#[tokio::test]
async fn refused_token_is_read_again_and_the_request_succeeds() {
    let cloud = Cloud::default();
    cloud.answers(&[secure("old"), secure("new")]);
    let (stored, clock) = stored(&cloud).await;
    stored.ready(clock).await.unwrap();
    let intercom = intercom(&stored, "new");
    assert!(intercom.workspace().await.is_ok(), "a replaced token does not fail the run");
    assert!(intercom.workspace().await.is_ok());
    assert_eq!(cloud.calls(), 2);
}

/// The token is replaced twice in a row, and each old token is revoked immediately.
#[tokio::test]
async fn token_replaced_during_the_read_is_read_again() {
    let cloud = Cloud::default();
    cloud.answers(&[secure("first"), secure("second"), secure("third")]);
    let (stored, clock) = stored(&cloud).await;
    stored.ready(clock).await.unwrap();
    assert!(intercom(&stored, "third").workspace().await.is_ok());
    assert_eq!(cloud.calls(), 3);
}

/// The token may have been replaced, and Intercom has executed nothing.
#[tokio::test]
async fn failed_read_of_a_refused_token_is_not_sent() {
    for answer in [
        (400, json!({"__type": "ThrottlingException"})),
        (400, json!({"__type": "AccessDeniedException"})),
        secure("\"in quotes\""),
    ] {
        let cloud = Cloud::default();
        cloud.answers(&[secure("old"), answer]);
        let (stored, clock) = stored(&cloud).await;
        stored.ready(clock).await.unwrap();
        let intercom = intercom(&stored, "new");
        let error = intercom.workspace().await.unwrap_err();
        assert!(matches!(error, crate::intercom::Error::NotSent { .. }), "{error:?}");
        cloud.answers(&[secure("new")]);
        assert!(intercom.workspace().await.is_ok(), "the next request reads it again immediately");
    }
}

#[tokio::test]
async fn wrong_token_is_an_error_and_is_read_again_after_a_wait() {
    let cloud = Cloud::default();
    cloud.answers(&[secure("wrong")]);
    let (stored, clock) = stored(&cloud).await;
    stored.ready(clock).await.unwrap();
    let intercom = intercom(&stored, "right");
    for calls in [2, 3, 4] {
        for _ in 0..5 {
            assert_eq!(intercom.workspace().await.unwrap_err().status(), Some(401));
        }
        assert_eq!(cloud.calls(), calls);
        pass(1).await;
    }
}

#[tokio::test]
async fn failed_read_keeps_the_previous_token() {
    let cloud = Cloud::default();
    cloud.answers(&[secure("only"), (400, json!({"__type": "AccessDeniedException"}))]);
    let (stored, clock) = stored(&cloud).await;
    stored.ready(clock).await.unwrap();
    pass(6).await;
    stored.ready(clock).await.unwrap();
    assert!(intercom(&stored, "only").workspace().await.is_ok());
    assert_eq!(cloud.calls(), 2);
}

#[tokio::test]
async fn missing_token_sends_no_request() {
    let cloud = Cloud::default();
    cloud.answers(&[(400, json!({"__type": "ParameterNotFound"}))]);
    let (stored, clock) = stored(&cloud).await;
    let error = stored.ready(clock).await.unwrap_err().to_string();
    assert!(error.contains("put-parameter"), "{error}");
    let refused = intercom(&stored, "x").workspace().await.unwrap_err();
    assert!(matches!(refused, crate::intercom::Error::NotSent { .. }), "{refused:?}");
    cloud.answers(&[secure("x")]);
    stored.ready(clock).await.unwrap();
    assert!(intercom(&stored, "x").workspace().await.is_ok(), "the next request reads it immediately");
}

#[tokio::test]
async fn invalid_parameter_is_refused_and_never_shown() {
    let cloud = Cloud::default();
    let (stored, clock) = stored(&cloud).await;
    for (value, word) in [("s3cret s3cret", "line break"), ("'s3cret'", "quotation marks"), ("app1:s3cret", "API key")]
    {
        cloud.answers(&[secure(value)]);
        let error = stored.ready(clock).await.unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("/bulk/token") && !error.contains("s3cret"), "{error}");
    }
    cloud.answers(&[secure("s3cret\n")]);
    stored.ready(clock).await.unwrap();
    assert!(intercom(&stored, "s3cret").workspace().await.is_ok());
    assert!(!format!("{stored:?} {:?}", stored.tokens()).contains("s3cret"));
}
