//! The choice of the API of a run that begins.

use std::time::Duration;

use super::count::may_request;
use crate::domain::api::{ApiChoice, ApiDecision, ApiSetting, ApiVersion, LastApi, decide_api};
use crate::domain::run::Start;
use crate::plan::Plan;
use crate::runtime::clients::{Clients, StepError};
use crate::runtime::invocation::Invocation;

/// Time-out of one question.
const QUESTION_TIMEOUT: Duration = Duration::from_secs(8);

/// Chooses the API of a run: asks Intercom as long as the decision needs an answer. Returns the
/// failure if Intercom does not answer now.
///
/// # Errors
/// [`StepError::NoApi`] if no API can be chosen until an operator acts.
pub(super) async fn choose(
    clients: &Clients,
    start: &Start,
    at: &Invocation,
) -> Result<Result<ApiChoice, String>, StepError> {
    let setting = clients.intercom.setting();
    let last = match setting {
        ApiSetting::Auto => clients.ledger.last_api_of(&start.plan).await?,
        ApiSetting::Fixed(_) => None,
    };
    ask(clients, setting, last.as_ref(), at).await
}

/// Decides by Intercom's answers to the questions of the decision.
pub(super) async fn ask(
    clients: &Clients,
    setting: ApiSetting,
    last: Option<&LastApi>,
    at: &Invocation,
) -> Result<Result<ApiChoice, String>, StepError> {
    let mut answers = Vec::new();
    loop {
        let question = match decide_api(setting, last, &answers) {
            ApiDecision::Choose(choice) => return Ok(Ok(choice)),
            ApiDecision::Refuse(refusal) => return Err(refusal.into()),
            ApiDecision::Wait { said } => return Ok(Err(said)),
            ApiDecision::Ask(question) => question,
        };
        if let Err(reason) = may_request(clients, at).await? {
            return Ok(Err(reason.to_owned()));
        }
        let asked = clients.intercom.ask_api(question, QUESTION_TIMEOUT, at.clock.now_ms()).await;
        answers.push((question, asked.answer));
    }
}

/// Checks that a version has the fields that a plan reads and writes.
///
/// # Errors
/// [`StepError::NotOfApi`] if it does not.
pub(super) fn has_all(plan: &Plan, version: ApiVersion) -> Result<(), StepError> {
    let lacking = plan.lacking_in(version.api());
    if lacking.is_empty() { Ok(()) } else { Err(StepError::NotOfApi { version, lacking }) }
}
