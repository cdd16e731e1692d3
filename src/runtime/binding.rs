//! The workspace that a run belongs to. A token can be replaced in the middle of a run; one of another workspace must
//! neither read for the run nor write for it.
//!
//! Each process asks Intercom once per token (`/me`) and pays for it. A step compares before it calls Intercom for a run.
//! Between that and the call the client refuses any token that was not asked about (see [`crate::intercom`]).

use std::time::Duration;

use crate::domain::run::{Run, WorkspaceBinding};
use crate::intercom::{Disposition, Whose, disposition};
use crate::rate_limit::{Lane, Permit, PermitRequest};
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Kept of the invocation's time while the answer is waited for: the step records what it came to.
const AFTER_ANSWER_MS: i64 = 5_000;
/// After an answer that did not come: the wait until the next request, in milliseconds.
const LATER_MS: i64 = 5_000;

/// How the present token stands to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It is of the run's workspace, as far as Intercom says.
    Holds,
    /// It is of another workspace; the reason names both.
    Differs(String),
    /// It is not known yet, because Intercom or Parameter Store does not answer: the work waits until this time (Unix
    /// milliseconds) at least, for this reason.
    Later(i64, &'static str),
    /// It is not known yet, because the rate limit's window is spent until this time.
    Spent(i64),
}

/// The workspace of the present token, for a run that begins; or until when the start waits, and why.
pub async fn of_start(
    clients: &Clients,
    at: &Invocation,
) -> Result<Result<WorkspaceBinding, (i64, &'static str)>, StepError> {
    let mut whose_token = whose(clients, at).await?;
    // A refused token may have been replaced since this process read it. A run that begins without a workspace cannot
    // continue with the token that replaces it.
    if whose_token == Ok(Whose::Refused) {
        match clients.intercom.replace_token().await {
            Ok(true) => whose_token = whose(clients, at).await?,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, "the access token cannot be read");
                whose_token = Err((at.clock.now_ms() + LATER_MS, UNREAD));
            }
        }
    }
    Ok(whose_token.map(|whose| seen(clients, &whose)))
}

/// Compares the present token with a run's workspace, before Intercom is called for the run.
pub async fn of_run(clients: &Clients, run: &Run, at: &Invocation) -> Result<Binding, StepError> {
    let mut differs = None;
    // A token that differs may have been replaced by the right one since it was read.
    for _ in 0..2 {
        let whose = match whose(clients, at).await? {
            Ok(whose) => whose,
            Err((until_ms, SPENT)) => return Ok(Binding::Spent(until_ms)),
            Err((until_ms, why)) => return Ok(Binding::Later(until_ms, why)),
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
                return Ok(unread(at));
            }
        }
    }
    Ok(differs.map_or(Binding::Holds, Binding::Differs))
}

fn unread(at: &Invocation) -> Binding {
    Binding::Later(at.clock.now_ms() + LATER_MS, UNREAD)
}

const UNREAD: &str = "the access token cannot be read";
const SPENT: &str = "the rate limit's window is spent";

fn seen(clients: &Clients, whose: &Whose) -> WorkspaceBinding {
    let app_id = match whose {
        Whose::Workspace(app_id) => Some(app_id.clone()),
        Whose::Refused => None,
    };
    WorkspaceBinding { host: clients.intercom.host().to_owned(), app_id }
}

/// Returns why the workspace of a token is not the run's, if it is not. A run of an earlier version has no workspace and
/// accepts each token. A run accepts a token whose workspace Intercom does not say. A run that began with such a token does
/// not accept one whose workspace is known, because that can be any workspace.
fn difference(of_run: Option<&WorkspaceBinding>, of_token: &WorkspaceBinding) -> Option<String> {
    let of_run = of_run?;
    let same_app = of_token.app_id.is_none() || of_run.app_id == of_token.app_id;
    if of_run.host == of_token.host && same_app {
        return None;
    }
    let advice = match of_run.app_id {
        Some(_) => "Store a token of the run's workspace and resume the run, or start the plan again for the other one",
        None => "Intercom did not say which workspace the run's token was of: start the plan again",
    };
    Some(format!("the access token is of {of_token}, and this run is of {of_run}: nothing was sent with it. {advice}"))
}

/// What Intercom says of the present token; asked, where this process has not.
async fn whose(clients: &Clients, at: &Invocation) -> Result<Result<Whose, (i64, &'static str)>, StepError> {
    let later = |why| Ok(Err((at.clock.now_ms() + LATER_MS, why)));
    match clients.intercom.whose().await {
        Ok(Some(whose)) => return Ok(Ok(whose)),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, "the access token cannot be read");
            return later(UNREAD);
        }
    }
    if let Permit::Wait(until_ms) = clients.limiter.try_acquire(PermitRequest::one(Lane::Check), at.clock).await? {
        return Ok(Err((until_ms, SPENT)));
    }
    match clients.intercom.ask_whose(timeout(clients, at)).await {
        Ok(reply) => {
            if reply.value == Whose::Refused {
                tracing::warn!(
                    "Intercom does not say which workspace the access token is of; the run goes on without it"
                );
            }
            Ok(Ok(reply.value))
        }
        Err(error) => {
            tracing::warn!(%error, "Intercom does not say now which workspace the access token is of");
            if matches!(disposition(&error, at.clock.now_s()), Disposition::Limited { .. }) {
                return Ok(Err((clients.limiter.closed_until_ms(), "Intercom's rate limit")));
            }
            later("Intercom did not answer which workspace the access token is of")
        }
    }
}

/// How long the answer is waited for: as long as for a page, as far as the invocation lasts.
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
    fn a_run_is_bound_to_what_is_known_of_its_workspace() {
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
    fn a_difference_names_both_workspaces() {
        let reason = difference(Some(&at("h", Some("mine"))), &at("h", Some("theirs"))).unwrap();
        assert!(reason.contains("workspace mine at h") && reason.contains("workspace theirs at h"), "{reason}");
    }
}
