//! `auto`: the choice of an API for a run that begins.
//!
//! [`decide_api`] is pure. Its caller sends the questions that it returns, each a read, and calls
//! it again with the answers.

use super::{Api, ApiSetting, ApiVersion};

mod older;

pub use older::LastApi;

use older::{OfUsers, of_last, of_users};

/// A read whose answer helps to choose an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiQuestion {
    /// `GET /me` with this version. Every version has it, and the answer names the version that
    /// served it.
    Me(ApiVersion),
    /// `GET /users` with this version of API 1.x: `GET /me` may outlive the users of 1.x.
    Users(ApiVersion),
    /// `GET /contacts` with this version. In API 1.x that address has leads, in another form.
    Contacts(ApiVersion),
}

/// Intercom's answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiAnswer {
    /// The request was served.
    Served(ServedBy),
    /// The workspace does not have the version: 400 `intercom_version_invalid`, 404, or a body of
    /// another form.
    NotServed {
        /// The answer, for the operator.
        said: String,
    },
    /// The request is refused, and would be again.
    Denied {
        /// The kind of the refusal.
        kind: Denial,
        /// The answer, for the operator.
        said: String,
        /// One sentence on what to do.
        advice: &'static str,
    },
    /// There is no answer now: 429, 5xx, or none at all.
    Later {
        /// The failure, for the operator.
        said: String,
    },
}

/// The kind of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// 401: the token is not accepted.
    Token,
    /// 403: the token lacks a permission.
    Permission,
    /// Anything else: another region, the subscription, a redirect.
    Other,
}

/// The version that served a request, by the answer's header `Intercom-Version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServedBy {
    /// A version that this program knows.
    Version(ApiVersion),
    /// A version that this program does not know.
    Unknown(String),
    /// The answer has no such header.
    Unnamed,
}

/// A version for a run, and the reason of the choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiChoice {
    /// The version.
    pub version: ApiVersion,
    /// The reason, for the operator.
    pub reason: String,
}

/// The next step of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiDecision {
    /// Ask this, and decide again.
    Ask(ApiQuestion),
    /// The choice.
    Choose(ApiChoice),
    /// No API can be chosen until an operator acts.
    Refuse(ApiRefusal),
    /// Begin again later: Intercom gave no answer.
    Wait {
        /// The failure, for the operator.
        said: String,
    },
}

/// The reason why no API can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each variant's message says what it means")]
pub enum ApiRefusal {
    #[error(
        "the access token may not read its own app (GET /me), whose answer names the version of the API: {said}. Give the \
         app the permission to read it in Intercom's Developer Hub, or set INTERCOM_API to 2.17 (contacts) or 1.4 (bulk \
         jobs)"
    )]
    Permission { said: String },
    #[error("{said}. {advice}")]
    Denied { said: String, advice: &'static str },
    #[error(
        "Intercom served a request for API {asked} as version {served}, which auto does not choose: set INTERCOM_API to \
         {asked} to use it all the same"
    )]
    NotChosen { asked: ApiVersion, served: String },
    #[error(
        "neither API {} nor API {} is served ({newer}; {older}): check that INTERCOM_BASE_URL is the workspace's region \
         (https://api.intercom.io, https://api.eu.intercom.io or https://api.au.intercom.io), or set INTERCOM_API to the \
         version that the workspace has",
        NEWER,
        OLDER
    )]
    NoneServed {
        /// The answer to the newest version of API 2.x.
        newer: String,
        /// The answer to the newest version of API 1.x.
        older: String,
    },
}

const NEWER: ApiVersion = ApiVersion::newest(Api::V2);
const OLDER: ApiVersion = ApiVersion::newest(Api::V1);

/// Chooses the API of a run, or returns the next question.
///
/// * A version in the setting is used without a question.
/// * With `auto`, the API of the plan's last run is kept as long as it is served: the values that the
///   plan reads then have the same form as before. A token that may not ask does not change it.
/// * Otherwise the newest version is asked for, and the version that served it is used.
/// * If the workspace does not have API 2.x, API 1.x is used, once it has answered.
/// * API 1.x is used only if its list of users is served. It is not kept after a run that failed because
///   its bulk jobs are not.
///
/// Preview is never chosen: Intercom recommends it for tests only.
pub fn decide_api(setting: ApiSetting, last: Option<&LastApi>, answers: &[(ApiQuestion, ApiAnswer)]) -> ApiDecision {
    if let ApiSetting::Fixed(version) = setting {
        return choose(version, "as set".to_owned());
    }
    let answer = |question| answers.iter().find(|(asked, _)| *asked == question).map(|(_, answer)| answer);
    let mut note = String::new();
    if let Some(last) = last.filter(|last| matches!(last.version, ApiVersion::V1(_) | ApiVersion::V2(_))) {
        match of_last(last, &answer) {
            Ok(decision) => return decision,
            Err(why) => note = why,
        }
    }
    match of_newer(&answer) {
        Ok(ApiDecision::Choose(choice)) => choose(choice.version, format!("{note}{}", choice.reason)),
        Ok(decision) => decision,
        Err(newer) => of_older(&answer, &note, &newer),
    }
}

fn choose(version: ApiVersion, reason: String) -> ApiDecision {
    ApiDecision::Choose(ApiChoice { version, reason })
}

/// Decides by the answers to the newest version. An `Err` is the reason why the workspace does not
/// have API 2.x.
fn of_newer<'a>(answer: &impl Fn(ApiQuestion) -> Option<&'a ApiAnswer>) -> Result<ApiDecision, String> {
    let question = ApiQuestion::Me(NEWER);
    let Some(of_me) = answer(question) else { return Ok(ApiDecision::Ask(question)) };
    Ok(match of_me {
        ApiAnswer::Served(ServedBy::Version(served @ ApiVersion::V2(_))) => {
            choose(*served, format!("Intercom served a request for the newest API with version {served}"))
        }
        ApiAnswer::Served(by @ ServedBy::Version(ApiVersion::V1(_))) => return Err(served_as(by)),
        ApiAnswer::Served(ServedBy::Version(served @ ApiVersion::Preview)) => {
            ApiDecision::Refuse(ApiRefusal::NotChosen { asked: NEWER, served: served.to_string() })
        }
        ApiAnswer::Served(ServedBy::Unknown(served)) => {
            ApiDecision::Refuse(ApiRefusal::NotChosen { asked: NEWER, served: served.clone() })
        }
        // Each version has /me, so that its answer alone proves nothing.
        ApiAnswer::Served(ServedBy::Unnamed) => return of_contacts(answer),
        ApiAnswer::NotServed { said } => return Err(said.clone()),
        ApiAnswer::Denied { kind: Denial::Permission, said, .. } => {
            ApiDecision::Refuse(ApiRefusal::Permission { said: said.clone() })
        }
        ApiAnswer::Denied { said, advice, .. } => refuse(said, advice),
        ApiAnswer::Later { said } => ApiDecision::Wait { said: said.clone() },
    })
}

/// Decides by the form of a list, because the answer to `/me` named no version.
fn of_contacts<'a>(answer: &impl Fn(ApiQuestion) -> Option<&'a ApiAnswer>) -> Result<ApiDecision, String> {
    let question = ApiQuestion::Contacts(NEWER);
    let Some(of_contacts) = answer(question) else { return Ok(ApiDecision::Ask(question)) };
    Ok(match of_contacts {
        ApiAnswer::Served(_) => choose(
            NEWER,
            "Intercom's answer named no version, and its list of contacts has the form of API 2.x".to_owned(),
        ),
        ApiAnswer::NotServed { said } => return Err(said.clone()),
        ApiAnswer::Denied { said, advice, .. } => refuse(said, advice),
        ApiAnswer::Later { said } => ApiDecision::Wait { said: said.clone() },
    })
}

/// Decides by the answer to the newest version of API 1.x. `newer` is the reason why the workspace
/// does not have API 2.x.
fn of_older<'a>(answer: &impl Fn(ApiQuestion) -> Option<&'a ApiAnswer>, note: &str, newer: &str) -> ApiDecision {
    let question = ApiQuestion::Me(OLDER);
    let Some(of_me) = answer(question) else { return ApiDecision::Ask(question) };
    let reason = || format!("{note}Intercom does not serve API {NEWER} ({newer}), and serves API 1.x");
    let neither = |older| ApiDecision::Refuse(ApiRefusal::NoneServed { newer: newer.to_owned(), older });
    let version = match of_me {
        ApiAnswer::Served(ServedBy::Version(served @ ApiVersion::V1(_))) => *served,
        ApiAnswer::Served(ServedBy::Unnamed) => OLDER,
        ApiAnswer::Served(by) => return neither(served_as(by)),
        ApiAnswer::NotServed { said } => return neither(said.clone()),
        ApiAnswer::Denied { kind: Denial::Permission, said, .. } => {
            return ApiDecision::Refuse(ApiRefusal::Permission { said: said.clone() });
        }
        ApiAnswer::Denied { said, advice, .. } => return refuse(said, advice),
        ApiAnswer::Later { said } => return ApiDecision::Wait { said: said.clone() },
    };
    match of_users(answer, version) {
        // A token that may not list users fails the run, whose error says what to do.
        OfUsers::Served | OfUsers::Denied(_) => choose(version, reason()),
        OfUsers::NotServed(said) => neither(said),
        OfUsers::Decided(decision) => decision,
    }
}

fn served_as(by: &ServedBy) -> String {
    match by {
        ServedBy::Version(version) => format!("served as version {version}"),
        ServedBy::Unknown(version) => format!("served as version {version}"),
        ServedBy::Unnamed => "served without the name of its version".to_owned(),
    }
}

fn refuse(said: &str, advice: &'static str) -> ApiDecision {
    ApiDecision::Refuse(ApiRefusal::Denied { said: said.to_owned(), advice })
}

#[cfg(test)]
mod tests;
