//! Errors of the ledger.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::aws::causes;
use crate::domain::run::FORMAT;

/// A failed call, or an unreadable item. No variant contains an item's content; `key` is its sort key.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum LedgerError {
    /// DynamoDB returned an error or did not answer, after the SDK's retries.
    #[error("DynamoDB {operation} failed ({code}): {detail}")]
    Call { operation: &'static str, code: String, detail: String },
    #[error("cannot read the ledger item {key} (was it written by a newer version?): {source}")]
    Decode { key: String, source: serde_dynamo::Error },
    #[error("the ledger item {key} has format {v}, this version reads up to format {FORMAT}: deploy the newer one")]
    Newer { key: String, v: u64 },
    #[error("cannot serialize the ledger item {key}: {source}")]
    Encode { key: String, source: serde_dynamo::Error },
    #[error("cannot read or write the start {key} (was it stored by a newer version?): {detail}")]
    Json { key: String, detail: String },
    #[error("a request to DynamoDB is incomplete: {0}")]
    Build(#[from] aws_sdk_dynamodb::error::BuildError),
    #[error("the ledger has no {what} for {key}")]
    Missing { what: &'static str, key: String },
    #[error("cannot read the changes {key}: {source}")]
    Compressed { key: String, source: std::io::Error },
}

impl LedgerError {
    /// Returns whether the item has a newer format. It is left to the newer version of the
    /// functions.
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Newer { .. })
    }

    #[expect(clippy::needless_pass_by_value, reason = "argument of `map_err`, which passes the error by value")]
    pub(super) fn call<E, R>(operation: &'static str, error: SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        let code = error.code().unwrap_or("no answer").to_owned();
        // Use the message alone: the SDK's debug format would show the raw answer, including items.
        let detail = error.message().map_or_else(|| causes(&error), ToOwned::to_owned);
        Self::Call { operation, code, detail }
    }
}

/// Returns the result of a conditional write. `None`: the condition failed, because another writer
/// was first.
pub(super) fn conditional<T, E, R>(
    operation: &'static str,
    sent: Result<T, SdkError<E, R>>,
) -> Result<Option<T>, LedgerError>
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug,
{
    match sent {
        Ok(done) => Ok(Some(done)),
        Err(e) if e.code() == Some("ConditionalCheckFailedException") => Ok(None),
        Err(e) => Err(LedgerError::call(operation, e)),
    }
}

/// Returns whether a condition cancelled a transaction: another writer was first. Conflicts and
/// throttling were retried (`conflicts`) and return `false`.
pub(super) fn condition_failed(
    error: &aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError,
) -> bool {
    use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError as E;
    match error {
        E::TransactionCanceledException(cancelled) => {
            cancelled.cancellation_reasons().iter().any(|reason| reason.code() == Some("ConditionalCheckFailed"))
        }
        _ => false,
    }
}
