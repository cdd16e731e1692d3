//! What can go wrong with the ledger.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::domain::run::FORMAT;

/// A failed call, or an item that cannot be read. None of the variants carries an item's content.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// DynamoDB refused or did not answer; the SDK has retried what may be retried.
    #[error("DynamoDB {operation} failed ({code}): {detail}")]
    Call {
        /// The operation.
        operation: &'static str,
        /// The service's code, or `no answer`.
        code: String,
        /// The chain of causes.
        detail: String,
    },
    /// A stored item has another shape than this version reads.
    #[error("the ledger's item {key} cannot be read: was it written by a newer version? ({source})")]
    Decode {
        /// Its sort key.
        key: String,
        /// What was wrong.
        source: serde_dynamo::Error,
    },
    /// A stored item of a format that this version does not read yet.
    #[error("the ledger's item {key} is of format {v}, and this version reads formats up to {FORMAT}: deploy it")]
    Newer {
        /// Its sort key.
        key: String,
        /// Its format.
        v: u64,
    },
    /// A value that cannot be stored.
    #[error("the ledger's item {key} cannot be written: {source}")]
    Encode {
        /// Its sort key.
        key: String,
        /// What was wrong.
        source: serde_dynamo::Error,
    },
    /// A start that cannot be read or written as JSON.
    #[error("the ledger's start {key} is not read or written: was it stored by a newer version? ({detail})")]
    Json {
        /// The run's name, or where the start lies.
        key: String,
        /// What was wrong.
        detail: String,
    },
    /// A request that lacks a part; its builder says which.
    #[error("a request to DynamoDB is not whole: {0}")]
    Build(#[from] aws_sdk_dynamodb::error::BuildError),
    /// An item that must be there is not.
    #[error("the ledger has no {what} for {key}")]
    Missing {
        /// What it would be.
        what: &'static str,
        /// Of whom.
        key: String,
    },
    /// Compressed values that cannot be read.
    #[error("the ledger's changes {key} cannot be read: {source}")]
    Compressed {
        /// Their sort key.
        key: String,
        /// What was wrong.
        source: std::io::Error,
    },
}

impl LedgerError {
    /// Whether a newer version of the functions reads what this one cannot: the item is left to it.
    pub fn is_newer(&self) -> bool {
        matches!(self, Self::Newer { .. })
    }

    #[expect(clippy::needless_pass_by_value, reason = "it is a mapper's argument: `map_err` gives the error away")]
    pub(super) fn call<E, R>(operation: &'static str, error: SdkError<E, R>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + 'static,
        R: std::fmt::Debug,
    {
        let code = error.code().unwrap_or("no answer").to_owned();
        // Only the messages: the SDK's debug form would show the raw answer, items and all.
        let detail = error.message().map_or_else(|| causes(&error), ToOwned::to_owned);
        Self::Call { operation, code, detail }
    }
}

/// The outcome of a conditional write: `None` where its condition failed, because somebody else wrote first.
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

/// A call without an answer says why in its chain of causes.
fn causes(error: &dyn std::error::Error) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        chain = format!("{chain}: {source}");
        cause = source.source();
    }
    chain
}

/// Whether a transaction was cancelled by a condition: somebody else wrote first. Conflicts and throttling were
/// repeated (`conflicts`) and are not this.
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
