//! The steps on one machine: emulated DynamoDB and SQS behind the real AWS clients, event source mappings and schedules
//! as AWS documents them, and the command that drives them.
//!
//! # Layout
//!
//! * `aws` the two services in this process; `mapping` an SQS event source mapping; `schedule` a schedule.
//! * `engine` the steps behind mappings and schedules, driven by events only; `session` an engine at work on one run.
//! * `command` one module per command; `place` where state lies.
//! * `progress`, `summary`, `preview`, `cost`, `show` what a person reads.

pub mod aws;
pub mod command;
pub mod cost;
pub mod engine;
pub mod mapping;
pub mod place;
pub mod preview;
pub mod progress;
pub mod schedule;
pub mod session;
pub mod show;
pub mod summary;
