//! Advice to the operator about an error.

use super::error::{Error, route};
use super::retry::{Disposition, PLAN_CODE, disposition};

/// Returns one sentence for the command's user and for the log line of a failed run, whatever the
/// family of the API.
pub(in crate::intercom) fn advice(error: &Error) -> &'static str {
    match (error.status(), error.code()) {
        (_, "custom_data_limit_reached") => {
            "The workspace has as many custom attributes as Intercom allows (250): archive one, or let the plan write to an existing one."
        }
        (Some(401), _) => {
            "Intercom does not accept the access token: check INTERCOM_TOKEN (or INTERCOM_TOKEN_PARAMETER), and that INTERCOM_BASE_URL is the workspace's region (https://api.intercom.io, https://api.eu.intercom.io or https://api.au.intercom.io)."
        }
        (Some(402), _) | (_, PLAN_CODE) => {
            "The workspace's Intercom plan does not include this, or its subscription has ended: ask the administrator of the subscription."
        }
        (Some(403), _) if is_of_another_region(error) => {
            "The workspace is hosted in another region: set INTERCOM_BASE_URL to https://api.eu.intercom.io (Europe) or https://api.au.intercom.io (Australia)."
        }
        (Some(403), _) => {
            "The token lacks a permission: give its app the permissions to read and write users in Intercom's Developer Hub."
        }
        (Some(300..=399), _) => {
            "Intercom answered with a redirect, which is not followed: set INTERCOM_BASE_URL to the workspace's region, https://api.intercom.io, https://api.eu.intercom.io or https://api.au.intercom.io."
        }
        _ => of_disposition(error),
    }
}

/// Returns whether Intercom reports that the workspace is hosted in another region ("This app is
/// hosted in Europe").
pub(in crate::intercom) fn is_of_another_region(error: &Error) -> bool {
    let Error::Refused { message, code, .. } = error else { return false };
    let message = message.to_ascii_lowercase();
    ["hosted in", "region"].iter().any(|word| message.contains(word) || code.contains(word))
}

fn of_disposition(error: &Error) -> &'static str {
    // The time affects only the length of a wait, which the sentence does not contain.
    match disposition(error) {
        Disposition::Limited => {
            "The rate limit is spent: it fills again every 10 seconds; lower INTERCOM_QUOTA_PERCENT if other integrations need it too."
        }
        Disposition::NotSent => {
            "Check the network, DNS and INTERCOM_BASE_URL; proxies (HTTPS_PROXY) are not used, so the machine needs a direct connection."
        }
        Disposition::Ambiguous => {
            "Intercom gave no usable answer and may have acted on the request: repeat it only if that does no harm, and see https://www.intercomstatus.com if this persists."
        }
        Disposition::ItemRejected => {
            "Intercom does not accept a value or an attribute: check that the attribute exists, is not archived and has the plan's type in Intercom."
        }
        Disposition::NotFound if error.route() == route::USER => "The user does not exist in this workspace any more.",
        Disposition::NotFound => {
            "This workspace does not have the resource: check that the token belongs to the right workspace."
        }
        Disposition::TooLate => "The request waited too long before it was sent: it is repeated.",
        Disposition::OtherJob => "Intercom refused the request because of another job: it is sent again later.",
        Disposition::Later => "Another process is changing the same data: the request is retried later.",
        Disposition::RunFault => {
            "Intercom refuses this kind of request: give its request id to Intercom's support, or report it to this project."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(route: &'static str, status: u16, code: &str) -> Error {
        let (code, message) = (code.into(), "".into());
        Error::Refused { route, status, code, message, field: None, request_id: None, rate: None, retry_after_s: None }
    }

    #[test]
    fn the_advice_names_the_setting_or_permission() {
        for (error, word) in [
            (refused(route::PAGE, 401, "unauthorized"), "INTERCOM_TOKEN"),
            (refused(route::PAGE, 402, "api_plan_restricted"), "subscription"),
            (refused(route::PAGE, 403, "api_plan_restricted"), "subscription"),
            (refused(route::SUBMIT, 403, "forbidden"), "permissions"),
            (refused(route::PAGE, 302, ""), "INTERCOM_BASE_URL"),
            (refused(route::SUBMIT, 422, "parameter_invalid"), "value"),
            (refused(route::SUBMIT, 400, "custom_data_limit_reached"), "250"),
            (refused(route::USER, 404, "not_found"), "user"),
        ] {
            assert!(advice(&error).contains(word), "{error}: {}", advice(&error));
        }
        for message in ["This app is hosted in Europe", "Workspace is in another region"] {
            let error = refused(route::PAGE, 403, "forbidden");
            let Error::Refused { route, status, code, request_id, rate, retry_after_s, .. } = error else { panic!() };
            let error = Error::Refused {
                route,
                status,
                code,
                message: message.into(),
                field: None,
                request_id,
                rate,
                retry_after_s,
            };
            assert!(advice(&error).contains("INTERCOM_BASE_URL"), "{message}");
        }
        let source = crate::intercom::TransportError::NotSent { source: "connection refused".into() };
        let error = Error::NotSent { route: route::PAGE, at: "https://api.intercom.io".into(), source };
        assert!(advice(&error).contains("HTTPS_PROXY"));
        assert_eq!(error.to_string(), "page: https://api.intercom.io could not be reached: connection refused");
    }
}
