//! The whole program in virtual time: the steps behind event source mappings and schedules, the emulated ledger, a model of
//! SQS, and the simulated Intercom, all in one process and on one clock that jumps from event to event.
//!
//! Each test is a lease about a run's end, and each is checked against what the workspace itself holds afterwards: see
//! [`report`]. The harness is [`pipeline`], [`intercom`] and [`sqs`]; the leases are the other modules.

#![expect(clippy::unwrap_used, reason = "what a test sets up by itself may panic")]

mod accident;
mod bounds;
mod crash;
mod defects;
mod estimates;
mod formats;
mod guard;
mod intercom;
mod items;
mod jobs;
mod limit;
mod limits;
mod messages;
mod metrics;
mod outages;
mod pages;
mod pipeline;
mod plans;
mod polls;
mod privacy;
mod report;
#[path = "../roles/mod.rs"]
mod roles;
mod slow;
#[path = "../sqs/mod.rs"]
mod sqs;
mod starts;
mod tokens;
