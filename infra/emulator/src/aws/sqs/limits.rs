//! The limits of SQS. Sources: the references of `SendMessage` and `SendMessageBatch`.

use awsim_core::AwsError;
use serde_json::Value;

/// The largest message, and the largest sum of a batch: 1 MiB since August 2025.
const MAX_BYTES: usize = 1 << 20;
/// The longest delay.
const MAX_DELAY_S: i64 = 900;
/// The maximum number of messages in a batch.
const MAX_ENTRIES: usize = 10;

/// Checks one message, alone or as an entry of a batch.
pub(super) fn message(input: &Value) -> Result<(), AwsError> {
    let body = input["MessageBody"].as_str().unwrap_or_default();
    if body.is_empty() || body.len() > MAX_BYTES {
        return Err(invalid("MessageBody"));
    }
    if !body.chars().all(allowed) {
        let text = "the body contains characters outside the allowed set";
        return Err(AwsError::bad_request("InvalidMessageContents", text));
    }
    match input["DelaySeconds"].as_i64() {
        Some(delay_s) if !(0..=MAX_DELAY_S).contains(&delay_s) => Err(invalid("DelaySeconds")),
        _ => Ok(()),
    }
}

/// Returns the entries of a batch. Checks that they are objects, and the size of the batch.
pub(super) fn batch(input: &Value) -> Result<&[Value], AwsError> {
    let entries = input["Entries"].as_array().map_or(&[][..], Vec::as_slice);
    if !entries.iter().all(Value::is_object) {
        return Err(invalid("Entries"));
    }
    let bytes: usize = entries.iter().filter_map(|entry| entry["MessageBody"].as_str()).map(str::len).sum();
    if entries.is_empty() {
        Err(refused("EmptyBatchRequest", "the batch has no entries"))
    } else if entries.len() > MAX_ENTRIES {
        Err(refused("TooManyEntriesInBatchRequest", "a batch has at most 10 entries"))
    } else if bytes > MAX_BYTES {
        Err(refused("BatchRequestTooLong", "the messages are together above 1 MiB"))
    } else {
        Ok(entries)
    }
}

pub(super) fn repeated_id() -> AwsError {
    refused("BatchEntryIdsNotDistinct", "two entries have the same id")
}

pub(super) fn invalid(parameter: &str) -> AwsError {
    let text = format!("the value of {parameter} is invalid");
    AwsError::bad_request("InvalidParameterValue", text)
}

fn refused(code: &str, message: &str) -> AwsError {
    AwsError::bad_request(format!("AWS.SimpleQueueService.{code}"), message)
}

/// Returns whether XML 1.0 allows the character. SQS requires this in every protocol.
fn allowed(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}
