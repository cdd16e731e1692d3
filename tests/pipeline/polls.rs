//! Check polls as fast as submit creates jobs.

use std::time::Duration;

use intercom_bulk::rate_limit::WINDOW_MS;
use intercom_bulk::runtime::config::{Pace, Settings};
use intercom_simulator::Options;
use serde_json::Value;
use tokio::time::sleep;

use crate::pipeline::{Pipeline, settings};
use crate::plans::users;

/// Changes every user, so that each page is a job.
const ALL_CHANGE: &str = r#"
name = "all-change"
[set.custom_attributes.polled]
type = "int"
value = "user.created_at % 7"
"#;

/// Number of observed windows, after those in which the first jobs become due.
const WINDOWS: usize = 60;

/// A job is polled 2.5 s, 5 s and 10 s after its creation, plus some seconds if a window is waited
/// for. Its task ends after 8 s.
const THREE_POLLS_MS: i64 = 15_000;
const JOB_DELAY_S: u64 = 8;

/// At 1,333 of 1,667 operations in 10 s, each window has 12 or 13 new jobs with three polls each.
#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the series says more than that it is flat")]
async fn jobs_with_three_polls_do_not_pile_up() {
    let options = Options { rate_limit_per_10s: 1_667, latency_ms: 600, job_delay_s: JOB_DELAY_S, ..users(95_000) };
    let settings = Settings { pace: Pace::LOCAL, quota_percent: 80, ..settings() };
    let pipeline = Pipeline::with(ALL_CHANGE, options, settings, Vec::new()).await;
    pipeline.start(Value::Null).await;
    let (mut late, mut polls, mut made) = (Vec::new(), Vec::new(), Vec::new());
    let mut before = (0, 0);
    for _ in 0..WINDOWS + 3 {
        sleep(Duration::from_millis(WINDOW_MS.unsigned_abs())).await;
        let now_ms = pipeline.engine.now_ms();
        let open = pipeline.engine.clients.ledger.due(i64::MAX / 2, i32::MAX).await.unwrap();
        late.push(open.iter().filter(|job| now_ms - job.made_ms > THREE_POLLS_MS).count());
        let state = pipeline.world.state();
        let now = (state.requests.get("GET /jobs/{id}").copied().unwrap_or_default(), state.jobs.len());
        polls.push(now.0 - before.0);
        made.push(now.1 - before.1);
        before = now;
    }
    println!("unclosed jobs older than three polls, by window: {late:?}\npolls: {polls:?}\njobs made: {made:?}");
    let (early, last) = (&late[3..13], &late[late.len() - 10..]);
    let mean = |counts: &[usize]| counts.iter().sum::<usize>() as f64 / counts.len() as f64;
    assert!(made[3..].iter().all(|made| *made >= 11), "submit is at work in each window: {made:?}");
    // Sequential polls at 0.6 s an answer were 17 in a window: late polls, 1.2 of each job.
    let (polls, made) = (polls[3..].iter().sum::<u64>() as f64, made[3..].iter().sum::<usize>() as f64);
    assert!(polls / made >= 2.7, "{polls} polls of {made} jobs: they are not polled when they are due");
    assert!(mean(last) <= mean(early) + 3.0, "{} at first, {} at last: {late:?}", mean(early), mean(last));
}
