//! The API of the plan's last run, and the users of API 1.x.

use super::{ApiAnswer, ApiDecision, ApiQuestion, Denial, ServedBy, choose, refuse, served_as};
use crate::domain::api::{Api, ApiVersion};
use crate::domain::run::RunId;

/// The last run of a plan that did not fail, and its API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastApi {
    /// The run.
    pub run: RunId,
    /// The version of its API.
    pub version: ApiVersion,
    /// A later run of the plan that failed because Intercom does not serve the bulk jobs of API 1.x.
    pub unwritable: Option<RunId>,
}

/// Decides by the answer to the version of the last run. An `Err` is the reason why it is not kept.
pub(super) fn of_last<'a>(
    last: &LastApi,
    answer: &impl Fn(ApiQuestion) -> Option<&'a ApiAnswer>,
) -> Result<ApiDecision, String> {
    let LastApi { run, version, unwritable } = last;
    if version.api() == Api::V1
        && let Some(failed) = unwritable
    {
        return Err(format!(
            "API {version} of this plan's last run {run} is not kept, because Intercom does not serve the bulk jobs of run \
             {failed}; "
        ));
    }
    let question = ApiQuestion::Me(*version);
    let Some(of_me) = answer(question) else { return Ok(ApiDecision::Ask(question)) };
    let gone = |said: String| format!("API {version} of this plan's last run {run} is not served any more ({said}); ");
    let may_not_ask = |said: &str| {
        let why = format!("the API of this plan's last run {run}; the access token may not ask for another: {said}");
        choose(*version, why)
    };
    let kept = match of_me {
        ApiAnswer::Served(ServedBy::Unnamed) => *version,
        ApiAnswer::Served(ServedBy::Version(served)) if served.api() == version.api() => *served,
        ApiAnswer::Served(by) => return Err(gone(served_as(by))),
        ApiAnswer::NotServed { said } => return Err(gone(said.clone())),
        ApiAnswer::Denied { kind: Denial::Token | Denial::Permission, said, .. } => return Ok(may_not_ask(said)),
        ApiAnswer::Denied { said, advice, .. } => return Ok(refuse(said, advice)),
        ApiAnswer::Later { said } => return Ok(ApiDecision::Wait { said: said.clone() }),
    };
    match of_users(answer, kept) {
        OfUsers::Served => {}
        OfUsers::NotServed(said) => return Err(gone(said)),
        OfUsers::Denied(said) => return Ok(may_not_ask(said)),
        OfUsers::Decided(decision) => return Ok(decision),
    }
    Ok(choose(kept, format!("the API of this plan's last run {run}, which Intercom still serves")))
}

/// The meaning of the list of users of API 1.x for the choice.
pub(super) enum OfUsers<'a> {
    /// It is served, or the version is not one of 1.x.
    Served,
    NotServed(String),
    /// The token may not read users.
    Denied(&'a str),
    /// The question is not answered yet, or the start is refused.
    Decided(ApiDecision),
}

/// Decides by the list of users of API 1.x. Each version has `/me`, so that its answer alone does not
/// prove that a run can read users.
pub(super) fn of_users<'a>(answer: &impl Fn(ApiQuestion) -> Option<&'a ApiAnswer>, version: ApiVersion) -> OfUsers<'a> {
    if version.api() != Api::V1 {
        return OfUsers::Served;
    }
    let question = ApiQuestion::Users(version);
    match answer(question) {
        None => OfUsers::Decided(ApiDecision::Ask(question)),
        Some(ApiAnswer::Served(_)) => OfUsers::Served,
        Some(ApiAnswer::NotServed { said }) => OfUsers::NotServed(format!("its users: {said}")),
        Some(ApiAnswer::Denied { kind: Denial::Token | Denial::Permission, said, .. }) => OfUsers::Denied(said),
        Some(ApiAnswer::Denied { said, advice, .. }) => OfUsers::Decided(refuse(said, advice)),
        Some(ApiAnswer::Later { said }) => OfUsers::Decided(ApiDecision::Wait { said: said.clone() }),
    }
}
