//! Tests the SDK with the emulated services, for the behaviour that the ledger and queues require.

mod dynamodb;
mod endpoint;
mod sqs;
