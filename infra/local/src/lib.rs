//! The steps on one machine: emulated DynamoDB and SQS behind the real AWS clients, event source mappings and schedules
//! as AWS documents them, and the command that drives them.
//!
//! # Layout
//!
//! * `aws` the two services in this process; `mapping` an SQS event source mapping; `schedule` a schedule.
//! * `wiring` the queues, mappings and schedules of the template, around whatever invokes a function.
//! * `engine` the steps behind that wiring, driven by events only; `session` an engine at work on one run.
//! * `remote` functions that run elsewhere, by Lambda's Invoke API; `stack` what is deployed.
//! * `command` one module per command; `place` where state lies, `private` files for their owner alone.
//! * `progress`, `summary`, `preview`, `error_kinds`, `changed`, `cost`, `show` what a person reads; `jobs_seen` and
//!   `estimate` what progress is computed from; `stop` the signals that end a command.

pub mod aws;
pub mod changed;
pub mod command;
pub mod cost;
pub mod engine;
pub mod error_kinds;
pub mod estimate;
pub mod jobs_seen;
pub mod mapping;
pub mod place;
pub mod preview;
mod private;
pub mod progress;
pub mod remote;
pub mod schedule;
pub mod session;
pub mod show;
pub mod stack;
pub mod stop;
pub mod summary;
pub mod wiring;
