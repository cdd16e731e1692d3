//! The form of the event, and the parsing of a function's answer.

use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::{Message, MessageAttributeValue, MessageSystemAttributeName};
use serde_json::json;

use crate::event_source_mapping::{Failures, event, failures};

#[test]
fn event_has_the_documented_form() {
    let attribute = |kind: &str| MessageAttributeValue::builder().data_type(kind);
    let message = Message::builder()
        .message_id("059f36b4")
        .receipt_handle("AQEB")
        .body("Test message.")
        .md5_of_body("e4e68fb7")
        .attributes(MessageSystemAttributeName::ApproximateReceiveCount, "1")
        .attributes(MessageSystemAttributeName::SentTimestamp, "1545082649183")
        .message_attributes("text", attribute("String").string_value("a").build().unwrap())
        .message_attributes("bytes", attribute("Binary").binary_value(Blob::new("a")).build().unwrap())
        .build();
    let arn = "arn:aws:sqs:eu-west-1:123456789012:pages";
    assert_eq!(
        event(&[message], arn),
        json!({"Records": [{
            "messageId": "059f36b4",
            "receiptHandle": "AQEB",
            "body": "Test message.",
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
            "messageAttributes": {
                "text": {"stringValue": "a", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
                "bytes": {"binaryValue": "YQ==", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
            },
            "md5OfBody": "e4e68fb7",
            "eventSource": "aws:sqs",
            "eventSourceARN": arn,
            "awsRegion": "eu-west-1",
        }]})
    );
}

#[test]
fn answer_without_failures_is_a_success() {
    for response in [
        json!(null),
        json!({}),
        json!({"other": 1}),
        json!({"batchItemFailures": null}),
        json!({"batchItemFailures": []}),
    ] {
        assert_eq!(failures(&response, &["a"]), Failures::None, "{response}");
    }
}

#[test]
fn only_named_messages_are_redelivered() {
    let response = json!({"batchItemFailures": [{"itemIdentifier": "b"}, {"itemIdentifier": "b"}]});
    let failed = failures(&response, &["a", "b"]);
    assert_eq!(failed, Failures::Items(["b".to_owned()].into()));
    assert!(failed.includes("b") && !failed.includes("a"));
}

#[test]
fn unknown_message_id_fails_the_batch() {
    for item in [
        json!({"itemIdentifier": ""}),
        json!({"itemIdentifier": null}),
        json!({"itemIdentifier": "c"}),
        json!({"itemId": "a"}),
        json!("a"),
    ] {
        let response = json!({"batchItemFailures": [{"itemIdentifier": "a"}, item]});
        assert_eq!(failures(&response, &["a", "b"]), Failures::Batch, "{response}");
    }
    assert_eq!(failures(&json!({"batchItemFailures": {}}), &["a"]), Failures::Batch);
    assert_eq!(failures(&json!("done"), &["a"]), Failures::Batch);
}
