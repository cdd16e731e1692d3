//! Tests of the whole program in virtual time. The steps run behind event source mappings and
//! schedules, with the emulated ledger, a model of SQS and the simulated Intercom. All share one
//! process and one clock that jumps from event to event.
//!
//! Each test makes a claim about a run's end and checks it against the workspace: see [`report`].
//! The harness is [`pipeline`], [`intercom`] and [`sqs`]; the other modules are tests.

#![expect(clippy::unwrap_used, reason = "what a test sets up by itself may panic")]

mod accident;
mod accused;
mod attributes;
mod auto;
mod bounds;
mod canary;
mod closed;
mod conformance;
mod contact_options;
mod contacts;
mod crash;
mod defects;
mod estimates;
mod format_reports;
mod formats;
mod guard;
mod held_back;
mod held_stops;
mod intercom;
mod items;
mod jobs;
mod lag;
mod leads;
mod leads_first;
mod limit;
mod limits;
mod messages;
mod metrics;
mod outages;
mod outbox;
mod pace;
mod pages;
mod partial_outages;
mod pauses;
mod pipeline;
mod plans;
mod polls;
mod preview;
mod preview_jobs;
mod previous;
mod privacy;
mod quota;
mod report;
mod resumes;
mod retries;
#[path = "../roles/mod.rs"]
mod roles;
mod samples;
mod slow;
#[path = "../sqs/mod.rs"]
mod sqs;
mod starts;
mod tokens;
mod undos;
mod unreadable;
mod unsettled;
mod verifying;
mod waits;
mod writes;
