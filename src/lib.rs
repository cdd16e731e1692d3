//! Bulk updates of Intercom users: compute attributes for every user, send them as bulk jobs, and record how each job ends.
//!
//! ```text
//! schedule ─► scroll ─► patches queue ─► submit ─► Intercom bulk job ─► ledger (DynamoDB, by time bucket)
//!               │ ▲                                                        │
//!               └─┘ pages queue: one page per invocation                   └─► check: how did each job end?
//! ```
//!
//! # Layout
//!
//! The folders are layers. A file imports only from its own folder and from those above it in this list.
//!
//! * [`domain`]: values without I/O.
//! * [`plan`]: the plan language.
//! * [`http`], [`aws`]: one HTTP and TLS stack; the AWS clients.
//! * [`intercom`], [`queue`], [`ledger`]: the API client, the two SQS queues, the DynamoDB table. None imports another.
//! * [`rate_limit`]: the shared budget of requests to Intercom.
//! * [`runtime`]: settings, clients, events, metrics.
//! * [`control`]: a run's life: start, pause, resume, cancel, supersede, end.
//! * [`steps`]: scroll, submit, check. None imports another.

pub mod aws;
pub mod control;
pub mod domain;
pub mod http;
pub mod intercom;
pub mod ledger;
pub mod plan;
pub mod queue;
pub mod rate_limit;
pub mod runtime;
pub mod steps;
