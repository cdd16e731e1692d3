//! Slow pages: the client gives up before the invocation ends, and a setting allows more time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_bulk::runtime::config::Settings;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};

use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;
use crate::verifying::{READ, read_back};

async fn with(fault: Fault, page_timeout_s: u64, latency_ms: u64) -> Report {
    let options = Options { faults: vec![fault], latency_ms, ..users(450) };
    let settings = Settings { page_timeout: Duration::from_secs(page_timeout_s), ..settings() };
    Pipeline::with(HAS_AVATAR, options, settings, Vec::new()).await.run(Value::Null).await
}

#[tokio::test(start_paused = true)]
async fn page_slower_than_the_time_out_is_a_gap() {
    let report = with(Fault::SlowPage { page: 3, seconds: 20 }, 15, 0).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 2);
}

#[tokio::test(start_paused = true)]
async fn page_slower_than_the_scroll_is_read_again() {
    let report = with(Fault::SlowPage { page: 3, seconds: 70 }, 15, 0).await;
    report.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn slow_pages_complete_with_a_longer_time_out() {
    let report = with(Fault::SlowPages(45), 50, 0).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 1);
}

#[tokio::test(start_paused = true)]
async fn pages_just_below_the_time_out_complete() {
    let report = with(Fault::SlowPages(14), 15, 0).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 1);
}

/// It is unknown whether the scroll's minute begins with the request or with the late answer. So an
/// attempt at a new scroll may meet our own scroll.
#[tokio::test(start_paused = true)]
async fn slow_pages_end_truthfully_with_the_default_time_out() {
    let report = with(Fault::SlowPages(45), 15, 0).await;
    assert!(matches!(report.state(), State::Incomplete | State::Failed), "{}", report.state());
    report.assert_users_accounted_for();
    report.assert_jobs_known();
    assert_eq!(report.world.items, 0);
}

#[tokio::test(start_paused = true)]
async fn slow_network_completes() {
    let report = with(Fault::SlowPages(0), 15, 8_000).await;
    report.assert_complete();
}

/// Each request takes 2 s, and a page of a list has 20 users. None is read twice.
#[tokio::test(start_paused = true)]
async fn users_of_a_list_are_read_at_the_same_time() {
    let options = Options { latency_ms: 2_000, ..users(44) };
    let pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let ids: Vec<Value> = pipeline.world.users().iter().map(|user| user["id"].clone()).collect();
    let report = pipeline.run(json!({ "users": ids })).await;
    report.assert_complete();
    let checks = u64::from(read_back(&report).users);
    assert_eq!((report.cursor.generation, report.world.requests[READ]), (1, 44 + checks));
    let read_ms = pipeline.engine.done.last_page_ms.load(Ordering::Relaxed) - report.run.started_ms;
    assert!(read_ms < 20_000, "three pages in {read_ms} ms");
}
