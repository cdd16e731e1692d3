//! The two seams with the weather: the SDK's `HttpClient` for AWS, `tower::Service` for Intercom.
//!
//! The steps of a call: an await point, transit, a possible accident, its effect, the promises'
//! checks, another possible accident, transit, and a second await point.

mod answers;
pub(crate) mod aws;
mod effect;
pub(crate) mod intercom;
mod late;
pub(crate) mod names;
pub(crate) mod queue;
