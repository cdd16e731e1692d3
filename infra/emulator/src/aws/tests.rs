//! The SDK against the emulated services: what the ledger and the queues rely on.

mod dynamodb;
mod endpoint;
mod sqs;
