//! Binds a run to a workspace. An operator may replace the token during a run, and a token of
//! another workspace must neither read nor write for the run.
//!
//! Each process requests the workspace of each token once (`/me`, one permit). If Intercom refuses
//! that, the workspace is that of the token's users, and while it cannot be had, nothing is written. A
//! refusal holds for a minute. A run that began without a workspace belongs to the first known one.
//! A step compares workspaces before it calls Intercom for a run. Between the comparison and the
//! call, the client refuses a token whose workspace was not requested (see [`crate::intercom`]).

use std::time::Duration;

use crate::domain::run::{Run, WorkspaceBinding};
use crate::intercom::{Disposition, Error, Known, Whose, disposition};
use crate::rate_limit::{Lane, Permit, PermitRequest};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Time reserved after the request, in milliseconds, for recording the result.
const AFTER_ANSWER_MS: i64 = 5_000;
/// The wait after a failed request, in milliseconds.
const LATER_MS: i64 = 5_000;

/// The reason of a run that is paused because the token's workspace cannot be had.
const UNREPORTED: &str = "Intercom does not report which workspace the access token belongs to: no value was written or \
                          checked with it. Give the token permission to read its app or its users and resume the run";

/// The relation between the present token and a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The token belongs to the run's workspace, as far as Intercom reports it.
    Holds,
    /// The token belongs to another workspace. The reason names both.
    Differs(String),
    /// The token's workspace is unknown, so the work waits.
    Unknown(UnknownWorkspace),
}

/// The reason why the workspace of the present token is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownWorkspace {
    /// Intercom or Parameter Store does not answer.
    Later {
        /// The work waits at least until this time, in Unix milliseconds.
        until_ms: i64,
        /// The reason, as text.
        why: &'static str,
    },
    /// The rate limit's window is spent.
    Spent {
        /// The window's end, in Unix milliseconds.
        until_ms: i64,
    },
}

impl UnknownWorkspace {
    /// The token cannot be read: retry after a short wait.
    fn unread(at: &Invocation) -> Self {
        Self::after_a_rest(at, "the access token cannot be read")
    }

    fn after_a_rest(at: &Invocation, why: &'static str) -> Self {
        Self::Later { until_ms: at.clock.now_ms() + LATER_MS, why }
    }

    /// Returns the time until which the work waits, in Unix milliseconds.
    pub fn until_ms(self) -> i64 {
        match self {
            Self::Later { until_ms, .. } | Self::Spent { until_ms } => until_ms,
        }
    }

    /// Returns the reason as text.
    pub fn why(self) -> &'static str {
        match self {
            Self::Later { why, .. } => why,
            Self::Spent { .. } => "the rate limit's window is spent",
        }
    }
}

/// Returns the workspace of the present token, for a run that begins and whose API these clients
/// speak. If it is unknown, the start waits.
pub async fn of_start(
    clients: &Clients,
    at: &Invocation,
) -> Result<Result<WorkspaceBinding, UnknownWorkspace>, StepError> {
    let mut whose_token = whose(clients, at).await?;
    // A refused token may have been replaced since this process read it. A run that begins without
    // a workspace cannot continue with the token that replaces it.
    if matches!(whose_token, Ok(Whose::Refused)) {
        match clients.intercom.replace_token().await {
            Ok(true) => whose_token = whose(clients, at).await?,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "the access token cannot be read");
                whose_token = Err(UnknownWorkspace::unread(at));
            }
        }
    }
    Ok(whose_token.map(|whose| seen(clients, &whose)))
}

/// Compares the present token with a run's workspace, before values are written for the run or read
/// back. A token whose workspace Intercom does not report does neither.
pub async fn of_write(clients: &Clients, run: &Run, at: &Invocation) -> Result<Binding, StepError> {
    compare(clients, run, true, at).await
}

/// Compares the present token with a run's workspace, before Intercom is called for the run.
pub async fn of_run(clients: &Clients, run: &Run, at: &Invocation) -> Result<Binding, StepError> {
    compare(clients, run, false, at).await
}

async fn compare(clients: &Clients, run: &Run, is_strict: bool, at: &Invocation) -> Result<Binding, StepError> {
    // The workspace may not have the version of the setting.
    let clients = &clients.speaking_as(run);
    let mut differs = None;
    // A token that differs may have been replaced by the right one since it was read.
    for _ in 0..2 {
        let whose = match whose(clients, at).await? {
            Ok(whose) => whose,
            Err(unknown) => return Ok(Binding::Unknown(unknown)),
        };
        let (of_run, of_token) = (workspace_of(clients, run, &whose).await?, seen(clients, &whose));
        let unreported = is_strict && of_run.is_some() && whose == Whose::Refused;
        differs = difference(of_run.as_ref(), &of_token).or_else(|| unreported.then(|| UNREPORTED.to_owned()));
        if differs.is_none() {
            return Ok(Binding::Holds);
        }
        match clients.intercom.replace_token().await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                tracing::warn!(%error, "the access token cannot be read");
                return Ok(Binding::Unknown(UnknownWorkspace::unread(at)));
            }
        }
    }
    Ok(differs.map_or(Binding::Holds, Binding::Differs))
}

/// Returns the workspace of a run. One that began while its token's workspace was unknown belongs to
/// that of the first token that is known.
async fn workspace_of(clients: &Clients, run: &Run, whose: &Whose) -> Result<Option<WorkspaceBinding>, StepError> {
    let lacks_app = |of: &WorkspaceBinding| of.app_id.is_none() && of.host == clients.intercom.host();
    match whose {
        Whose::Workspace(app_id) if run.workspace.as_ref().is_some_and(lacks_app) => {
            Ok(clients.ledger.set_workspace(&run.id, app_id).await?)
        }
        _ => Ok(run.workspace.clone()),
    }
}

fn seen(clients: &Clients, whose: &Whose) -> WorkspaceBinding {
    let app_id = match whose {
        Whose::Workspace(app_id) => Some(app_id.clone()),
        Whose::Refused => None,
    };
    WorkspaceBinding { host: clients.intercom.host().to_owned(), app_id }
}

/// Returns the difference between a run's workspace and a token's, if any.
///
/// A run of an earlier version has no workspace and accepts every token. A run accepts a token
/// whose workspace Intercom does not report.
fn difference(of_run: Option<&WorkspaceBinding>, of_token: &WorkspaceBinding) -> Option<String> {
    let of_run = of_run?;
    let same_app = of_token.app_id.is_none() || of_run.app_id == of_token.app_id;
    if of_run.host == of_token.host && same_app {
        return None;
    }
    Some(format!(
        "the access token belongs to {of_token}, but this run belongs to {of_run}: no request was sent. Store a token of \
         the run's workspace and resume the run, or start the plan again for the other one"
    ))
}

/// Returns the workspace of the present token. Requests it from Intercom once per process and
/// token, and a refused one once a minute.
async fn whose(clients: &Clients, at: &Invocation) -> Result<Result<Whose, UnknownWorkspace>, StepError> {
    let by_itself = match clients.intercom.whose(at.clock.now_ms()).await {
        Ok(Known::Answer(whose)) => return Ok(Ok(whose)),
        Ok(known) => known == Known::Nothing,
        Err(error) => {
            tracing::warn!(%error, "the access token cannot be read");
            return Ok(Err(UnknownWorkspace::unread(at)));
        }
    };
    for of_users in [false, true].into_iter().filter(|of_users| *of_users || by_itself) {
        let permit = PermitRequest::one(Lane::Check);
        if let Permit::Wait(until_ms) = clients.limiter.try_acquire(permit, at.clock).await? {
            return Ok(Err(UnknownWorkspace::Spent { until_ms }));
        }
        let (timeout, now_ms) = (timeout(clients, at), at.clock.now_ms());
        let answer = if of_users {
            clients.intercom.ask_users_whose(timeout, now_ms).await
        } else {
            clients.intercom.ask_whose(timeout, now_ms).await
        };
        match answer {
            Ok(reply) if reply.value == Whose::Refused && !of_users => {
                tracing::warn!("Intercom does not report the access token's workspace; its users may");
            }
            Ok(reply) => return Ok(Ok(reply.value)),
            Err(error) => return Ok(Err(unknown(clients, &error, at))),
        }
    }
    Ok(Ok(Whose::Refused))
}

/// Returns the wait after a request for the workspace that was not answered.
fn unknown(clients: &Clients, error: &Error, at: &Invocation) -> UnknownWorkspace {
    tracing::warn!(%error, "cannot read the access token's workspace from Intercom");
    if disposition(error) == Disposition::Limited {
        let until_ms = clients.limiter.closed_until_ms();
        return UnknownWorkspace::Later { until_ms, why: "Intercom's rate limit" };
    }
    UnknownWorkspace::after_a_rest(at, "Intercom did not return the access token's workspace")
}

/// Returns the time-out of the request: that of a page, or less if the invocation ends earlier.
fn timeout(clients: &Clients, at: &Invocation) -> Duration {
    let left_ms = (at.left_ms() - AFTER_ANSWER_MS).max(1);
    clients.settings.page_timeout.min(Duration::from_millis(left_ms.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, app_id: Option<&str>) -> WorkspaceBinding {
        WorkspaceBinding { host: host.to_owned(), app_id: app_id.map(ToOwned::to_owned) }
    }

    #[test]
    fn run_is_bound_to_its_known_workspace() {
        let us = "api.intercom.io";
        for (of_run, of_token, same) in [
            (at(us, Some("a")), at(us, Some("a")), true),
            (at(us, Some("a")), at(us, Some("b")), false),
            (at(us, Some("a")), at("api.eu.intercom.io", Some("a")), false),
            (at(us, Some("a")), at(us, None), true),
            (at(us, None), at(us, None), true),
            (at(us, None), at("api.eu.intercom.io", None), false),
        ] {
            assert_eq!(difference(Some(&of_run), &of_token).is_none(), same, "{of_run} {of_token}");
            assert_eq!(difference(None, &of_token), None, "a run of an earlier version");
        }
    }

    #[test]
    fn difference_names_both_workspaces() {
        let reason = difference(Some(&at("h", Some("mine"))), &at("h", Some("theirs"))).unwrap();
        assert!(reason.contains("workspace mine at h") && reason.contains("workspace theirs at h"), "{reason}");
    }
}
