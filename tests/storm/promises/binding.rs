//! A run is bound to a workspace: no request for it uses a token of another one.

use crate::await_point::Step;
use crate::seams::intercom::{FOREIGN, USERS, WHOSE};
use crate::storm::{Storm, Who};

impl Storm {
    /// Checks a request with a token of another workspace than the story's.
    ///
    /// It may read the token's workspace, or belong to a run that began there.
    pub(crate) fn goes_to_another_workspace(&self, who: Option<Who>, name: &str) {
        let Some(invoked) = self.invoked(who).filter(|_| name != WHOSE && !USERS.contains(&name)) else { return };
        let memory = self.promises.memory();
        let is_foreign = |run: &super::RunSeen| run.app_id.as_deref() == Some(FOREIGN);
        let allowed = match &invoked.run {
            Some(run) => memory.runs.get(run).is_some_and(is_foreign),
            // A start has no run yet; check has the runs of all jobs.
            None => invoked.step == Step::Scroll || memory.runs.values().any(is_foreign),
        };
        drop(memory);
        if !allowed {
            let run = invoked.run.as_deref().unwrap_or("a job");
            self.weather.bug(format!("{name} is sent for {run} with a token of another workspace"));
        }
    }
}
