use super::*;

fn refused(route: &'static str, status: u16, code: &str, message: &str) -> Error {
    let (code, message) = (code.into(), message.into());
    Error::Refused { route, status, code, message, field: None, request_id: None, rate: None, retry_after_s: None }
}

#[test]
fn scroll_errors_are_recognized_by_code_or_old_text() {
    use PageFailure::{Busy, Expired, Fatal, MaybeConsumed, RateLimited, Repeat};
    for (status, code, message, expected) in [
        (400, "scroll_exists", "", Busy),
        (400, "", "scroll already exists for this app", Busy),
        (400, "client_error", "Scroll already exists for this workspace", Busy),
        (409, "scroll_exists", "", Busy),
        (404, "not_found", "scroll parameter not found", Expired),
        (404, "not_found", "", Expired),
        (404, "", "scroll parameter not found", Expired),
        (400, "bad_request", "scroll parameter not found", Expired),
        (404, "", "", Fatal),
        (404, "app_not_found", "", Fatal),
        (400, "bad_request", "page limit reached, please use scroll API", Fatal),
        (422, "parameter_invalid", "", Fatal),
        (401, "scroll_exists", "", Fatal),
        (400, "rate_limit_exceeded", "scroll already exists", RateLimited),
        (409, "conflict", "", Repeat { answered: true }),
        (
            500,
            "server_error",
            "Request failed due to an internal network error. Please restart the scroll operation.",
            MaybeConsumed,
        ),
        (500, "scroll_exists", "scroll already exists for this app", MaybeConsumed),
    ] {
        let error = refused(route::PAGE, status, code, message);
        assert_eq!(page_failure(&error), expected, "{status} {code} {message}");
    }
}

#[test]
fn missing_bulk_requests_are_recognized_by_status_and_route() {
    use crate::intercom::is_not_served;
    for (error, is) in [
        (refused(route::SUBMIT, 404, "not_found", ""), true),
        (refused(route::SUBMIT, 404, "", ""), true),
        (refused(route::SUBMIT, 400, VERSION_CODE, ""), true),
        (refused(route::SUBMIT, 400, "parameter_invalid", ""), false),
        (refused(route::SUBMIT, 401, "unauthorized", ""), false),
        (refused(route::PAGE, 404, "not_found", ""), false),
    ] {
        assert_eq!(is_not_served(&error), is, "{error}");
    }
}

#[test]
fn the_advice_names_the_setting_or_the_resource() {
    for (error, words) in [
        (refused(route::PAGE, 400, VERSION_CODE, ""), "set INTERCOM_API to 1.4"),
        (refused(route::PAGE, 400, "scroll_exists", ""), "Another scroll"),
        (refused(route::PAGE, 404, "not_found", ""), "ask Intercom's support whether /users/scroll"),
        (refused(route::PAGE, 404, "", ""), "does not have the resource"),
        (refused(route::SUBMIT, 404, "", ""), "does not offer bulk jobs"),
        (refused(route::USER, 404, "not_found", ""), "The user does not exist"),
        (refused(route::PAGE, 401, "unauthorized", ""), "INTERCOM_TOKEN"),
    ] {
        assert!(advice(&error).contains(words), "{error}: {}", advice(&error));
    }
}
