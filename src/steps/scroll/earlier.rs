//! The start of a retry or an undo: the plan, the API and the workspace of its earlier run.

use super::api::ask;
use crate::control::{self, EarlierRun};
use crate::domain::api::{ApiChoice, ApiSetting, ApiVersion, LastApi};
use crate::domain::run::{Earlier, Run, Start, WorkspaceBinding};
use crate::ledger::Active;
use crate::plan::Plan;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Returns the plan of the earlier run: its own copy.
///
/// # Errors
/// [`StepError::NotRetried`] or [`StepError::NotUndone`] if the start cannot begin now.
pub(super) async fn plan(clients: &Clients, earlier: Earlier<'_>, at: &Invocation) -> Result<Plan, StepError> {
    let first = clients.ledger.run(earlier.run()).await?;
    if let Some(why) = earlier.refusal(first.as_ref(), at.clock.now_ms()) {
        return Err(StepError::not_repeated(&earlier, why));
    }
    let stored = clients.ledger.plan_of(earlier.run()).await?;
    Plan::of_run(&stored).map_err(|source| StepError::RunsPlan { run: earlier.run().clone(), source })
}

/// Returns the earlier run of a start, if it is a retry or an undo.
pub(super) async fn earlier_run(
    clients: &Clients,
    start: &Start,
    active: &Active,
    at: &Invocation,
) -> Result<Option<EarlierRun>, StepError> {
    let Some(earlier) = start.source.earlier() else { return Ok(None) };
    let now_ms = at.clock.now_ms();
    let found = match earlier {
        Earlier::Retry(retry) => control::retried(&clients.ledger, retry, active, now_ms).await?,
        Earlier::Undo(undo) => control::undone(&clients.ledger, undo, active, now_ms).await?,
    };
    found.map(Some).map_err(|why| StepError::not_repeated(&earlier, why))
}

/// Returns the API of the earlier run, if Intercom still serves it. A user's id may be another one
/// in another API.
pub(super) async fn api(
    clients: &Clients,
    earlier: Earlier<'_>,
    first: &Run,
    at: &Invocation,
) -> Result<Result<ApiChoice, String>, StepError> {
    let version = first.version.unwrap_or(ApiVersion::newest(first.api));
    let choice = ApiChoice { version, reason: format!("the API of run {}, which it {}", first.id, earlier.verb()) };
    if version == ApiVersion::Preview {
        return Ok(Ok(choice));
    }
    let last = LastApi { run: first.id.clone(), version, unwritable: None };
    Ok(match ask(clients, ApiSetting::Auto, Some(&last), at).await? {
        Ok(served) if served.version.api() == version.api() => Ok(choice),
        Ok(served) => {
            let ApiChoice { version: other, reason } = served;
            let why = format!("{reason}, so that API {other} would be used, in which users may have other ids");
            return Err(StepError::not_repeated(&earlier, why));
        }
        Err(said) => Err(said),
    })
}

/// Returns the workspace of the start: that of the earlier run.
///
/// # Errors
/// [`StepError::NotRetried`] or [`StepError::NotUndone`] if the token belongs to another one.
pub(super) fn workspace(
    earlier: Earlier<'_>,
    first: &Run,
    of_token: WorkspaceBinding,
) -> Result<WorkspaceBinding, StepError> {
    let Some(of_first) = &first.workspace else { return Ok(of_token) };
    let other_app = of_token.app_id.is_some() && of_first.app_id.is_some() && of_token.app_id != of_first.app_id;
    if of_token.host != of_first.host || other_app {
        let why = format!("the access token belongs to {of_token}, but {} belongs to {of_first}", first.id);
        return Err(StepError::not_repeated(&earlier, why));
    }
    Ok(WorkspaceBinding { app_id: of_first.app_id.clone().or(of_token.app_id), ..of_token })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::run::{RunId, Undo};

    #[test]
    fn start_belongs_to_the_workspace_of_its_earlier_run() {
        let at = |host: &str, app_id: Option<&str>| WorkspaceBinding {
            host: host.to_owned(),
            app_id: app_id.map(ToOwned::to_owned),
        };
        let undo = Undo { run: RunId::of("p", 0) };
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
            let bound = workspace(Earlier::Undo(&undo), &serde_json::from_value(first).unwrap(), of_token.clone());
            assert_eq!(bound.ok(), expected, "{of_first:?} {of_token:?}");
        }
    }
}
