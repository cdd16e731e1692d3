//! Signed calls and the SDK's clients against a loopback server in place of AWS.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sdk_sqs::error::ProvideErrorMetadata;
use axum::Router;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::*;

/// 2016-11-24T10:05:00Z.
const NOW_MS: i64 = 1_479_981_900_000;

/// A received request: headers and body.
pub(crate) type Seen = (HeaderMap, String);

/// A fake AWS: gives the configured answers in order, repeats the last one, and records the
/// requests.
#[derive(Clone, Default)]
pub(crate) struct Cloud {
    pub(crate) answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
}

impl Cloud {
    pub(crate) fn answers(&self, answers: &[(u16, Value)]) {
        let answers = answers.iter().map(|(status, body)| (*status, body.to_string()));
        *self.answers.lock().unwrap() = answers.collect();
    }

    pub(crate) fn calls(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Starts the server and returns an environment that points to it.
    pub(crate) async fn serve(&self) -> Aws {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        aws(&address)
    }
}

async fn answer(State(cloud): State<Cloud>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    cloud.seen.lock().unwrap().push((headers, body));
    let mut answers = cloud.answers.lock().unwrap();
    let (status, body) = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
    (StatusCode::from_u16(status).unwrap(), body)
}

fn aws(address: &str) -> Aws {
    let get = |name: &str| match name {
        "AWS_ACCESS_KEY_ID" => Some("AKIDEXAMPLE".to_owned()),
        "AWS_SECRET_ACCESS_KEY" => Some("wJalrXUtnFEMI".to_owned()),
        "AWS_SESSION_TOKEN" => Some("session".to_owned()),
        "AWS_REGION" => Some("eu-west-1".to_owned()),
        "AWS_ENDPOINT_URL" => Some(format!("{address}/")),
        _ => None,
    };
    Aws::read(&Https::default(), get).unwrap()
}

pub(crate) fn secure(value: &str) -> (u16, Value) {
    (200, json!({"Parameter": {"Name": "/bulk/token", "Type": "SecureString", "Value": value, "Version": 3}}))
}

async fn read(answers: &[(u16, Value)]) -> (Result<String, ParameterError>, Cloud) {
    let cloud = Cloud::default();
    cloud.answers(answers);
    let parameter = Parameter::new(cloud.serve().await, "/bulk/token".to_owned());
    (parameter.read(NOW_MS).await, cloud)
}

#[tokio::test]
async fn a_parameter_is_read_by_a_signed_request_and_decrypted() {
    let (value, cloud) = read(&[secure("dG9rOjEyMzQ=")]).await;
    assert_eq!(value.unwrap(), "dG9rOjEyMzQ=");
    let seen = cloud.seen.lock().unwrap();
    let (headers, body) = &seen[0];
    assert_eq!(serde_json::from_str::<Value>(body).unwrap(), json!({"Name": "/bulk/token", "WithDecryption": true}));
    for (name, value) in [
        ("x-amz-target", "AmazonSSM.GetParameter"),
        ("x-amz-date", "20161124T100500Z"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-security-token", "session"),
    ] {
        assert_eq!(headers[name], value);
    }
    let signature = headers["authorization"].to_str().unwrap();
    let scope = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20161124/eu-west-1/ssm/aws4_request, SignedHeaders=";
    assert!(signature.starts_with(scope), "{signature}");
    for signed in ["content-type", "host", "x-amz-date", "x-amz-security-token", "x-amz-target"] {
        assert!(signature.contains(signed), "{signed} is not signed: {signature}");
    }
}

#[tokio::test]
async fn each_error_says_what_to_do_and_repeats_no_value() {
    let refused = |status, code: &str| (status, json!({"__type": code, "message": "s3cret"}));
    let clear = json!({"Parameter": {"Type": "String", "Value": "s3cret"}});
    for (answer, calls, words) in [
        (refused(400, "ParameterNotFound"), 1, ["aws ssm put-parameter --name /bulk/token", "eu-west-1"]),
        (refused(400, "com.amazonaws.ssm#ParameterNotFound"), 1, ["--type SecureString", "INTERCOM_TOKEN_PARAMETER"]),
        (refused(400, "AccessDeniedException"), 1, ["ssm:GetParameter", "kms:Decrypt"]),
        (refused(500, "InternalServerError"), 3, ["500 InternalServerError", "again"]),
        (refused(400, "ThrottlingException"), 3, ["ThrottlingException", "again"]),
        ((200, clear), 1, ["not encrypted", "--type SecureString"]),
        ((200, json!({"Parameter": {"Value": 1, "Type": "s3cret"}})), 1, ["no value", "/bulk/token"]),
    ] {
        let (result, cloud) = read(&[answer]).await;
        let error = result.unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{words:?}: {error}");
        assert!(!error.contains("s3cret"), "{error}");
        assert_eq!(cloud.calls(), calls, "{error}");
    }
}

#[tokio::test]
async fn a_transient_failure_is_not_reported() {
    let (value, cloud) = read(&[(503, Value::Null), secure("abc")]).await;
    assert_eq!((value.unwrap().as_str(), cloud.calls()), ("abc", 2));
}

#[tokio::test]
async fn an_unreachable_service_is_named() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = Parameter::new(aws(&address), "t".to_owned()).read(NOW_MS).await.unwrap_err().to_string();
    assert!(error.contains("ssm does not answer") && error.contains("refused"), "{error}");
}

#[tokio::test]
async fn sdk_clients_use_our_http_client_and_retry() {
    let cloud = Cloud::default();
    cloud.answers(&[(500, json!({})), (200, json!({"Item": {"pk": {"S": "ACTIVE"}}}))]);
    let aws = cloud.serve().await;
    let found = aws.dynamodb().get_item().table_name("t").send().await.unwrap();
    assert_eq!(found.item.unwrap()["pk"].as_s().unwrap(), "ACTIVE");
    cloud.answers(&[(400, json!({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no"}))]);
    let error = aws.sqs().send_message().queue_url("http://q").message_body("x").send().await.unwrap_err();
    assert_eq!(error.code(), Some("QueueDoesNotExist"), "{error:?}");
    let seen = cloud.seen.lock().unwrap();
    let targets: Vec<_> = seen.iter().map(|(headers, _)| headers["x-amz-target"].to_str().unwrap()).collect();
    assert_eq!(targets, ["DynamoDB_20120810.GetItem", "DynamoDB_20120810.GetItem", "AmazonSQS.SendMessage"]);
}

#[test]
fn missing_aws_variables_are_named() {
    let https = Https::default();
    assert_eq!(Aws::read(&https, |_| None).unwrap_err(), AwsError::Credentials);
    let no_region = |name: &str| (!name.ends_with("REGION")).then(|| "x".to_owned());
    assert!(Aws::read(&https, no_region).unwrap_err().to_string().starts_with("AWS_REGION"));
}

#[test]
fn endpoints_prefer_service_then_common_then_default() {
    let of = |set: &'static [(&str, &str)], region: &'static str| {
        let get = move |name: &str| match name {
            "AWS_REGION" => Some(region.to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("x".to_owned()),
            _ => set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
        };
        Aws::read(&Https::default(), get).unwrap().endpoint("ssm")
    };
    assert_eq!(of(&[], "eu-west-1"), "https://ssm.eu-west-1.amazonaws.com");
    assert_eq!(of(&[], "cn-north-1"), "https://ssm.cn-north-1.amazonaws.com.cn");
    assert_eq!(of(&[("AWS_ENDPOINT_URL", "http://a:1/")], "eu-west-1"), "http://a:1");
    let both = &[("AWS_ENDPOINT_URL", "http://a:1"), ("AWS_ENDPOINT_URL_SSM", "http://b:2")];
    assert_eq!(of(both, "eu-west-1"), "http://b:2");
}
