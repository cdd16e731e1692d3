//! An operator's actions on the active run: valid transitions, not subject to the weather.

use std::sync::Arc;
use std::time::Duration;

use intercom_bulk::control::{self, Released};
use intercom_bulk::domain::clock::Clock;
use intercom_bulk::domain::run::{Run, RunId};
use intercom_bulk::runtime::config::Settings;
use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::json;
use tokio::time::sleep;

use crate::await_point::Step;
use crate::functions::Functions;
use crate::storm::Storm;

/// An action of an operator, and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act {
    pub(crate) after: Duration,
    /// The run is cancelled; otherwise it is paused.
    pub(crate) cancels: bool,
    /// The time between a pause and the resume.
    pub(crate) goes_on_after: Option<Duration>,
    /// The time between a cancellation and the release.
    pub(crate) releases_after: Option<Duration>,
}

/// Draws an operator's action in about every eighth story.
pub(crate) fn drawn(rng: &mut SmallRng) -> Vec<Act> {
    if !rng.random_ratio(1, 8) {
        return vec![];
    }
    let after = Duration::from_millis(rng.random_range(500..120_000));
    let goes_on = Duration::from_secs(rng.random_range(1..400));
    let (cancels, goes_on_after) = (rng.random_ratio(1, 4), rng.random_ratio(2, 3).then_some(goes_on));
    vec![Act { after, cancels, goes_on_after, releases_after: None }]
}

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
    if let Some(after) = act.releases_after {
        sleep(after).await;
        release(storm, &run.id).await;
    }
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

/// Releases an ended run, and does so again: the second release changes nothing.
async fn release(storm: &Storm, run: &RunId) {
    let times = Settings::read(|_| None).expect("every setting has a default").settle_times();
    for _ in 0..2 {
        let released = control::release(&storm.ledger, run, &times, Clock::starting_at(storm.now_ms())).await;
        let released = released.expect("the ledger answers");
        storm.weather.note(|| format!("{run} is released: {released:?}"));
        if matches!(released, Released::Now { .. }) {
            storm.was_released(run);
        }
    }
}
