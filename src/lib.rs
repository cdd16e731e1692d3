//! Bulk updates of Intercom users that lose nobody.
//!
//! ```text
//! schedule ─► scroll ─► patches queue ─► submit ─► Intercom bulk job ─► ledger (DynamoDB, by time bucket)
//!               │ ▲                                                        │
//!               └─┘ pages queue: one page per invocation                   └─► check: how did each job end?
//! ```
//!
//! # Layout
//!
//! * Pure, without I/O, clock or environment: [`user`], [`plan`], [`patch`], [`part`], [`job`], [`bucket`], [`run`],
//!   [`mask`] (texts from outside made fit for logs), [`keep`] (what is kept of a JSON document), [`html`] (texts that an API shows as HTML).
//! * I/O that speaks those words: [`intercom`], [`queue`], [`ledger`]; none knows another. Beside them [`aws`], and below
//!   all [`https`], which know nothing of users.
//! * Between them and the steps: [`event`] (what an invocation is given), [`invocation`] (its time and name), [`clients`],
//!   [`access`] (a token that may be replaced), [`binding`] (the workspace that a run belongs to), [`meter`] (the budget before each call, the headers after), [`config`], [`telemetry`] (an invocation's metrics).
//! * The steps, one function each; none knows another: [`scroll`], [`submit`], [`check`].

pub mod access;
pub mod aws;
pub mod binding;
pub mod bucket;
pub mod check;
pub mod clients;
pub mod config;
pub mod event;
pub mod html;
pub mod https;
pub mod intercom;
pub mod invocation;
pub mod job;
pub mod keep;
pub mod ledger;
pub mod mask;
pub mod meter;
pub mod part;
pub mod patch;
pub mod plan;
pub mod queue;
pub mod run;
pub mod scroll;
pub mod submit;
pub mod telemetry;
pub mod user;
