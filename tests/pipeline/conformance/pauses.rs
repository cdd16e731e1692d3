//! Pauses: nothing begins while a run is paused, and its resume continues with what it has.

use std::time::Duration;

use intercom_bulk::domain::run::{Phase, RunId, State};
use intercom_bulk::runtime::event::StartEvent;
use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{On, workspace};
use crate::accident::Accident;
use crate::pauses::{DAY, control};
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, faults};
use crate::report::Report;
use crate::resumes::sort_key;

super::scenarios! {
    on_each_api: [
        pause_in_each_phase_costs_time_only,
        pause_keeps_the_position,
        queued_parts_survive_a_pause_of_29_days,
        scheduled_start_waits_behind_a_paused_run,
        superseding_start_ends_a_paused_run,
    ];
    pause_during_the_check_of_values_costs_time_only on [v1_4, preview] not [
        v2_17 "the answer to a write shows the values: none are read back"
    ];
}

/// A moment of a run at which an operator pauses it.
#[derive(Debug)]
struct Moment {
    state: State,
    phase: Phase,
    /// A turn is under way.
    leased: bool,
}

const MOMENTS: [Moment; 3] = [
    Moment { state: State::Running, phase: Phase::Turning, leased: true },
    Moment { state: State::Running, phase: Phase::Settling, leased: false },
    Moment { state: State::Draining, phase: Phase::Ended, leased: false },
];
const VERIFYING: Moment = Moment { state: State::Verifying, phase: Phase::Ended, leased: false };

impl Moment {
    /// Waits until a run is at this moment.
    async fn reached(&self, pipeline: &Pipeline, run: &RunId) {
        loop {
            let ledger = &pipeline.engine.clients.ledger;
            let (state, cursor) = (pipeline.state(run).await.unwrap(), ledger.cursor(run).await.unwrap().unwrap());
            if (state, cursor.phase, cursor.lease.is_some()) == (self.state, self.phase, self.leased) {
                return;
            }
            assert!(!state.ended(), "{self:?} was not seen");
            sleep(Duration::from_millis(150)).await;
        }
    }
}

/// Pauses a run for a time, asserts that it writes and reads nothing then, and resumes it.
async fn paused_for(on: On, pipeline: &Pipeline, run: &RunId, time: Duration) {
    control(pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_mins(1)).await;
    let requests = |state: intercom_simulator::State| [on.lists(&state), on.writes(&state), on.reads(&state)];
    let before = requests(pipeline.world.state());
    pipeline.rest(time).await;
    sleep(Duration::from_mins(2)).await;
    assert_eq!(pipeline.state(run).await, Some(State::Paused));
    assert_eq!(requests(pipeline.world.state()), before, "requests of a paused run");
    control(pipeline, json!({"resume": run}), "resumed").await;
}

/// Asserts that each part of the run's pages has its end.
async fn assert_parts_ended(pipeline: &Pipeline, moment: &Moment) {
    let items = pipeline.items().await;
    let of = |kind| items.iter().filter(move |item| sort_key(item).starts_with(kind));
    let parts: u64 = of("PAGE#").map(|item| item["parts"].as_n().unwrap().parse::<u64>().unwrap()).sum();
    let ended = of("PART#").filter(|item| item.contains_key("end")).count() as u64;
    assert_eq!(ended, parts, "{moment:?}: a part was left behind");
}

async fn pause_in_each_phase_costs_time_only(on: On) {
    paused_at(on, &MOMENTS).await;
}

async fn pause_during_the_check_of_values_costs_time_only(on: On) {
    paused_at(on, &[VERIFYING]).await;
}

/// The first generation loses a page or its cursor, so the run settles and reads again.
async fn paused_at(on: On, moments: &[Moment]) {
    for moment in moments {
        let lost = on.pick("lose-page=3", "refuse-cursor=3", "refuse-cursor=3");
        let options = Options { rate_limit_per_10s: 200, latency_ms: 400, job_delay_s: 9, ..workspace(400) };
        let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(&[lost]), ..options }).await;
        let run = pipeline.start(Value::Null).await;
        moment.reached(&pipeline, &run).await;
        // Longer than a generation waits for parts of which none ends.
        paused_for(on, &pipeline, &run, Duration::from_hours(5)).await;
        let report = pipeline.until_ended(&run).await;
        report.assert_complete();
        assert!(report.run.generation >= 2, "{moment:?}");
        assert_parts_ended(&pipeline, moment).await;
    }
}

/// Users that were read are not read again, if the position lives as long as the pause.
async fn pause_keeps_the_position(on: On) {
    let options = Options { rate_limit_per_10s: 100, latency_ms: 300, ..workspace(700) };
    let pipeline = on.pipeline(HAS_AVATAR, options).await;
    let to_change = Report::to_change(&pipeline) as u64;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| on.written(state) >= 100).await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    sleep(Duration::from_secs(20)).await;
    let before = on.writes(&pipeline.world.state());
    sleep(Duration::from_secs(20)).await;
    assert_eq!(on.writes(&pipeline.world.state()), before);
    control(&pipeline, json!({"resume": true}), "resumed").await;
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!((report.run.generation, report.cursor.gaps.len()), (1, 0));
    assert_eq!(on.written(&report.world), to_change, "no user was sent twice");
}

/// SQS keeps a message for 14 days. All parts are queued when the run is paused.
async fn queued_parts_survive_a_pause_of_29_days(on: On) {
    let (now, held) = (Instant::now(), Duration::from_mins(3));
    let accidents = vec![Accident::Held { queue: "patches", from: now, until: now + held }];
    let options = Options { rate_limit_per_10s: 83, page_size: 20, ..workspace(700) };
    let pipeline = on.with(HAS_AVATAR, options, settings(), accidents).await;
    let to_change = Report::to_change(&pipeline) as u64;
    let run = pipeline.start(Value::Null).await;
    let pipeline = pipeline.ticking(Duration::from_mins(1)).await;
    pipeline.until(|state| on.written(state) >= 60).await;
    assert_eq!(pipeline.state(&run).await, Some(State::Draining));
    let lists = on.lists(&pipeline.world.state());
    let deadline_ms = async || pipeline.engine.clients.ledger.run(&run).await.unwrap().unwrap().deadline_ms;
    let before_ms = deadline_ms().await;
    paused_for(on, &pipeline, &run, 29 * DAY).await;
    let left = to_change - on.written(&pipeline.world.state());
    assert!(left > to_change / 3, "{left} of {to_change} users were queued");
    let moved_ms = deadline_ms().await - before_ms;
    assert!((0..5 * 60_000).contains(&(moved_ms - 29 * 24 * 3_600_000)), "the deadline moves by {moved_ms} ms");
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!((report.run.generation, on.lists(&report.world)), (1, lists), "no page is read again");
    assert_eq!(on.written(&report.world), to_change, "no user was sent twice");
}

/// Starts a run, and pauses it after its first writes.
async fn paused(on: On) -> (Pipeline, RunId) {
    let options = Options { rate_limit_per_10s: 100, latency_ms: 300, ..workspace(500) };
    let pipeline = on.pipeline(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| on.written(state) >= 50).await;
    control(&pipeline, json!({"pause": true}), "paused").await;
    (pipeline, run)
}

/// Waits until a queued start has become a run, and for its end.
async fn ended(pipeline: &Pipeline, run: &RunId) -> Report {
    while pipeline.state(run).await.is_none() {
        sleep(Duration::from_secs(1)).await;
    }
    pipeline.until_ended(run).await
}

async fn scheduled_start_waits_behind_a_paused_run(on: On) {
    let (pipeline, run) = paused(on).await;
    sleep(Duration::from_secs(1)).await;
    let event = pipeline.start_event(&json!({"rails": {"limit": 100}}));
    let next = StartEvent::read(&event).unwrap().run().unwrap();
    let said = pipeline.engine.scroll(event).await.unwrap();
    assert!(said["hint"].as_str().is_some_and(|hint| hint.contains("supersede")), "{said}");
    sleep(Duration::from_mins(30)).await;
    assert_eq!((pipeline.state(&run).await, pipeline.state(&next).await), (Some(State::Paused), None));
    control(&pipeline, json!({"resume": true}), "resumed").await;
    pipeline.until_ended(&run).await.assert_jobs_known();
    assert_eq!(pipeline.state(&run).await, Some(State::Complete));
    let next = ended(&pipeline, &next).await;
    assert_eq!(
        (next.state(), next.cursor.tally.patches, next.dead.len()),
        (State::Complete, 0, 0),
        "{}",
        next.reason()
    );
    assert!(next.lacking.is_empty());
}

async fn superseding_start_ends_a_paused_run(on: On) {
    let (pipeline, run) = paused(on).await;
    let next = pipeline.start(json!({"supersede": true})).await;
    assert_eq!(pipeline.state(&run).await, Some(State::Cancelled));
    let report = ended(&pipeline, &next).await;
    report.assert_complete();
    let before = Report::of(&pipeline, &run).await.accounts.totals.written;
    assert_eq!(report.accounts.totals.written + before, on.written(&report.world), "each write belongs to a run");
}
