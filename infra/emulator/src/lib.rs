//! The AWS services that the steps need, in one process and behind the real AWS clients: DynamoDB,
//! SQS, event source mappings and schedules as AWS documents them.
//!
//! # Layout
//!
//! * `aws`: DynamoDB and SQS. `event_source_mapping`: SQS to a function. `schedule`: schedules.
//! * `topology`: the queues, mappings and schedules of the template, around any way to invoke a
//!   function.
//! * `engine`: the steps behind that topology, driven by events. `cost`: the cost of their calls on
//!   AWS.
//! * `remote`: functions in another process, called through Lambda's Invoke API.
//! * `private`: files that only their owner can read.

pub mod aws;
pub mod cost;
pub mod engine;
pub mod event_source_mapping;
pub mod private;
pub mod remote;
pub mod schedule;
pub mod topology;
