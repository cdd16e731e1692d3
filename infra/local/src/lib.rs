//! The steps on one machine: emulated DynamoDB and SQS behind the real AWS clients, event source mappings and schedules
//! as AWS documents them, and the command that drives them.
//!
//! # Layout
//!
//! * `aws` the two services in this process; `mapping` an SQS event source mapping; `schedule` a schedule.
//! * `engine` the steps behind mappings and schedules, driven by events only; `handler` what Lambda would do around one.
//! * `command` one module per command; `world` a simulated workspace; `show` what a person reads.

pub mod aws;
pub mod mapping;
pub mod schedule;
