//! The commit of a turn whose run was paused while the turn was at work. The page is not thrown
//! away: Intercom sends a page of an exclusive reading only once.

use crate::domain::run::decide::Commit;
use crate::domain::run::{Cursor, Pause, Run, State};
use crate::ledger::{Committing, LedgerError};
use crate::runtime::clients::Clients;
use crate::runtime::invocation::Invocation;

/// Commits a turn that changes its run's state, after its first commit was refused. Returns the
/// cursor if the run was paused in the meantime and this call committed the turn.
pub(super) async fn commit_while_paused(
    clients: &Clients,
    run: &Run,
    next: &Cursor,
    Committing { commit, page }: Committing<'_>,
    at: &Invocation,
) -> Result<Option<Cursor>, LedgerError> {
    let Commit::State { state, reason } = commit else { return Ok(None) };
    let Some(now) = clients.ledger.run(&run.id).await? else { return Ok(None) };
    let Some((paused, commit)) = while_paused(&now, *state, reason.as_deref()) else { return Ok(None) };
    let committing = Committing { commit: &commit, page };
    clients.ledger.commit(&paused, next.clone(), &at.request_id, committing, at.clock.now_ms()).await
}

/// Returns the run and the commit for a paused run whose turn decided on this state; `None` if the
/// run is not paused.
fn while_paused(run: &Run, state: State, reason: Option<&str>) -> Option<(Run, Commit)> {
    let pause = run.pause()?;
    let commit = |state, reason: Option<&str>| Commit::State { state, reason: reason.map(ToOwned::to_owned) };
    Some(match state {
        // The last page: a resume submits what is left.
        State::Draining => {
            let pause = Pause { from: State::Draining, ..pause };
            (Run { paused: Some(pause), ..run.clone() }, commit(State::Paused, run.reason.as_deref()))
        }
        // The run's own cause for a pause. An operator's pause stays one.
        State::Paused => (run.clone(), commit(State::Paused, reason)),
        state => (run.clone(), commit(state, reason)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn turn_of_a_paused_run_keeps_the_pause_or_ends_the_run() {
        let run = |state: &str| -> Run {
            let run = json!({"v": 1, "run": "p.1", "plan": "p", "state": state, "generation": 1, "started_ms": 0,
                "deadline_ms": 0, "reason": "by an operator",
                "paused": {"by": "operator", "from": "running", "since_ms": 5}});
            serde_json::from_value(run).unwrap()
        };
        for (decided, from, state, reason) in [
            (State::Draining, State::Draining, State::Paused, "by an operator"),
            (State::Paused, State::Running, State::Paused, "a limit"),
            (State::Failed, State::Running, State::Failed, "a limit"),
            (State::Incomplete, State::Running, State::Incomplete, "a limit"),
        ] {
            let (paused, commit) = while_paused(&run("paused"), decided, Some("a limit")).unwrap();
            assert_eq!(paused.pause().map(|pause| pause.from), Some(from), "{decided}");
            assert_eq!(commit, Commit::State { state, reason: Some(reason.to_owned()) }, "{decided}");
        }
        assert_eq!(while_paused(&run("running"), State::Draining, None), None, "another invocation has the turn");
        assert_eq!(while_paused(&run("cancelled"), State::Draining, None), None);
    }
}
