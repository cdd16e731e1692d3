use super::*;
use crate::intercom::{Invalid, Lost, TransportError};

fn refused(route: &'static str, status: u16, code: &str, message: &str) -> Error {
    let (code, message) = (code.into(), message.into());
    Error::Refused { route, status, code, message, field: None, request_id: None, rate: None, retry_after_s: None }
}

#[test]
fn a_refused_submission_is_an_item_or_a_run_fault() {
    use Disposition::{Ambiguous, ItemRejected, Later, NotFound, OtherJob, RunFault};
    for (status, code, expected) in [
        (400, "bad_request", ItemRejected),
        (400, "parameter_invalid", ItemRejected),
        (422, "unprocessable_entity", ItemRejected),
        (422, "type_mismatch", ItemRejected),
        (409, "unique_user_constraint", ItemRejected),
        (413, "", ItemRejected),
        (409, "resource_conflict", Later),
        (409, "", Later),
        (400, "job_closed", OtherJob),
        (404, "job_not_found", OtherJob),
        (423, "", Later),
        (400, "", RunFault),
        (400, "intercom_version_invalid", RunFault),
        (400, "custom_data_limit_reached", ItemRejected),
        (403, "api_plan_restricted", RunFault),
        (400, "code_of_tomorrow", ItemRejected),
        (401, "token_unauthorized", RunFault),
        (402, "api_plan_restricted", RunFault),
        (403, "forbidden", ItemRejected),
        (405, "", RunFault),
        (406, "media_type_not_acceptable", RunFault),
        (415, "", RunFault),
        (418, "", RunFault),
        (301, "", RunFault),
        (304, "", RunFault),
        (404, "not_found", ItemRejected),
        (410, "contact_merged", ItemRejected),
        (404, "", NotFound),
        (410, "", NotFound),
        (408, "request_timeout", Ambiguous),
        (500, "parameter_invalid", Ambiguous),
        (502, "", Ambiguous),
        (503, "", Ambiguous),
        (504, "", Ambiguous),
        (599, "rate_limit_exceeded", Ambiguous),
    ] {
        assert_eq!(disposition(&refused(route::SUBMIT, status, code, "")), expected, "{status} {code}");
    }
}

#[test]
fn only_calls_with_items_can_have_one_rejected() {
    for (route, expected) in [
        (route::SUBMIT, Disposition::ItemRejected),
        (route::USER, Disposition::ItemRejected),
        (route::PAGE, Disposition::RunFault),
        (route::JOB, Disposition::RunFault),
        (route::JOB_ERRORS, Disposition::RunFault),
        (route::COUNT_USERS, Disposition::RunFault),
        (route::WORKSPACE, Disposition::RunFault),
    ] {
        assert_eq!(disposition(&refused(route, 400, "bad_request", "")), expected, "{route}");
    }
}

#[test]
fn the_rate_limit_is_recognized_by_status_code_or_text() {
    let limited = Disposition::Limited;
    for (status, code, message) in [
        (429, "", ""),
        (403, "rate_limit_exceeded", ""),
        (400, "too_many_requests", ""),
        (400, "retry_after", ""),
        (400, "", "Exceeded rate limit of 83 in 10_seconds"),
    ] {
        for route in [route::PAGE, route::SUBMIT, route::JOB] {
            assert_eq!(disposition(&refused(route, status, code, message)), limited, "{route} {status} {code}");
        }
    }
}

#[test]
fn closed_job_is_no_missing_permission() {
    for (route, code, message, expected) in [
        (route::SUBMIT, "forbidden", "job job_v2_1 is closed for new task updates", Disposition::OtherJob),
        (route::SUBMIT, "forbidden", "the user is closed", Disposition::ItemRejected),
        (route::JOB, "forbidden", "job job_v2_1 is closed for new task updates", Disposition::RunFault),
    ] {
        assert_eq!(disposition(&refused(route, 403, code, message)), expected, "{route} {message}");
    }
}

#[test]
fn without_an_answer_only_an_unsent_request_is_safe() {
    let source = || "reset".into();
    let route = route::SUBMIT;
    let not_sent =
        Error::NotSent { route, at: "http://127.0.0.1:1".into(), source: TransportError::NotSent { source: source() } };
    let lost = Lost::Connection(TransportError::Unknown { source: source() });
    let unreadable = Lost::UnreadableBody { status: 200, reason: "its body is empty", request_id: None };
    assert_eq!(disposition(&not_sent), Disposition::NotSent);
    assert_eq!(disposition(&Error::Unknown { route, lost, rate: None }), Disposition::Ambiguous);
    assert_eq!(disposition(&Error::Unknown { route, lost: unreadable, rate: None }), Disposition::Ambiguous);
    assert_eq!(disposition(&Error::Invalid { route, reason: Invalid::NoPatches }), Disposition::RunFault);
}

#[test]
fn only_transient_item_errors_are_retried() {
    let item = |code: &str, message: &str| ItemError { user: None, code: code.into(), message: message.into() };
    assert!(item_may_be_sent_again(&item("unknown", "Exceeded rate limit of 83 in 10_seconds")));
    assert!(item_may_be_sent_again(&item("rate_limit_exceeded", "")));
    assert!(item_may_be_sent_again(&item("server_error", "")));
    assert!(!item_may_be_sent_again(&item("invalid", "email invalid")));
    assert!(!item_may_be_sent_again(&item("not_found", "User Not Found")));
}
