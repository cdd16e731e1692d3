//! Creates a queue with the template's settings: a visibility time-out and a dead-letter queue.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::SdkError;
use aws_sdk_sqs::operation::create_queue::CreateQueueError;
use aws_sdk_sqs::operation::get_queue_attributes::GetQueueAttributesError;
use aws_sdk_sqs::types::QueueAttributeName;
use serde_json::json;

/// A queue's two names: calls use the URL; mappings and policies use the ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queue {
    /// For example `http://…/000000000000/pages`.
    pub url: String,
    /// For example `arn:aws:sqs:us-east-1:000000000000:pages`.
    pub arn: String,
}

/// The reason that a queue cannot be created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum QueueError {
    /// The call failed, or a queue of this name has other attributes.
    #[error("cannot create the queue {name}")]
    Create { name: String, source: Box<SdkError<CreateQueueError>> },
    #[error("cannot read the attributes of the queue {name}")]
    Attributes { name: String, source: Box<SdkError<GetQueueAttributesError>> },
    #[error("the answer about the queue {name} lacks its URL or its ARN")]
    Incomplete { name: String },
}

/// Creates the queue `name`, or finds one with the same attributes.
///
/// With `dead_letter_arn`, a message moves there after `max_receives` receives.
pub async fn create_queue(
    sqs: &Client,
    name: &str,
    visibility_s: u32,
    dead_letter_arn: Option<&str>,
    max_receives: u32,
) -> Result<Queue, QueueError> {
    let mut request =
        sqs.create_queue().queue_name(name).attributes(QueueAttributeName::VisibilityTimeout, visibility_s.to_string());
    if let Some(arn) = dead_letter_arn {
        let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives});
        request = request.attributes(QueueAttributeName::RedrivePolicy, policy.to_string());
    }
    let incomplete = || QueueError::Incomplete { name: name.to_owned() };
    let created = request
        .send()
        .await
        .map_err(|source| QueueError::Create { name: name.to_owned(), source: Box::new(source) })?;
    let url = created.queue_url.ok_or_else(incomplete)?;
    let attributes = sqs
        .get_queue_attributes()
        .queue_url(&url)
        .attribute_names(QueueAttributeName::QueueArn)
        .send()
        .await
        .map_err(|source| QueueError::Attributes { name: name.to_owned(), source: Box::new(source) })?;
    let arn =
        attributes.attributes.and_then(|mut all| all.remove(&QueueAttributeName::QueueArn)).ok_or_else(incomplete)?;
    Ok(Queue { url, arn })
}
