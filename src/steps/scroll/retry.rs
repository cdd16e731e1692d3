//! The start of a retry: the plan, the API and the workspace of the run that it retries.

use super::api::ask;
use crate::control::{self, Retried};
use crate::domain::api::{ApiChoice, ApiSetting, ApiVersion, LastApi};
use crate::domain::run::{Retry, Run, Start, WorkspaceBinding};
use crate::ledger::Active;
use crate::plan::Plan;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Returns the plan of the run that is retried: its own copy.
///
/// # Errors
/// [`StepError::NotRetried`] if the run cannot be retried now.
pub(super) async fn plan(clients: &Clients, retry: &Retry, at: &Invocation) -> Result<Plan, StepError> {
    let first = clients.ledger.run(&retry.run).await?;
    if let Some(why) = retry.refusal(first.as_ref(), at.clock.now_ms()) {
        return Err(StepError::NotRetried { why });
    }
    let stored = clients.ledger.plan_of(&retry.run).await?;
    Plan::of_run(&stored).map_err(|source| StepError::RunsPlan { run: retry.run.clone(), source })
}

/// Returns the run that a start retries, if it is a retry.
pub(super) async fn retried(
    clients: &Clients,
    start: &Start,
    active: &Active,
    at: &Invocation,
) -> Result<Option<Retried>, StepError> {
    let Some(retry) = start.source.retry() else { return Ok(None) };
    match control::retried(&clients.ledger, retry, active, at.clock.now_ms()).await? {
        Ok(retried) => Ok(Some(retried)),
        Err(why) => Err(StepError::NotRetried { why }),
    }
}

/// Returns the API of the run that is retried, if Intercom still serves it. A user's id may be another one
/// in another API.
pub(super) async fn api(
    clients: &Clients,
    first: &Run,
    at: &Invocation,
) -> Result<Result<ApiChoice, String>, StepError> {
    let version = first.version.unwrap_or(ApiVersion::newest(first.api));
    let choice = ApiChoice { version, reason: format!("the API of run {}, which it retries", first.id) };
    if version == ApiVersion::Preview {
        return Ok(Ok(choice));
    }
    let last = LastApi { run: first.id.clone(), version, unwritable: None };
    Ok(match ask(clients, ApiSetting::Auto, Some(&last), at).await? {
        Ok(served) if served.version.api() == version.api() => Ok(choice),
        Ok(served) => {
            let ApiChoice { version: other, reason } = served;
            let why = format!("{reason}, so that API {other} would be used, in which users may have other ids");
            return Err(StepError::NotRetried { why });
        }
        Err(said) => Err(said),
    })
}

/// Returns the workspace of a retry: that of the first run.
///
/// # Errors
/// [`StepError::NotRetried`] if the token belongs to another one.
pub(super) fn workspace(first: &Run, of_token: WorkspaceBinding) -> Result<WorkspaceBinding, StepError> {
    let Some(of_first) = &first.workspace else { return Ok(of_token) };
    let other_app = of_token.app_id.is_some() && of_first.app_id.is_some() && of_token.app_id != of_first.app_id;
    if of_token.host != of_first.host || other_app {
        let why = format!("the access token belongs to {of_token}, but {} belongs to {of_first}", first.id);
        return Err(StepError::NotRetried { why });
    }
    Ok(WorkspaceBinding { app_id: of_first.app_id.clone().or(of_token.app_id), ..of_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn retry_belongs_to_the_workspace_of_its_run() {
        let at = |host: &str, app_id: Option<&str>| WorkspaceBinding {
            host: host.to_owned(),
            app_id: app_id.map(ToOwned::to_owned),
        };
        for (of_first, of_token, expected) in [
            (Some(at("h", Some("a"))), at("h", Some("a")), Some(at("h", Some("a")))),
            (Some(at("h", Some("a"))), at("h", None), Some(at("h", Some("a")))),
            (Some(at("h", None)), at("h", Some("b")), Some(at("h", Some("b")))),
            (None, at("h", Some("b")), Some(at("h", Some("b")))),
            (Some(at("h", Some("a"))), at("h", Some("b")), None),
            (Some(at("h", Some("a"))), at("i", Some("a")), None),
        ] {
            let first = json!({"v": 3, "run": "p.1", "plan": "p", "state": "complete", "generation": 1, "started_ms": 0,
                "deadline_ms": 0, "workspace": of_first});
            let bound = workspace(&serde_json::from_value(first).unwrap(), of_token.clone());
            assert_eq!(bound.ok(), expected, "{of_first:?} {of_token:?}");
        }
    }
}
