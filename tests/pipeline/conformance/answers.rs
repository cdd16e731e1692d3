//! Answers of Intercom that are lost or refused by the rate limit.

use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_simulator::Options;
use serde_json::Value;
use tokio::time::sleep;

use super::api::{On, workspace};
use crate::intercom::Closed;
use crate::plans::{HAS_AVATAR, faults};
use crate::report::Report;

super::scenarios! {
    on_each_api: [
        page_and_write_with_429_lose_no_user,
        other_programs_spend_the_rate_limit,
        small_rate_limit_is_kept,
        answer_lost_before_the_effect_loses_no_user,
        answer_lost_after_the_effect_loses_no_user,
        page_whose_answer_is_lost_loses_no_user,
    ];
}

async fn with(on: On, texts: &[&str]) -> Report {
    let pipeline = on.pipeline(HAS_AVATAR, Options { faults: faults(texts), ..workspace(500) }).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    let fired: u64 = report.world.fired.values().sum();
    assert_eq!(fired, texts.len() as u64, "{:?}", report.world.fired);
    report
}

async fn page_and_write_with_429_lose_no_user(on: On) {
    let texts = on.pick(
        ["limit-page=2", "limit-bulk=2", "limit-bulk-bare=4"],
        ["limit-call=list:2", "limit-call=write:20", "limit-call-bare=write:90"],
        ["limit-call-bare=list:2", "limit-call=bulk:2", "limit-call-bare=bulk:4"],
    );
    let report = with(on, &texts).await;
    assert_eq!(report.world.given_429, 3);
    assert_eq!(on.written(&report.world), report.cursor.tally.patches, "no user was written twice");
}

async fn other_programs_spend_the_rate_limit(on: On) {
    let options = Options { faults: faults(&["others-spend=40"]), rate_limit_per_10s: 83, ..workspace(400) };
    let pipeline = on.pipeline(HAS_AVATAR, Options { latency_ms: 100, ..options }).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    report.assert_users_accounted_for();
    report.assert_counts_add_up();
    report.assert_jobs_known();
    assert_eq!((report.lacking.len(), report.dead.len()), (0, 0));
    let windows = report.world.fired["others-spend"];
    assert!(windows > 3, "{:?}", report.world.fired);
    // The use of others is known from answers only, so some requests meet it.
    assert!(report.world.given_429 <= windows, "{} of {windows}", report.world.given_429);
    assert_eq!(on.written(&report.world), report.cursor.tally.patches, "no user was written twice");
}

async fn small_rate_limit_is_kept(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, Options { rate_limit_per_10s: 83, ..workspace(400) }).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete();
    assert_eq!(report.world.given_429, 0);
    assert_eq!(on.written(&report.world), report.cursor.tally.patches);
    let windows = report.cursor.tally.patches.div_ceil(83);
    assert!((report.seconds as u64) < 10 * (2 * windows + 8), "{} s for {windows} windows", report.seconds);
}

/// The writes of some seconds reach Intercom neither before nor after.
async fn answer_lost_before_the_effect_loses_no_user(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, workspace(500)).await;
    pipeline.way.disturb(on.write, Closed::NoAnswer);
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_secs(8)).await;
    pipeline.way.close(None);
    assert!(pipeline.way.kept_away() > 0);
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    assert_eq!(on.written(&report.world), report.cursor.tally.patches, "each user was written once");
    assert_eq!(report.accounts.totals.jobs_possibly_lost > 0, on.poll.is_some(), "{:?}", report.accounts.totals);
}

async fn answer_lost_after_the_effect_loses_no_user(on: On) {
    let texts = on.pick(
        ["lose-bulk=1", "lose-bulk=3"],
        ["lose-call=write:3", "late-error-call=write:70"],
        ["lose-bulk=1", "lose-call=bulk:3"],
    );
    let report = with(on, &texts).await;
    assert_eq!(report.state(), State::Complete);
    let again = on.written(&report.world) - report.accounts.totals.written.max(report.cursor.tally.patches);
    assert!((1..=on.pick(200, 2, 200)).contains(&again), "{again} users were written twice");
}

async fn page_whose_answer_is_lost_loses_no_user(on: On) {
    for nth in [1, 2, 4] {
        let text = if on.has_contacts() { format!("lose-call=list:{nth}") } else { format!("lose-page={nth}") };
        let report = with(on, &[&text]).await;
        let generations = if on.has_contacts() || nth == 1 { 1 } else { 2 };
        assert_eq!(report.run.generation, generations, "{text}: a page of a list can be requested again");
        assert_eq!(on.written(&report.world), report.accounts.totals.written, "{text}: no user was written twice");
    }
}
