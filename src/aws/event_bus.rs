//! Puts events on an event bus of EventBridge.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Answer, Aws, CallError, ServiceApi};

/// `PutEvents`, in EventBridge's JSON protocol.
const PUT: ServiceApi =
    ServiceApi { service: "events", content_type: "application/x-amz-json-1.1", target: Some("AWSEvents.PutEvents") };
/// The source of our events. The role in template.yaml allows no other.
pub const EVENT_SOURCE: &str = "intercom-bulk";

/// An event bus by name, with the account and region that hold it.
#[derive(Clone, Debug)]
pub struct EventBus {
    aws: Aws,
    name: String,
    /// Distinguishes the stacks of an account.
    stack: String,
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub struct BusEvent {
    /// Its type, for the patterns of rules.
    pub detail_type: &'static str,
    /// Its content. The bus adds `stack`.
    pub detail: Map<String, Value>,
    /// Its time, in Unix milliseconds.
    pub at_ms: i64,
}

/// An error of an event bus. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum EventBusError {
    #[error(
        "an event on the bus {bus} is not allowed ({code}): the function's role needs events:PutEvents on it for the \
         source {EVENT_SOURCE}"
    )]
    Denied { bus: String, code: String },
    #[error("EventBridge did not accept an event for the bus {bus} ({status} {code}); the next tick tries again")]
    Refused { bus: String, status: u16, code: String },
    #[error("cannot put an event on the bus {bus}: {source}")]
    Call { bus: String, source: CallError },
}

/// The answer. A refused entry has a code.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Put {
    entries: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Entry {
    event_id: Option<String>,
    error_code: String,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default, rename = "__type")]
    code: String,
}

impl EventBus {
    /// Creates a bus from its name, for the events of a stack.
    pub fn new(aws: Aws, name: String, stack: String) -> Self {
        Self { aws, name, stack }
    }

    /// Puts an event. An event whose answer was lost is put again, so a rule may see it twice.
    pub async fn put(&self, event: BusEvent, now_ms: i64) -> Result<(), EventBusError> {
        let BusEvent { detail_type, mut detail, at_ms } = event;
        detail.insert("stack".to_owned(), self.stack.as_str().into());
        let entry = json!({
            "EventBusName": self.name, "Source": EVENT_SOURCE, "DetailType": detail_type, "Time": at_ms.div_euclid(1000),
            "Detail": Value::Object(detail).to_string(),
        });
        let sent = Bytes::from(json!({"Entries": [entry]}).to_string());
        let answer = self.aws.call(PUT, &sent, now_ms).await;
        let answer = answer.map_err(|source| EventBusError::Call { bus: self.name.clone(), source })?;
        self.accepted(&answer)
    }

    fn accepted(&self, answer: &Answer) -> Result<(), EventBusError> {
        let bus = self.name.clone();
        let put: Put = serde_json::from_slice(&answer.body).unwrap_or_default();
        let entry = put.entries.into_iter().next().unwrap_or_default();
        if answer.status == 200 && entry.event_id.is_some() {
            return Ok(());
        }
        let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = if entry.error_code.is_empty() { refusal.code } else { entry.error_code };
        // Some answers have a prefix: `com.amazonaws.events#…`.
        let code = code.rsplit('#').next().unwrap_or_default();
        let code: String = code.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        match code.as_str() {
            "AccessDeniedException" | "NotAuthorizedForSourceException" | "UnrecognizedClientException" => {
                Err(EventBusError::Denied { bus, code })
            }
            _ => Err(EventBusError::Refused { bus, status: answer.status, code }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::tests::Cloud;

    /// 2016-11-24T10:05:00Z.
    const NOW_MS: i64 = 1_479_981_900_000;

    async fn put(answers: &[(u16, Value)]) -> (Result<(), EventBusError>, Cloud) {
        let cloud = Cloud::default();
        cloud.answers(answers);
        let bus = EventBus::new(cloud.serve().await, "default".to_owned(), "bulk-eu".to_owned());
        let detail = Map::from_iter([("run".to_owned(), json!("a.1"))]);
        let event = BusEvent { detail_type: "Run Ended", detail, at_ms: NOW_MS - 1_500 };
        (bus.put(event, NOW_MS).await, cloud)
    }

    fn accepted() -> (u16, Value) {
        (200, json!({"FailedEntryCount": 0, "Entries": [{"EventId": "11710aed-b79e-4468-a20b-bb3c0c3b4860"}]}))
    }

    #[tokio::test]
    async fn event_is_put_by_a_signed_request() {
        let (result, cloud) = put(&[(503, Value::Null), accepted()]).await;
        assert!(result.is_ok() && cloud.calls() == 2, "{result:?}");
        let seen = cloud.seen.lock().unwrap();
        let (headers, body) = &seen[1];
        let entry = json!({"EventBusName": "default", "Source": "intercom-bulk", "DetailType": "Run Ended",
            "Time": 1_479_981_898, "Detail": "{\"run\":\"a.1\",\"stack\":\"bulk-eu\"}"});
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), json!({"Entries": [entry]}));
        assert_eq!(headers["x-amz-target"], "AWSEvents.PutEvents");
        assert_eq!(headers["content-type"], "application/x-amz-json-1.1");
        let signature = headers["authorization"].to_str().unwrap();
        assert!(signature.contains("/20161124/eu-west-1/events/aws4_request, SignedHeaders="), "{signature}");
    }

    #[tokio::test]
    async fn event_without_an_id_is_not_accepted() {
        let refused = |status, code: &str| (status, json!({"__type": code, "message": "s3cret"}));
        let entry = |code: &str| (200, json!({"FailedEntryCount": 1, "Entries": [{"ErrorCode": code}]}));
        for (answer, words) in [
            (refused(400, "AccessDeniedException"), ["events:PutEvents", "intercom-bulk"]),
            (refused(400, "com.amazonaws.events#ResourceNotFoundException"), ["ResourceNotFoundException", "again"]),
            (entry("NotAuthorizedForSourceException"), ["not allowed", "events:PutEvents"]),
            (entry("ThrottlingException"), ["ThrottlingException", "again"]),
            ((200, json!({})), ["200", "again"]),
            ((200, json!([1])), ["200", "again"]),
        ] {
            let error = put(&[answer]).await.0.unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)) && !error.contains("s3cret"), "{words:?}: {error}");
        }
    }
}
