//! The process dies after a request of each kind, and its queues are lost.

use intercom_simulator::{Options, State};
use serde_json::{Value, json};

use super::api::{On, workspace};
use crate::plans::HAS_AVATAR;
use crate::report::Report;

super::scenarios! {
    on_each_api: [crash_after_a_page_loses_no_user, crash_after_a_write_loses_no_user];
    crash_after_a_read_of_a_job_loses_no_user on [v1_4, preview] not [v2_17 "it has no bulk jobs"];
}

/// Dies when so many of the counted requests have reached the workspace, and restarts.
async fn dies_after(on: On, requests: u64, latency_ms: u64, count: impl Fn(&State) -> u64) -> Report {
    let options = Options { latency_ms, rate_limit_per_10s: 300, job_delay_s: 4, ..workspace(400) };
    let mut pipeline = on.pipeline(HAS_AVATAR, options).await;
    let to_change = Report::to_change(&pipeline) as u64;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| count(state) >= requests).await;
    pipeline.crash().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    let again = on.written(&report.world) - to_change;
    // Submit has two invocations. Each may have a job, or some writes, without a record.
    let most = on.pick(200, 128, 200);
    assert!(again <= most, "{requests}: {again} users were written twice");
    report
}

async fn crash_after_a_page_loses_no_user(on: On) {
    for (pages, latency_ms) in [(1, 0), (2, 700), (3, 300)] {
        let report = dies_after(on, pages, latency_ms, |state| on.lists(state)).await;
        assert!(report.run.generation == 1 || !on.has_contacts(), "a page of a list can be requested again");
    }
}

async fn crash_after_a_write_loses_no_user(on: On) {
    for (writes, latency_ms) in on.pick([(1, 3_000), (3, 150)], [(1, 110), (100, 110)], [(1, 3_000), (3, 150)]) {
        dies_after(on, writes, latency_ms, |state| on.writes(state)).await;
    }
}

async fn crash_after_a_read_of_a_job_loses_no_user(on: On) {
    let poll = on.poll.unwrap();
    let polls = |state: &State| state.requests.get(poll).copied().unwrap_or_default();
    for requests in [1, 4] {
        dies_after(on, requests, 100, polls).await;
    }
}
