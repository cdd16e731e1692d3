//! Compares the progress line's time left with the real duration, over whole runs.

use std::time::Duration;

use intercom_bulk::domain::run::{RunId, State};
use intercom_bulk_cli::jobs_seen::JobsSeen;
use intercom_bulk_cli::progress::Sample;
use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users, with_attributes};
use crate::report::Report;

/// The interval between reads of the run.
const LOOK: Duration = Duration::from_secs(1);

/// The progress line at one moment of a run, in seconds from its start.
#[derive(Clone, Copy, Debug)]
struct Shown {
    at: f64,
    /// The end of the run by the time left.
    end: Option<f64>,
    percent: Option<u64>,
}

/// Runs the plan with these further fields of its start. Returns the progress lines, the duration and the end.
async fn watch(pipeline: &Pipeline, start: Value) -> (Vec<Shown>, f64, Report) {
    let began = Instant::now();
    let id = pipeline.start(start).await;
    let mut shown = Vec::new();
    let (mut seen, mut unread) = (JobsSeen::default(), began);
    loop {
        sleep(LOOK).await;
        let Some((run, sample)) = look(pipeline, &id, &mut seen, &mut unread).await else { continue };
        let at = began.elapsed().as_secs_f64();
        if run.state.ended() {
            return (shown, at, pipeline.until_ended(&id).await);
        }
        shown.push(Shown { at, end: sample.left.map(|left| at + left.as_secs_f64()), percent: sample.percent });
    }
}

async fn look(
    pipeline: &Pipeline,
    id: &RunId,
    seen: &mut JobsSeen,
    unread: &mut Instant,
) -> Option<(intercom_bulk::domain::run::Run, Sample)> {
    let (engine, ledger) = (&pipeline.engine, &pipeline.engine.clients.ledger);
    let (run, cursor) = ledger.run(id).await.unwrap().zip(ledger.cursor(id).await.unwrap())?;
    if cursor.tally.users == 0 {
        *unread = Instant::now();
    }
    let jobs = seen.read(ledger, &run).await.unwrap();
    assert!(jobs.ended <= jobs.made, "{jobs:?}");
    let tail = Duration::from_millis(engine.clients.settings.pace.look_first_ms as u64) + engine.ticks.1;
    let sample = Sample::of(&run, &cursor, &jobs, engine.now_ms(), unread.elapsed(), tail);
    Some((run, sample))
}

async fn assert_true(options: Options) {
    let name = format!("{} users at {}", options.users, options.rate_limit_per_10s);
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let (shown, took, report) = watch(&pipeline, Value::Null).await;
    report.assert_complete();
    assert_accurate(&name, 1.1, &shown, took);
}

/// The first estimate must be right within this factor, and the one at half-time within a fifth.
fn assert_accurate(name: &str, factor: f64, shown: &[Shown], took: f64) {
    let ends: Vec<(f64, f64)> = shown.iter().filter_map(|shown| Some((shown.at, shown.end?))).collect();
    let (first_at, first) = ends[0];
    let latest = ends.iter().map(|(_, end)| *end).fold(0.0, f64::max);
    let half = ends.iter().min_by(|a, b| (a.0 - took / 2.0).abs().total_cmp(&(b.0 - took / 2.0).abs())).unwrap();
    eprintln!(
        "{name}: took {took:.0} s; first shown at {first_at:.0} s: {first:.0} s; latest {latest:.0} s; at {:.0} s: {:.0} s",
        half.0, half.1
    );
    assert!(first_at < took / 2.0, "{name}: nothing is shown before half-time");
    assert!(latest <= first * factor, "{name}: the end moves from {first} to {latest}: {ends:?}");
    let left = (half.1 - half.0, took - half.0);
    assert!((left.0 - left.1).abs() <= 0.2 * left.1, "{name}: at half-time {} s left, and it took {}", left.0, left.1);
    let percents: Vec<u64> = shown.iter().filter_map(|shown| shown.percent).collect();
    assert!(percents.iter().all(|percent| *percent < 100) && percents.is_sorted(), "{name}: {percents:?}");
}

#[tokio::test(start_paused = true)]
async fn time_left_is_accurate_at_the_limit_of_2016() {
    let options = Options { rate_limit_per_10s: 83, latency_ms: 300, job_delay_s: 2, ..Options::default() };
    assert_true(Options { users: 2_000, ..options }).await;
}

#[tokio::test(start_paused = true)]
async fn time_left_is_accurate_at_the_limit_of_today() {
    let options = Options { rate_limit_per_10s: 1_667, latency_ms: 20, job_delay_s: 2, ..Options::default() };
    assert_true(Options { users: 20_000, ..options }).await;
}

/// Each user is read by a request of its own, of the same limit. A window's requests are sent in its first seconds, so
/// the estimate moves within it.
#[tokio::test(start_paused = true)]
async fn time_left_of_a_list_is_accurate() {
    for version in ["1.4", "2.17", "preview"] {
        let options = Options { rate_limit_per_10s: 166, latency_ms: 110, job_delay_s: 2, ..users(3_000) };
        let pipeline =
            Pipeline::of_version(version, HAS_AVATAR, with_attributes(&["has avatar:boolean"], options)).await;
        let all = pipeline.world.users();
        let ids: Vec<&Value> = all.iter().step_by(2).map(|user| &user["id"]).collect();
        let name = format!("{} users by id on {version}", ids.len());
        let (shown, took, report) = watch(&pipeline, json!({ "users": ids })).await;
        assert_eq!(report.state(), State::Complete, "{}", report.reason());
        assert_accurate(&name, 1.35, &shown, took);
    }
}
