//! Binds a run to a workspace. An operator may replace the token during a run, and a token of
//! another workspace must neither read nor write for the run.
//!
//! Each process requests the workspace of each token once (`/me`, one permit). If Intercom refuses
//! that, the workspace is that of the token's users, and while it cannot be had, nothing is written.
//! A step compares workspaces before it calls Intercom for a run. Between the comparison and the
//! call, the client refuses a token whose workspace was not requested (see [`crate::intercom`]).

use std::time::Duration;

use crate::domain::run::{Run, WorkspaceBinding};
use crate::intercom::{Disposition, Whose, disposition};
use crate::rate_limit::{Lane, Permit, PermitRequest};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Time reserved after the request, in milliseconds, for recording the result.
const AFTER_ANSWER_MS: i64 = 5_000;
/// The wait after a failed request, in milliseconds.
const LATER_MS: i64 = 5_000;

/// The reason of a run that is paused because the token's workspace cannot be had.
const UNREPORTED: &str = "Intercom does not report which workspace the access token belongs to: nothing was written with \
                          it. Give the token permission to read its app or its users and resume the run";

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

/// Returns the workspace of the present token, for a run that begins. If it is unknown, the start
/// waits.
pub async fn of_start(
    clients: &Clients,
    at: &Invocation,
) -> Result<Result<WorkspaceBinding, UnknownWorkspace>, StepError> {
    let mut whose_token = whose(clients, at).await?;
    // A refused token may have been replaced since this process read it. A run that begins without
    // a workspace cannot continue with the token that replaces it.
    if matches!(whose_token, Ok(Whose::Refused | Whose::Invalid)) {
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

/// Compares the present token with a run's workspace, before values are written for the run. A token
/// whose workspace Intercom does not report writes nothing.
pub async fn of_write(clients: &Clients, run: &Run, at: &Invocation) -> Result<Binding, StepError> {
    let binding = of_run(clients, run, at).await?;
    if binding != Binding::Holds || run.workspace.is_none() {
        return Ok(binding);
    }
    Ok(match whose(clients, at).await? {
        // Intercom refuses a write with this token, and the run ends by that.
        Ok(Whose::Workspace(_) | Whose::Invalid) => Binding::Holds,
        Ok(Whose::Refused) => Binding::Differs(UNREPORTED.to_owned()),
        Err(unknown) => Binding::Unknown(unknown),
    })
}

/// Compares the present token with a run's workspace, before Intercom is called for the run.
pub async fn of_run(clients: &Clients, run: &Run, at: &Invocation) -> Result<Binding, StepError> {
    let mut differs = None;
    // A token that differs may have been replaced by the right one since it was read.
    for _ in 0..2 {
        let whose = match whose(clients, at).await? {
            Ok(whose) => whose,
            Err(unknown) => return Ok(Binding::Unknown(unknown)),
        };
        differs = difference(run.workspace.as_ref(), &seen(clients, &whose));
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

fn seen(clients: &Clients, whose: &Whose) -> WorkspaceBinding {
    let app_id = match whose {
        Whose::Workspace(app_id) => Some(app_id.clone()),
        Whose::Refused | Whose::Invalid => None,
    };
    WorkspaceBinding { host: clients.intercom.host().to_owned(), app_id }
}

/// Returns the difference between a run's workspace and a token's, if any.
///
/// A run of an earlier version has no workspace and accepts every token. A run accepts a token
/// whose workspace Intercom does not report. A run that began with such a token does not accept a
/// token with a known workspace, because that can be any workspace.
fn difference(of_run: Option<&WorkspaceBinding>, of_token: &WorkspaceBinding) -> Option<String> {
    let of_run = of_run?;
    let same_app = of_token.app_id.is_none() || of_run.app_id == of_token.app_id;
    if of_run.host == of_token.host && same_app {
        return None;
    }
    let advice = match of_run.app_id {
        Some(_) => "Store a token of the run's workspace and resume the run, or start the plan again for the other one",
        None => "Intercom did not report the workspace of the run's token: start the plan again",
    };
    Some(format!(
        "the access token belongs to {of_token}, but this run belongs to {of_run}: no request was sent. {advice}"
    ))
}

/// Returns the workspace of the present token. Requests it from Intercom once per process and
/// token.
async fn whose(clients: &Clients, at: &Invocation) -> Result<Result<Whose, UnknownWorkspace>, StepError> {
    match clients.intercom.whose().await {
        Ok(Some(whose)) => return Ok(Ok(whose)),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, "the access token cannot be read");
            return Ok(Err(UnknownWorkspace::unread(at)));
        }
    }
    if let Permit::Wait(until_ms) = clients.limiter.try_acquire(PermitRequest::one(Lane::Check), at.clock).await? {
        return Ok(Err(UnknownWorkspace::Spent { until_ms }));
    }
    let answer = clients.intercom.ask_whose(timeout(clients, at)).await;
    let answer = match answer {
        Ok(reply) if reply.value == Whose::Refused => {
            tracing::warn!("Intercom does not report the access token's workspace; its users may");
            if let Permit::Wait(until_ms) =
                clients.limiter.try_acquire(PermitRequest::one(Lane::Check), at.clock).await?
            {
                return Ok(Err(UnknownWorkspace::Spent { until_ms }));
            }
            clients.intercom.ask_users_whose(timeout(clients, at)).await
        }
        answer => answer,
    };
    match answer {
        Ok(reply) => Ok(Ok(reply.value)),
        Err(error) => {
            tracing::warn!(%error, "cannot read the access token's workspace from Intercom");
            if disposition(&error) == Disposition::Limited {
                let until_ms = clients.limiter.closed_until_ms();
                return Ok(Err(UnknownWorkspace::Later { until_ms, why: "Intercom's rate limit" }));
            }
            Ok(Err(UnknownWorkspace::after_a_rest(at, "Intercom did not return the access token's workspace")))
        }
    }
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
            (at(us, None), at(us, Some("b")), false),
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
