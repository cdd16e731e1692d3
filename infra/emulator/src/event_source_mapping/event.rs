//! The event that Lambda creates from SQS messages.

use aws_sdk_sqs::types::{Message, MessageAttributeValue};
use serde_json::{Map, Value, json};

/// Returns the event of `messages` from the queue `arn`.
///
/// Source: Lambda's developer guide, "Using Lambda with Amazon SQS".
pub fn event(messages: &[Message], arn: &str) -> Value {
    let region = arn.split(':').nth(3).unwrap_or_default();
    let records: Vec<Value> = messages.iter().map(|message| record(message, arn, region)).collect();
    json!({"Records": records})
}

fn record(message: &Message, arn: &str, region: &str) -> Value {
    let attributes = message.attributes().into_iter().flatten();
    let attributes: Map<String, Value> =
        attributes.map(|(name, value)| (name.as_str().to_owned(), json!(value))).collect();
    let message_attributes = message.message_attributes().into_iter().flatten();
    let message_attributes: Map<String, Value> =
        message_attributes.map(|(name, value)| (name.clone(), message_attribute(value))).collect();
    let mut record = json!({
        "messageId": message.message_id(),
        "receiptHandle": message.receipt_handle(),
        "body": message.body(),
        "attributes": attributes,
        "messageAttributes": message_attributes,
        "md5OfBody": message.md5_of_body(),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    });
    if let Some(md5) = message.md5_of_message_attributes() {
        record["md5OfMessageAttributes"] = json!(md5);
    }
    record
}

/// The lists are in every event and always empty: SQS does not support them.
fn message_attribute(value: &MessageAttributeValue) -> Value {
    let mut attribute = json!({
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value.data_type(),
    });
    if let Some(text) = value.string_value() {
        attribute["stringValue"] = json!(text);
    }
    if let Some(bytes) = value.binary_value() {
        attribute["binaryValue"] = json!(aws_smithy_types::base64::encode(bytes));
    }
    attribute
}
