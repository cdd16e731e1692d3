//! The account over HTTP, as an external function calls it.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::aws::Account;

async fn post(account: &Account, target: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let request = Request::post("/").header("X-Amz-Target", target);
    let request = request.body(body.into()).unwrap();
    let response = account.router().oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

#[tokio::test]
async fn one_address_serves_both_services_of_the_account() {
    let account = Account::open(None).unwrap();
    let name = json!({"QueueName": "pages"}).to_string();
    let (status, created) = post(&account, "AmazonSQS.CreateQueue", name).await;
    assert_eq!(status, StatusCode::OK);
    let queues = account.sqs.list_queues().send().await.unwrap();
    assert_eq!(queues.queue_urls()[0], created["QueueUrl"]);
    let (_, tables) = post(&account, "DynamoDB_20120810.ListTables", "{}").await;
    assert_eq!(tables, json!({"TableNames": []}));
    assert_eq!(account.counts.so_far().calls["ListTables"], 1);
}

#[tokio::test]
async fn invalid_call_is_a_client_error() {
    let account = Account::open(None).unwrap();
    for (target, body) in [
        ("", "{}"),
        ("Kinesis_20131202.PutRecord", "{}"),
        ("AmazonSQS.Nonsense", "{}"),
        ("AmazonSQS.SendMessage", "not json"),
        ("AmazonSQS.ReceiveMessage", "[]"),
        ("AmazonSQS.ReceiveMessage", "7"),
        ("AmazonSQS.SendMessageBatch", r#"{"Entries":["x"]}"#),
        ("DynamoDB_20120810.PutItem", "{}"),
        ("DynamoDB_20120810.PutItem", "[]"),
    ] {
        let (status, answer) = post(&account, target, body).await;
        assert!(status.is_client_error(), "{target} {body}: {answer}");
    }
}
