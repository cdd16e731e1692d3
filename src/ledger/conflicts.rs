//! Retries writes that conflicted with a transaction or were throttled within one. The SDK does not
//! retry these by default.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_smithy_runtime_api::client::interceptors::context::{Error, InterceptorContext};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};

/// Transient reasons of a cancelled transaction (reference of `TransactWriteItems`).
const PASSING: [&str; 3] = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];

/// Classifies such an error as transient, so that the SDK retries within its own bounds. A
/// transaction keeps its idempotency token, so a retry cannot carry it out twice.
#[derive(Debug)]
pub(super) struct Conflicts;

impl ClassifyRetry for Conflicts {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err).and_then(|error| error.as_operation_error());
        if error.is_some_and(passes) { RetryAction::transient_error() } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "transaction conflicts"
    }
}

fn passes(error: &Error) -> bool {
    if let Some(error) = error.downcast_ref::<TransactWriteItemsError>() {
        let TransactWriteItemsError::TransactionCanceledException(cancelled) = error else {
            return error.is_transaction_in_progress_exception();
        };
        let mut codes = cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code());
        // A failed condition beside a conflict is final.
        return codes.clone().any(|code| PASSING.contains(&code))
            && !codes.any(|code| code == "ConditionalCheckFailed");
    }
    let code = error.downcast_ref::<UpdateItemError>().map(ProvideErrorMetadata::code);
    let code = code.or_else(|| error.downcast_ref::<PutItemError>().map(ProvideErrorMetadata::code));
    let code = code.or_else(|| error.downcast_ref::<DeleteItemError>().map(ProvideErrorMetadata::code));
    code.flatten() == Some("TransactionConflictException")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::aws::tests::Cloud;
    use crate::domain::api::Way;
    use crate::domain::bucket::{Bucket, Width};
    use crate::domain::job::JobId;
    use crate::domain::part::{Outcomes, PageRead, UserOutcome, cut};
    use crate::domain::patch::Patch;
    use crate::domain::run::RunId;
    use crate::domain::user::UserId;
    use crate::ledger::{JobOf, JobRow, Ledger, LedgerError, PartProgress};

    fn cancelled(reasons: &[&str]) -> (u16, Value) {
        let reasons: Vec<Value> = reasons.iter().map(|code| json!({"Code": code})).collect();
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
        (400, json!({"__type": kind, "Message": "cancelled", "CancellationReasons": reasons}))
    }

    /// Records a job while DynamoDB gives these answers; returns the number of requests.
    async fn record(answers: &[(u16, Value)]) -> (Result<bool, LedgerError>, usize) {
        let cloud = Cloud::default();
        cloud.answers(answers);
        let ledger = Ledger::new(cloud.serve().await.dynamodb(), "ledger");
        let patch = Patch { user: UserId::new("u1".to_owned()).unwrap(), changes: Vec::new() };
        let read = PageRead { generation: 1, page: 1, reading: None };
        let part = cut(&RunId::of("p", 0), read, vec![patch], 1, |_| Way::Job).remove(0);
        let job: JobId = serde_json::from_value(json!("job_1")).unwrap();
        let of = JobOf { run: part.run, v: 2, generation: 1, users: 1, changes: String::new(), parts: Vec::new() };
        let row = JobRow::open(job, Bucket::of(0, Width::MINUTE), of, 0, 0);
        let mut outcomes = Outcomes::open(1);
        outcomes.set(0, UserOutcome::InJob);
        (ledger.record_job(&row, &[PartProgress { id: part.id, outcomes }], "me").await, cloud.calls())
    }

    #[tokio::test]
    async fn a_conflicting_transaction_is_retried() {
        let conflict = cancelled(&["None", "TransactionConflict"]);
        let (done, calls) = record(&[conflict.clone(), conflict, (200, json!({}))]).await;
        assert_eq!((done.unwrap(), calls), (false, 3));
    }

    #[tokio::test]
    async fn a_failed_condition_is_not_retried() {
        let refused = cancelled(&["ConditionalCheckFailed", "TransactionConflict"]);
        let (done, calls) = record(&[refused, (200, json!({}))]).await;
        assert!(done.unwrap(), "it is a resubmission");
        assert_eq!(calls, 4, "the refused transaction, a look at the row, the row, the part's progress");
    }

    /// A default would make each attempt the first, and attempts would be unbounded.
    #[tokio::test]
    async fn a_lease_without_an_attempt_count_is_an_error() {
        for answer in [json!({}), json!({"Attributes": {"attempt": {"S": "2"}}})] {
            let cloud = Cloud::default();
            cloud.answers(&[(200, answer)]);
            let ledger = Ledger::new(cloud.serve().await.dynamodb(), "ledger");
            let patch = Patch { user: UserId::new("u1".to_owned()).unwrap(), changes: Vec::new() };
            let read = PageRead { generation: 1, page: 1, reading: None };
            let part = cut(&RunId::of("p", 0), read, vec![patch], 1, |_| Way::Job).remove(0);
            let error = ledger.lease_part(&part, "me", 0, 1).await.unwrap_err();
            assert!(error.to_string().contains("attempt"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_write_that_conflicts_with_a_transaction_is_retried() {
        let cloud = Cloud::default();
        let kind = "com.amazonaws.dynamodb.v20120810#TransactionConflictException";
        cloud.answers(&[(400, json!({"__type": kind, "message": "conflict"})), (200, json!({}))]);
        let ledger = Ledger::new(cloud.serve().await.dynamodb(), "ledger");
        ledger.store_limit(167).await.unwrap();
        assert_eq!(cloud.calls(), 2);
    }
}
