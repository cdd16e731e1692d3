//! The rate limiter: permits for Intercom's requests, from one budget that all functions share.
//!
//! * A caller gets permits from [`RateLimiter::acquire`] before each request. The limiter waits as
//!   long as the caller's [`Deadline`] allows, and otherwise returns when to retry.
//! * [`RateLimiter::layer`] wraps the client's transport and reports the rate headers of each
//!   answer, and each 429, to the limiter. No caller reports anything.
//!
//! # Layout
//!
//! * `window`: the 10-second windows. `quota`: our share of a window, and its lanes.
//! * `deadline`: how long a caller waits. `limiter`: permits. `known`: the knowledge of one
//!   process, with its prepaid permits. `pace`: the users of a minute, in a run with a pace.
//! * `report`: the effect of an answer. `after_429`: the wait that a 429 starts. `layer`: the tower
//!   layer that calls `report`. `bulk_charge`: what the headers say about the cost of a bulk request.
//!
//! The ledger stores one counter per window, and one item for what all functions know of the limit.

mod after_429;
mod bulk_charge;
mod deadline;
mod known;
mod layer;
mod limiter;
mod pace;
mod quota;
mod report;
mod window;

pub use after_429::wait_after_429;
pub use bulk_charge::BulkChargeSeen;
pub use deadline::Deadline;
pub use known::Usage;
pub use layer::ReportLayer;
pub use limiter::{Permit, PermitRequest, RateLimiter};
pub use pace::{MINUTE_MS, RunPace, minute_end_ms};
pub use quota::{Lane, Quota};
pub use window::{EDGE_MS, WINDOW_MS, window_end_ms};
