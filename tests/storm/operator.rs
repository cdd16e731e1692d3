//! An operator's verbs: they reach the control function at any moment, which dies and is refused
//! like the others.

use std::sync::Arc;
use std::time::Duration;

use intercom_bulk::domain::run::{Run, RunId, State};
use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::await_point::Step;
use crate::functions::Functions;
use crate::storm::Storm;

/// The number of reads of the active run before the operator gives up.
const LOOKS: u32 = 90;
/// The number of times that the operator sends an event, and the wait between two.
const TRIES: u32 = 3;
const TRY_AGAIN: Duration = Duration::from_mins(1);
/// The time after which the operator cancels a paused run for the starts behind it.
const HELD_LONG: Duration = Duration::from_mins(10);
/// The number of reads of a run before the operator gives up its canary, and the time between two.
const CANARY_LOOKS: u32 = 240;
const CANARY_LOOK: Duration = Duration::from_secs(15);
/// The number of looks for a first bulk request, and the time between two.
const SUBMIT_LOOKS: u32 = 6_000;
const SUBMIT_LOOK: Duration = Duration::from_millis(200);

/// A verb of the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Pause,
    Resume,
    Cancel,
    Release,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Release => "release",
        }
    }
}

/// A verb at some moment, whether a run is at work or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct VerbAt {
    pub(crate) after: Duration,
    pub(crate) verb: Verb,
    /// It names the run; otherwise it means the active one.
    pub(crate) names: bool,
    /// Chooses the run of a release among all that began so far.
    of: usize,
}

/// An action of the operator on a run at work, and its time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Act {
    pub(crate) after: Duration,
    /// The time counts from the first bulk request, not from the begin of the story.
    pub(crate) amid: bool,
    /// The run is cancelled; otherwise it is paused.
    pub(crate) cancels: bool,
    /// The time between a pause and the resume.
    pub(crate) goes_on_after: Option<Duration>,
    /// The time between a cancellation and the release.
    pub(crate) releases_after: Option<Duration>,
}

/// Draws an operator's action in about every eighth story.
pub(crate) fn acts(rng: &mut SmallRng) -> Vec<Act> {
    if !rng.random_ratio(1, 8) {
        return vec![];
    }
    let after = Duration::from_millis(rng.random_range(500..120_000));
    let goes_on = Duration::from_secs(rng.random_range(1..400));
    let (cancels, goes_on_after) = (rng.random_ratio(1, 4), rng.random_ratio(2, 3).then_some(goes_on));
    vec![Act { after, amid: false, cancels, goes_on_after, releases_after: None }]
}

/// Draws verbs at any moment in about every eighth story. A cancel is rare: most runs must complete.
pub(crate) fn verbs(rng: &mut SmallRng) -> Vec<VerbAt> {
    if !rng.random_ratio(1, 8) {
        return vec![];
    }
    let count = rng.random_range(1..5);
    let verb = |rng: &mut SmallRng| match rng.random_range(0..14) {
        0..7 => Verb::Pause,
        7..13 => Verb::Resume,
        _ => Verb::Cancel,
    };
    let one = |rng: &mut SmallRng| VerbAt {
        after: Duration::from_millis(rng.random_range(500..240_000)),
        verb: verb(rng),
        names: rng.random_ratio(1, 2),
        of: 0,
    };
    (0..count).map(|_| one(rng)).collect()
}

/// Draws releases at any moment, of any run that has begun by then, in about every twelfth story.
pub(crate) fn releases(rng: &mut SmallRng) -> Vec<VerbAt> {
    if !rng.random_ratio(1, 12) {
        return vec![];
    }
    let count = rng.random_range(1..6);
    let one = |rng: &mut SmallRng| VerbAt {
        after: Duration::from_millis(rng.random_range(500..900_000)),
        verb: Verb::Release,
        names: true,
        of: rng.random_range(0..12),
    };
    (0..count).map(|_| one(rng)).collect()
}

/// Pauses or cancels the active run, and resumes it later.
pub(crate) async fn act(functions: Arc<Functions>, act: Act) {
    if act.amid && !has_submitted(&functions.storm).await {
        return;
    }
    sleep(act.after).await;
    let Some(run) = at_work(&functions.storm).await else { return };
    let verb = if act.cancels { Verb::Cancel } else { Verb::Pause };
    send(&functions, json!({verb.name(): run.id})).await;
    if let Some(after) = act.releases_after {
        sleep(after).await;
        release(&functions, &run.id).await;
    }
    let Some(after) = act.goes_on_after else { return };
    sleep(after).await;
    send(&functions, json!({"resume": true})).await;
}

/// Sends a verb at its moment.
pub(crate) async fn sends(functions: Arc<Functions>, at: VerbAt) {
    sleep(at.after).await;
    if at.verb == Verb::Release {
        return release_any(&functions, at.of).await;
    }
    let active = functions.storm.ledger.active().await.ok().and_then(|active| active.run);
    let run = active.filter(|_| at.names).map_or(json!(true), |run| json!(run));
    send(&functions, json!({at.verb.name(): run})).await;
}

/// Cancels a run that the operator paused and forgot, if a start waits behind it. Without this, the
/// story would last for 30 days.
pub(crate) async fn ends_holds(functions: Arc<Functions>) {
    let storm = &functions.storm;
    let mut held_before = None;
    loop {
        sleep(HELD_LONG).await;
        let waits = storm.ledger.waiting().await.is_ok_and(|waiting| !waiting.is_empty());
        let held = held(storm).await.filter(|_| waits).map(|run| run.id);
        if held.is_some() && held == held_before {
            send(&functions, json!({"cancel": held})).await;
        }
        held_before = held;
    }
}

/// Returns the paused run. A preview, a retry and an undo wait behind a run that a step paused, too.
async fn held(storm: &Storm) -> Option<Run> {
    let active = storm.ledger.active().await.ok()?.run?;
    storm.ledger.run(&active).await.ok()?.filter(|run| run.state == State::Paused)
}

/// Invokes control, again if it fails. Returns its answer.
pub(crate) async fn send(functions: &Functions, event: Value) -> Option<Value> {
    for _ in 0..TRIES {
        if let Ok(answer) = functions.invoke(Step::Control, event.clone()).await {
            return Some(answer);
        }
        sleep(TRY_AGAIN).await;
    }
    None
}

/// Resumes a run this long after its canary ended.
pub(crate) async fn goes_on(functions: Arc<Functions>, run: RunId, after: Duration) {
    for _ in 0..CANARY_LOOKS {
        sleep(CANARY_LOOK).await;
        match functions.storm.ledger.run(&run).await {
            Ok(Some(run)) if run.state.ended() => return,
            Ok(Some(run)) if run.state == State::Paused && run.canary_ended == Some(run.generation) => {
                sleep(after).await;
                send(&functions, json!({"resume": run.id})).await;
                return;
            }
            _ => {}
        }
    }
}

/// Cancels a run this long after it began, if it is one of those.
pub(crate) async fn cancels(functions: &Functions, after: Duration, is_meant: fn(&Run) -> bool) {
    if let Some(run) = at_work(&functions.storm).await.filter(is_meant) {
        sleep(after).await;
        send(functions, json!({"cancel": run.id})).await;
    }
}

/// Waits for the first bulk request. Returns whether there is one.
async fn has_submitted(storm: &Storm) -> bool {
    for _ in 0..SUBMIT_LOOKS {
        if storm.promises.has_submitted() {
            return true;
        }
        sleep(SUBMIT_LOOK).await;
    }
    false
}

/// Waits for a run that the steps work on.
async fn at_work(storm: &Storm) -> Option<Run> {
    for _ in 0..LOOKS {
        let active = storm.ledger.active().await.ok()?.run;
        if let Some(active) = active
            && let Some(run) = storm.ledger.run(&active).await.ok()?.filter(|run| run.state.works())
        {
            return Some(run);
        }
        sleep(Duration::from_secs(1)).await;
    }
    None
}

/// Releases a run, and does so again: the second release changes nothing. Nor does one of a run that has
/// not ended.
async fn release(functions: &Functions, run: &RunId) {
    for _ in 0..2 {
        // The function may die after the write.
        functions.storm.is_to_be_released(run);
        if let Some(answer) = send(functions, json!({"release": run})).await {
            functions.storm.release_was_answered(run, &answer).await;
        }
    }
}

/// Releases one of the runs that have begun.
async fn release_any(functions: &Functions, of: usize) {
    let runs = functions.storm.promises.runs();
    let run = runs.get(of % runs.len().max(1)).and_then(|run| RunId::parse(run));
    if let Some(run) = run {
        release(functions, &run).await;
    }
}
