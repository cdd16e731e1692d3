//! Advice about the refusals of Preview.

use super::super::transport::error::{Error, route};
use super::super::transport::retry::VERSION_CODE;
use super::super::v2;

/// Returns one sentence for the operator.
pub(in crate::intercom) fn advice(error: &Error) -> &'static str {
    let is_of_bulk = matches!(error.route(), route::SUBMIT | route::JOB);
    if is_of_bulk && (error.code() == VERSION_CODE || error.status() == Some(404) && error.code().is_empty()) {
        return "Preview does not offer bulk jobs of contacts here: set INTERCOM_API to a version that writes contacts one by one.";
    }
    v2::advice(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_bulk_jobs_are_explained() {
        let refused = |route, status, code: &str| Error::Refused {
            route,
            status,
            code: code.into(),
            message: Box::default(),
            field: None,
            request_id: None,
            rate: None,
            retry_after_s: None,
        };
        for (error, is_of_bulk) in [
            (refused(route::SUBMIT, 400, VERSION_CODE), true),
            (refused(route::SUBMIT, 404, ""), true),
            (refused(route::JOB, 404, ""), true),
            (refused(route::PAGE, 400, VERSION_CODE), false),
            (refused(route::SUBMIT, 401, "unauthorized"), false),
        ] {
            assert_eq!(advice(&error).contains("bulk jobs of contacts"), is_of_bulk, "{error}");
        }
    }
}
