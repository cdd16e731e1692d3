//! An operator's actions on the active run: valid transitions, not subject to the weather.

use std::sync::Arc;
use std::time::Duration;

use intercom_bulk::control;
use intercom_bulk::domain::run::Run;
use serde_json::json;
use tokio::time::sleep;

use crate::await_point::Step;
use crate::functions::Functions;
use crate::storm::Storm;
use crate::story::Act;

/// The number of reads of the active run before the operator gives up.
const LOOKS: u32 = 90;

/// Pauses or cancels the active run, and resumes it later.
pub(crate) async fn acts(functions: Arc<Functions>, act: Act) {
    let storm = &functions.storm;
    sleep(act.after).await;
    let Some(run) = at_work(storm).await else { return };
    if act.cancels {
        cancel(storm, &run).await;
    } else {
        pause(storm, &run).await;
    }
    storm.run_may_have_changed(&run.id).await;
    let Some(after) = act.goes_on_after else { return };
    sleep(after).await;
    for _ in 0..3 {
        if functions.invoke(Step::Scroll, json!({"resume": true})).await.is_ok() {
            break;
        }
        sleep(Duration::from_mins(1)).await;
    }
}

/// Waits for a run that reads pages or submits.
async fn at_work(storm: &Storm) -> Option<Run> {
    for _ in 0..LOOKS {
        let active = storm.ledger.active().await.ok()?.run;
        if let Some(active) = active
            && let Some(run) = storm.ledger.run(&active).await.ok()?.filter(|run| run.state.submits())
        {
            return Some(run);
        }
        sleep(Duration::from_secs(1)).await;
    }
    None
}

async fn pause(storm: &Storm, run: &Run) {
    let paused = control::pause(&storm.ledger, run, "paused by an operator").await;
    assert!(paused.is_ok_and(|paused| paused), "no other write comes between the read and the pause");
}

async fn cancel(storm: &Storm, run: &Run) {
    let ended = control::cancel(&storm.ledger, run, "cancelled by an operator", storm.now_ms()).await;
    assert!(ended.is_ok_and(|ended| ended), "no other write comes between the read and the end");
}
