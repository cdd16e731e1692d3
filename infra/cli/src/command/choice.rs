//! The choice of the API before a run begins, for `probe`, `preview` and the question of `run`.

use intercom_bulk::domain::api::{
    Api, ApiAnswer, ApiChoice, ApiDecision, ApiQuestion, ApiRefusal, ApiSetting, LastApi, decide_api,
};
use intercom_bulk::intercom::{CALL_TIMEOUT, Error, Intercom, WorkspaceInfo};
use intercom_bulk::ledger::Ledger;
use intercom_bulk::plan::Plan;
use intercom_bulk::runtime::config::WorkspaceSettings;
use intercom_bulk_emulator::engine::machine_wall;

use super::local::ledger_in;
use super::workspace::{PAUSES, of_token, passing};
use super::{Access, CommandError};
use crate::state_dir::{Place, workspace_name};

/// The reason why Intercom's API or the workspace is unknown.
#[derive(Debug)]
pub(super) enum Unknown {
    /// An operator must act before an API can be chosen.
    Api(ApiRefusal),
    /// A request failed.
    Intercom {
        /// The family of its client.
        api: Api,
        /// The failure.
        error: Error,
    },
}

impl From<Unknown> for CommandError {
    fn from(unknown: Unknown) -> Self {
        match unknown {
            Unknown::Api(refusal) => Self::Api(refusal),
            Unknown::Intercom { api, error } => Self::intercom(api, error),
        }
    }
}

/// The prospect of a run of a plan.
pub(super) struct Prospect {
    /// The API that it would use.
    pub(super) choice: ApiChoice,
    /// The ledger of the workspace's runs before, if there is one. It may be damaged, or have no table yet.
    pub(super) runs_before: Option<Ledger>,
}

/// A choice of the API. Answers of Intercom are kept, so that a second choice asks only for more.
#[derive(Debug)]
pub(super) struct Chooser {
    intercom: Intercom,
    answers: Vec<(ApiQuestion, ApiAnswer)>,
    workspace: Option<WorkspaceInfo>,
}

impl Chooser {
    pub(super) fn new(intercom: &Intercom) -> Self {
        Self { intercom: intercom.clone(), answers: Vec::new(), workspace: None }
    }

    /// Returns the prospect of a run of the plan. A token that may not see its workspace has runs before in
    /// another folder, which a command that only reads can do without.
    pub(super) async fn looks(
        &mut self,
        access: &Access,
        reached: &WorkspaceSettings,
        plan: &Plan,
    ) -> Result<Prospect, Unknown> {
        let app_id = match self.workspace().await {
            Ok(told) => told.app_id,
            Err(Unknown::Intercom { error, .. }) if passing(&error).is_none() => String::new(),
            Err(unknown) => return Err(unknown),
        };
        self.prospect(access, reached, plan, &app_id).await
    }

    /// Returns the prospect of a run of the plan on this workspace.
    pub(super) async fn prospect(
        &mut self,
        access: &Access,
        reached: &WorkspaceSettings,
        plan: &Plan,
        app_id: &str,
    ) -> Result<Prospect, Unknown> {
        let name = workspace_name(reached.base_url.as_str(), app_id);
        let place = Place::existing(access.state.as_deref(), &name);
        let runs_before = place.and_then(|place| ledger_in(&place).ok());
        // The run itself reads the last API again.
        let last = match &runs_before {
            Some(runs) => runs.last_api_of(plan.name()).await.ok().flatten(),
            None => None,
        };
        Ok(Prospect { choice: self.choose(last.as_ref()).await?, runs_before })
    }

    /// Chooses the API of a run of a plan with this last run. Asks again if Intercom does not answer.
    pub(super) async fn choose(&mut self, last: Option<&LastApi>) -> Result<ApiChoice, Unknown> {
        let mut pauses = PAUSES.into_iter();
        let mut failure = None;
        loop {
            match decide_api(self.intercom.setting(), last, &self.answers) {
                ApiDecision::Choose(choice) => return Ok(choice),
                ApiDecision::Refuse(refusal) => return Err(Unknown::Api(refusal)),
                ApiDecision::Ask(question) => {
                    let asked = self.intercom.ask_api(question, CALL_TIMEOUT, machine_wall()()).await;
                    self.workspace = asked.workspace.or(self.workspace.take());
                    failure = asked.error;
                    self.answers.push((question, asked.answer));
                }
                ApiDecision::Wait { .. } => {
                    // Ask again, or fail with the last failure.
                    self.answers.retain(|(_, answer)| !matches!(answer, ApiAnswer::Later { .. }));
                    let Some(error) = failure.take() else { continue };
                    let Some(pause) = pauses.next() else {
                        return Err(Unknown::Intercom { api: self.intercom.api(), error });
                    };
                    tokio::time::sleep(passing(&error).unwrap_or_default().max(pause)).await;
                }
            }
        }
    }

    /// Returns the workspace of the token.
    pub(super) async fn workspace(&mut self) -> Result<WorkspaceInfo, Unknown> {
        let client = match self.intercom.setting() {
            ApiSetting::Fixed(_) => self.intercom.clone(),
            ApiSetting::Auto => {
                let choice = self.choose(None).await?;
                self.intercom.of_version(choice.version)
            }
        };
        if let Some(workspace) = self.workspace.clone() {
            return Ok(workspace);
        }
        of_token(&client).await.map_err(|error| Unknown::Intercom { api: client.api(), error })
    }
}
