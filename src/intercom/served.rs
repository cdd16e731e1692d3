//! The version of the API that serves a token, for the choice of a run's API.

use std::time::Duration;

use super::send::Used;
use super::transport::advice;
use super::transport::body::UnreadableBody;
use super::transport::error::Error;
use super::transport::retry::{PLAN_CODE, VERSION_CODE};
use super::workspaces::{self, NO_WORKSPACE_ID, Whose};
use super::{Disposition, Intercom, WorkspaceInfo, disposition, v1, v2};
use crate::domain::api::{ApiAnswer, ApiQuestion, ApiVersion, Denial, ServedBy};

/// Intercom's answer to a question about its versions.
#[derive(Debug)]
pub struct AskedApi {
    /// The answer.
    pub answer: ApiAnswer,
    /// The workspace of the token, if the answer named it.
    pub workspace: Option<WorkspaceInfo>,
    /// The error of a request that was not served.
    pub error: Option<Error>,
}

impl Intercom {
    /// Asks which version serves this token, by one read. The workspace that an answer names is
    /// remembered; a refusal is not, because another version may answer.
    pub async fn ask_api(&self, question: ApiQuestion, timeout: Duration, now_ms: i64) -> AskedApi {
        let mut used = None;
        let asked = match question {
            ApiQuestion::Me(version) => {
                let client = self.of_version(version);
                client.request_by(workspaces::get(), timeout, of_me, &mut used).await.map(|reply| Ok(reply.value))
            }
            ApiQuestion::Users(version) => {
                let client = self.of_version(version);
                let form = client.request_by(v1::get_any_user(), timeout, v1::is_list, &mut used).await;
                form.map(|reply| if reply.value { Ok(None) } else { Err(()) })
            }
            ApiQuestion::Contacts(version) => {
                let client = self.of_version(version);
                let form = client.request_by(v2::get_any_user(), timeout, v2::is_list, &mut used).await;
                form.map(|reply| if reply.value { Ok(None) } else { Err(()) })
            }
        };
        match asked {
            Ok(Ok(workspace)) => {
                let served_by = used.as_ref().and_then(|used| used.served_by.as_deref());
                let answer = ApiAnswer::Served(by(served_by));
                if let (Some(Used { token, .. }), Some(workspace)) = (used, &workspace) {
                    self.asked.keep(token, Whose::Workspace(workspace.app_id.clone()), now_ms);
                }
                AskedApi { answer, workspace, error: None }
            }
            Ok(Err(())) => {
                let said = "its list has the form of another API".to_owned();
                AskedApi { answer: ApiAnswer::NotServed { said }, workspace: None, error: None }
            }
            Err(error) => AskedApi { answer: of_error(&error), workspace: None, error: Some(error) },
        }
    }
}

/// Parses the answer to `/me`. One without a usable id is served all the same.
fn of_me(body: &[u8]) -> Result<Option<WorkspaceInfo>, UnreadableBody> {
    match workspaces::read(body) {
        Err(UnreadableBody(NO_WORKSPACE_ID)) => Ok(None),
        read => read.map(Some),
    }
}

fn by(header: Option<&str>) -> ServedBy {
    let Some(name) = header else { return ServedBy::Unnamed };
    ApiVersion::parse(name).map_or_else(|_| ServedBy::Unknown(name.to_owned()), ServedBy::Version)
}

/// Returns the meaning of an error for the choice.
fn of_error(error: &Error) -> ApiAnswer {
    let said = error.said();
    let kind = match disposition(error) {
        // The time affects only the length of a wait.
        Disposition::NotSent | Disposition::Ambiguous | Disposition::Limited | Disposition::Later => {
            return ApiAnswer::Later { said };
        }
        Disposition::NotFound => return ApiAnswer::NotServed { said },
        _ if error.code().eq_ignore_ascii_case(VERSION_CODE) => return ApiAnswer::NotServed { said },
        _ if advice::is_of_another_region(error) || error.code() == PLAN_CODE => Denial::Other,
        _ => match error.status() {
            Some(401) => Denial::Token,
            Some(403) => Denial::Permission,
            _ => Denial::Other,
        },
    };
    ApiAnswer::Denied { kind, said, advice: advice::advice(error) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intercom::{Lost, route};

    fn refused(status: u16, code: &str, message: &str) -> Error {
        let (route, code, message) = (route::WORKSPACE, code.into(), message.into());
        Error::Refused { route, status, code, message, field: None, request_id: None, rate: None, retry_after_s: None }
    }

    #[test]
    fn errors_are_answers_about_the_version() {
        let short = |error: &Error| match of_error(error) {
            ApiAnswer::Served(_) => "served",
            ApiAnswer::NotServed { .. } => "not served",
            ApiAnswer::Denied { kind: Denial::Token, .. } => "token",
            ApiAnswer::Denied { kind: Denial::Permission, .. } => "permission",
            ApiAnswer::Denied { kind: Denial::Other, .. } => "denied",
            ApiAnswer::Later { .. } => "later",
        };
        for (status, code, message, expected) in [
            (400, VERSION_CODE, "", "not served"),
            (400, "Intercom_Version_Invalid", "", "not served"),
            (404, "not_found", "", "not served"),
            (404, "", "", "not served"),
            (410, "", "", "not served"),
            (400, "bad_request", "", "denied"),
            (401, "unauthorized", "", "token"),
            (402, "api_plan_restricted", "", "denied"),
            (403, "api_plan_restricted", "Active subscription needed.", "denied"),
            (403, "forbidden", "", "permission"),
            (403, "forbidden", "This app is hosted in Europe", "denied"),
            (307, "", "", "denied"),
            (408, "", "", "later"),
            (429, "rate_limit_exceeded", "", "later"),
            (403, "rate_limit_exceeded", "", "later"),
            (500, VERSION_CODE, "", "later"),
            (503, "", "", "later"),
        ] {
            assert_eq!(short(&refused(status, code, message)), expected, "{status} {code} {message}");
        }
        let lost = Lost::TimedOut { after: Duration::from_secs(1) };
        assert_eq!(short(&Error::Unknown { route: route::WORKSPACE, lost, rate: None }), "later");
    }

    #[test]
    fn header_names_the_version() {
        assert_eq!(by(Some("2.3")), ServedBy::Version(ApiVersion::parse("2.3").unwrap()));
        assert_eq!(by(Some("3.0")), ServedBy::Unknown("3.0".to_owned()));
        assert_eq!(by(None), ServedBy::Unnamed);
    }

    #[test]
    fn answer_without_an_id_is_served() {
        assert_eq!(of_me(br#"{"type":"admin","app":null}"#), Ok(None));
        assert!(of_me(b"").is_err() && of_me(b"<html>").is_err());
    }
}
