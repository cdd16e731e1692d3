//! Reads the failed messages from a function's answer.

use std::collections::BTreeSet;

use serde_json::Value;

/// The messages of a batch that an invocation did not finish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failures {
    /// All messages succeeded.
    None,
    /// The messages with these ids failed.
    Items(BTreeSet<String>),
    /// All messages failed.
    Batch,
}

impl Failures {
    /// Returns whether the message failed and must be delivered again.
    pub fn includes(&self, message_id: &str) -> bool {
        match self {
            Self::None => false,
            Self::Items(ids) => ids.contains(message_id),
            Self::Batch => true,
        }
    }
}

/// Reads the `batchItemFailures` of a response to the batch of these message `ids`.
///
/// A missing response, a missing list, and an empty or null list mean success. An entry that names
/// no message of the batch fails the whole batch, because the intended message is unknown. Source:
/// Lambda's developer guide, "Success and failure conditions".
pub fn failures(response: &Value, ids: &[&str]) -> Failures {
    let list = match response {
        Value::Null => return Failures::None,
        Value::Object(fields) => match fields.get("batchItemFailures") {
            None | Some(Value::Null) => return Failures::None,
            Some(Value::Array(list)) => list,
            Some(_) => return Failures::Batch,
        },
        _ => return Failures::Batch,
    };
    let named = |failure: &Value| {
        let id = failure.get("itemIdentifier")?.as_str()?;
        ids.contains(&id).then(|| id.to_owned())
    };
    match list.iter().map(named).collect::<Option<BTreeSet<_>>>() {
        None => Failures::Batch,
        Some(failed) if failed.is_empty() => Failures::None,
        Some(failed) => Failures::Items(failed),
    }
}
