//! The AWS services that the steps need, in one process and behind the real AWS clients: DynamoDB, SQS, event source
//! mappings and schedules as AWS documents them.
//!
//! # Layout
//!
//! * `aws`: DynamoDB and SQS. `event_source_mapping`: SQS to a function. `schedule`: EventBridge Scheduler.
//! * `topology`: the queues, mappings and schedules of the template, around whatever invokes a function.
//! * `engine`: the steps behind that topology, driven only by events. `cost`: what their calls cost on AWS.
//! * `remote`: functions that run in another process, called by Lambda's Invoke API.
//! * `private`: files that only their owner can read.

pub mod aws;
pub mod cost;
pub mod engine;
pub mod event_source_mapping;
pub mod private;
pub mod remote;
pub mod schedule;
pub mod topology;
