//! Requests and answers, whatever the API's version: the seam to the network, the request's pieces,
//! headers, error bodies, errors, and the decision what may be sent again.

pub(super) mod advice;
pub(super) mod base_url;
pub(super) mod body;
pub(super) mod call;
pub(super) mod error;
pub(super) mod error_body;
pub(super) mod headers;
pub(super) mod rate_report;
pub(super) mod retry;
pub(super) mod service;
pub(super) mod token;
pub(super) mod tokens;
