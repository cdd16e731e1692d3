//! The SQS operations that the program uses.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::Sqs;
use super::queue::{Message, Queue};
use super::wire::Refused;

/// The prefix of a queue's ARN.
const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:";
/// The default visibility time-out of a queue (reference of `CreateQueue`).
const VISIBILITY_S: u64 = 30;

/// Returns the queue of a call: the last part of its URL.
fn name_of(input: &Value) -> &str {
    input["QueueUrl"].as_str().unwrap_or_default().rsplit('/').next().unwrap_or_default()
}

/// Parses a setting that SQS takes as text.
fn number(value: &Value) -> Option<u64> {
    value.as_str()?.parse().ok()
}

impl Sqs {
    pub(super) async fn call(&self, operation: &str, input: &Value) -> Result<Value, Refused> {
        let answer = match operation {
            "CreateQueue" => self.create(input),
            "GetQueueUrl" => {
                self.with_queue(input["QueueName"].as_str().unwrap_or_default(), |_, url| json!({"QueueUrl": url}))
            }
            "GetQueueAttributes" => self.attributes(name_of(input)),
            "SendMessage" => self.send(name_of(input), input).map(|id| json!({"MessageId": id})),
            "SendMessageBatch" => self.batch(input, |sqs, entry| {
                let number = sqs.shared.entries.fetch_add(1, Ordering::Relaxed) + 1;
                if sqs.shared.accidents.refuses_entry(number) {
                    return Err(Refused("InternalError"));
                }
                sqs.send(name_of(input), entry)
            }),
            "ReceiveMessage" => return self.receive(input).await,
            "DeleteMessage" => self.delete(name_of(input), input).map(|()| json!({})),
            "DeleteMessageBatch" => {
                self.batch(input, |sqs, entry| sqs.delete(name_of(input), entry).map(|()| String::new()))
            }
            "ChangeMessageVisibility" => self.hide(input),
            _ => Err(Refused("UnsupportedOperation")),
        };
        if !matches!(operation, "DeleteMessage" | "DeleteMessageBatch") {
            self.shared.bell.notify_waiters();
        }
        answer
    }

    fn with_queue(&self, name: &str, answer: impl FnOnce(&str, String) -> Value) -> Result<Value, Refused> {
        let known = self.queues().contains_key(name);
        known.then(|| answer(name, format!("http://sqs.model/000000000000/{name}"))).ok_or(Refused("NonExistentQueue"))
    }

    fn attributes(&self, name: &str) -> Result<Value, Refused> {
        let queues = self.queues();
        let [visible, in_flight, delayed] = queues.get(name).ok_or(Refused("NonExistentQueue"))?.counts();
        Ok(json!({"Attributes": {
            "QueueArn": format!("{ARN}{name}"),
            "ApproximateNumberOfMessages": visible.to_string(),
            "ApproximateNumberOfMessagesNotVisible": in_flight.to_string(),
            "ApproximateNumberOfMessagesDelayed": delayed.to_string(),
        }}))
    }

    fn create(&self, input: &Value) -> Result<Value, Refused> {
        let name = input["QueueName"].as_str().unwrap_or_default();
        let attributes = &input["Attributes"];
        let policy: Option<Value> =
            attributes["RedrivePolicy"].as_str().and_then(|text| serde_json::from_str(text).ok());
        let redrive = policy.and_then(|policy| {
            let target = policy["deadLetterTargetArn"].as_str()?.strip_prefix(ARN)?.to_owned();
            Some((target, policy["maxReceiveCount"].as_u64()?))
        });
        let visibility = Duration::from_secs(number(&attributes["VisibilityTimeout"]).unwrap_or(VISIBILITY_S));
        self.queues().entry(name.to_owned()).or_insert_with(|| Queue::new(visibility, redrive));
        self.with_queue(name, |_, url| json!({"QueueUrl": url}))
    }

    fn send(&self, name: &str, input: &Value) -> Result<String, Refused> {
        let body = input["MessageBody"].as_str().filter(|body| !body.is_empty()).ok_or(Refused("MissingParameter"))?;
        let delay_s = input["DelaySeconds"].as_u64().unwrap_or_default();
        if delay_s > 900 {
            return Err(Refused("InvalidParameterValue"));
        }
        let mut queues = self.queues();
        let queue = queues.get_mut(name).ok_or(Refused("NonExistentQueue"))?;
        queue.sent += 1;
        queue.ever_sent.push(body.to_owned());
        let number = queue.sent;
        let id = format!("{name}-message-{number}");
        let visible_at = Instant::now() + Duration::from_secs(delay_s);
        let message = |id, at| Message::new(id, body.to_owned(), input["MessageAttributes"].clone(), at);
        for (index, copy) in self.shared.accidents.copies(name, number, body).into_iter().enumerate() {
            let own = if copy.own_id { format!("{id}-again-{index}") } else { id.clone() };
            queue.put(message(own, visible_at + copy.late));
        }
        Ok(id)
    }

    fn batch(&self, input: &Value, each: impl Fn(&Self, &Value) -> Result<String, Refused>) -> Result<Value, Refused> {
        let entries = input["Entries"].as_array().ok_or(Refused("EmptyBatchRequest"))?;
        if entries.len() > 10 {
            return Err(Refused("TooManyEntriesInBatchRequest"));
        }
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        for entry in entries {
            match each(self, entry) {
                Ok(id) => successful.push(json!({"Id": entry["Id"], "MessageId": id, "MD5OfMessageBody": ""})),
                Err(Refused("NonExistentQueue")) => return Err(Refused("NonExistentQueue")),
                Err(Refused(code)) => {
                    failed.push(json!({"Id": entry["Id"], "SenderFault": code != "InternalError", "Code": code}));
                }
            }
        }
        Ok(json!({"Successful": successful, "Failed": failed}))
    }

    async fn receive(&self, input: &Value) -> Result<Value, Refused> {
        let wait_s = input["WaitTimeSeconds"].as_u64().unwrap_or_default();
        let deadline = Instant::now() + self.shared.accidents.long_poll(Duration::from_secs(wait_s));
        loop {
            let mut rung = std::pin::pin!(self.shared.bell.notified());
            // Register before the check: otherwise a message that arrives between check and wait is
            // missed.
            rung.as_mut().enable();
            let (messages, next) = self.look(input)?;
            if !messages.is_empty() || Instant::now() >= deadline {
                return Ok(json!({"Messages": messages}));
            }
            let until = next.map_or(deadline, |next| next.min(deadline));
            // The next time-out also ends the wait.
            let _ = timeout_at(until, rung).await;
        }
    }

    /// Returns the result of a receive now, and the time of the next check.
    fn look(&self, input: &Value) -> Result<(Vec<Value>, Option<Instant>), Refused> {
        let name = name_of(input);
        let most = input["MaxNumberOfMessages"].as_u64().unwrap_or(1) as usize;
        let mut queues = self.queues();
        let queue = queues.get_mut(name).ok_or(Refused("NonExistentQueue"))?;
        let dead = queue.dead();
        let hidden = input["VisibilityTimeout"].as_u64().map_or(queue.visibility, Duration::from_secs);
        let messages = queue.receive(name, most, hidden, &*self.shared.accidents);
        let next = queue.next_visible();
        let target = queue.redrive.as_ref().map(|(target, _)| target.clone()).unwrap_or_default();
        if let Some(target) = queues.get_mut(&target) {
            for message in dead {
                target.put(message);
            }
        }
        Ok((messages, next))
    }

    fn delete(&self, name: &str, input: &Value) -> Result<(), Refused> {
        let mut queues = self.queues();
        let queue = queues.get_mut(name).ok_or(Refused("NonExistentQueue"))?;
        if self.shared.accidents.keeps_deleted() {
            return Ok(());
        }
        queue.delete(input["ReceiptHandle"].as_str().unwrap_or_default());
        Ok(())
    }

    fn hide(&self, input: &Value) -> Result<Value, Refused> {
        let hidden = Duration::from_secs(input["VisibilityTimeout"].as_u64().unwrap_or_default());
        let mut queues = self.queues();
        let queue = queues.get_mut(name_of(input)).ok_or(Refused("NonExistentQueue"))?;
        let done = queue.hide(input["ReceiptHandle"].as_str().unwrap_or_default(), hidden);
        done.map(|()| json!({})).map_err(|_| Refused("MessageNotInflight"))
    }
}
