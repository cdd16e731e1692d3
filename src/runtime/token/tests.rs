//! The token's life, against a loopback server that stands for Parameter Store and a closure that stands for Intercom.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use serde_json::json;
use tokio::time::{advance, pause, resume};

use super::*;
use crate::aws::tests::{Cloud, secure};
use crate::intercom::{ApiVersion, BaseUrl, Intercom, Transport, TransportError};

const NOW_MS: i64 = 1_479_981_900_000;

async fn stored(cloud: &Cloud) -> (StoredToken, Clock) {
    let clock = Clock::starting_at(NOW_MS);
    (StoredToken::new(Parameter::new(cloud.serve().await, "/bulk/token".to_owned()), clock), clock)
}

/// Lets time pass on the clocks, while sockets stay real.
async fn pass(minutes: u64) {
    pause();
    advance(Duration::from_mins(minutes)).await;
    resume();
}

/// Intercom, which takes only this token.
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
        ApiVersion::V1_4,
    )
}

#[tokio::test]
async fn a_token_is_read_once_and_again_when_it_is_old() {
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
async fn a_refused_token_is_read_again_at_once_and_the_request_goes_through() {
    let cloud = Cloud::default();
    cloud.answers(&[secure("old"), secure("new")]);
    let (stored, clock) = stored(&cloud).await;
    stored.ready(clock).await.unwrap();
    let intercom = intercom(&stored, "new");
    assert!(intercom.workspace().await.is_ok(), "the replaced token is no error of the run");
    assert!(intercom.workspace().await.is_ok());
    assert_eq!(cloud.calls(), 2);
}

/// Two replacements one after the other, each revoked at once.
#[tokio::test]
async fn a_token_that_was_replaced_while_it_was_read_is_read_again() {
    let cloud = Cloud::default();
    cloud.answers(&[secure("first"), secure("second"), secure("third")]);
    let (stored, clock) = stored(&cloud).await;
    stored.ready(clock).await.unwrap();
    assert!(intercom(&stored, "third").workspace().await.is_ok());
    assert_eq!(cloud.calls(), 3);
}

/// It is unknown whether the token was replaced, and Intercom did nothing.
#[tokio::test]
async fn a_refused_token_that_cannot_be_read_again_is_a_request_not_sent() {
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
        assert!(intercom.workspace().await.is_ok(), "it is read again at once");
    }
}

#[tokio::test]
async fn a_wrong_token_is_read_again_after_a_rest_and_is_an_error() {
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
async fn without_parameter_store_the_token_of_before_is_used() {
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
async fn without_any_token_nothing_begins_and_nothing_is_sent() {
    let cloud = Cloud::default();
    cloud.answers(&[(400, json!({"__type": "ParameterNotFound"}))]);
    let (stored, clock) = stored(&cloud).await;
    let error = stored.ready(clock).await.unwrap_err().to_string();
    assert!(error.contains("put-parameter"), "{error}");
    let refused = intercom(&stored, "x").workspace().await.unwrap_err();
    assert!(matches!(refused, crate::intercom::Error::NotSent { .. }), "{refused:?}");
    cloud.answers(&[secure("x")]);
    stored.ready(clock).await.unwrap();
    assert!(intercom(&stored, "x").workspace().await.is_ok(), "it is asked for again at once");
}

#[tokio::test]
async fn a_parameter_that_holds_no_token_is_refused_and_never_shown() {
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
