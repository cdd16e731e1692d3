//! The two seams, with weather in between: the SDK's `HttpClient` for AWS, `tower::Service` for Intercom.
//!
//! Each call passes an await point, travels, may meet an accident, has its effect, is seen by the promises, may meet
//! another accident, travels back, and passes a second await point.

pub(crate) mod aws;
pub(crate) mod intercom;
pub(crate) mod names;
pub(crate) mod queue;
