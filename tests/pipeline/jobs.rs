//! Faults of a bulk job after its request.

use std::time::Duration;

use intercom_bulk::control;
use intercom_bulk::domain::run::State;
use intercom_bulk::ledger::End;
use intercom_simulator::{Fault, Options};
use serde_json::Value;
use tokio::time::sleep;

use crate::intercom::Closed;
use crate::pipeline::Pipeline;
use crate::plans::{HAS_AVATAR, users};
use crate::report::Report;

async fn with_faults(faults: Vec<Fault>) -> Report {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(450) }).await;
    pipeline.run(Value::Null).await
}

#[tokio::test(start_paused = true)]
async fn late_job_object_is_not_waited_for() {
    let report = with_faults(vec![Fault::LateJobObject(86_400)]).await;
    report.assert_complete();
    assert!(report.seconds < 300, "{}", report.seconds);
    assert!(report.world.jobs.iter().all(|job| job.state == "running"));
}

#[tokio::test(start_paused = true)]
async fn slow_tasks_are_waited_for_until_they_end() {
    let options = Options { job_delay_s: 2 * 3600, ..users(450) };
    let report = Pipeline::new(HAS_AVATAR, options).await.run(Value::Null).await;
    report.assert_complete();
    assert!(report.seconds > 7_000);
    let looks = report.world.requests["GET /jobs/{id}"];
    assert!(looks <= report.jobs.len() as u64 * 800, "{looks}");
}

#[tokio::test(start_paused = true)]
async fn job_lost_by_intercom_has_an_unknown_end() {
    let report = with_faults(vec![Fault::LoseJob(2)]).await;
    assert_eq!(report.state(), State::Incomplete);
    report.assert_nobody_lost();
    let unknown: Vec<_> = report.jobs.iter().filter(|job| job.end == Some(End::Unknown)).collect();
    assert_eq!(unknown.len(), 1);
    assert!(report.reason().contains(&format!("{} users are in jobs", unknown[0].users)), "{}", report.reason());
}

#[tokio::test(start_paused = true)]
async fn job_with_a_lost_answer_is_possibly_lost() {
    let report = with_faults(vec![Fault::LoseBulk(2)]).await;
    report.assert_complete();
    let lost: Vec<_> = report.world.jobs.iter().filter(|job| !job.answered).collect();
    assert_eq!(lost.len(), 1);
    assert!(report.accounts.totals.jobs_possibly_lost > 0);
    let totals = report.run.totals.as_ref().unwrap();
    assert_eq!(totals.jobs_possibly_lost, report.accounts.totals.jobs_possibly_lost);
}

/// Each of them may have created a job.
#[tokio::test(start_paused = true)]
async fn repeatedly_lost_answers_lose_no_user() {
    let report = with_faults((1..=60).map(Fault::LoseBulk).collect()).await;
    report.assert_complete();
    assert!(report.accounts.totals.jobs_possibly_lost >= 60, "{:?}", report.accounts.totals);
}

#[tokio::test(start_paused = true)]
async fn server_error_on_a_submission_is_retried() {
    let report = with_faults(vec![Fault::ErrorBulk(1), Fault::ErrorBulk(3), Fault::ErrorBulk(4)]).await;
    report.assert_complete();
    assert_eq!(report.world.items, report.cursor.tally.patches, "no job was made for a 500");
}

/// An outage of the bulk endpoint ends no run and drops no part, and the accounts name it.
#[tokio::test(start_paused = true)]
async fn hours_without_bulk_jobs_lose_no_user() {
    for (trouble, says, minutes) in [
        (Closed::Answers(503), "503 by_the_test", 120),
        (Closed::NoAnswer, "connection reset", 60),
        (Closed::Unsent, "connection refused", 30),
    ] {
        let pipeline = Pipeline::new(HAS_AVATAR, Options { rate_limit_per_10s: 83, ..users(450) }).await;
        let run = pipeline.start(Value::Null).await;
        pipeline.until(|state| !state.jobs.is_empty()).await;
        pipeline.way.disturb("POST /bulk/users", trouble);
        sleep(Duration::from_mins(minutes)).await;
        let ledger = &pipeline.engine.clients.ledger;
        let (row, cursor) = (ledger.run(&run).await.unwrap().unwrap(), ledger.cursor(&run).await.unwrap().unwrap());
        assert!(!row.state.ended(), "{trouble:?}: {:?}", row.reason);
        let held = ledger.accounts(&row, &cursor).await.unwrap().held.unwrap_or_default();
        assert!(held.contains(says), "{held}");
        let posts = pipeline.world.state().requests["POST /bulk/users"];
        assert!(posts < 20, "{posts} requests reached the workspace");
        pipeline.way.close(None);
        pipeline.until_ended(&run).await.assert_complete();
    }
}

#[tokio::test(start_paused = true)]
async fn endless_job_is_unknown_after_six_hours() {
    let report = with_faults(vec![Fault::JobNeverEnds(1)]).await;
    assert_eq!(report.state(), State::Incomplete);
    report.assert_nobody_lost();
    assert!((21_600..22_500).contains(&report.seconds), "{}", report.seconds);
    assert!(report.reason().contains("whose end Intercom did not report"), "{}", report.reason());
}

#[tokio::test(start_paused = true)]
async fn failed_job_is_not_a_success() {
    let report = with_faults(vec![Fault::JobFails(2)]).await;
    assert_eq!(report.state(), State::Incomplete);
    report.assert_nobody_lost();
    assert!(!report.lacking.is_empty());
    let said = format!("{} users are in jobs that Intercom reported as failed", report.lacking.len());
    assert!(report.reason().contains(&said), "{}", report.reason());
}

/// A new generation waits at most 15 minutes for it, then evaluates its users again. By then it can
/// change nothing.
#[tokio::test(start_paused = true)]
async fn endless_job_does_not_block_the_next_generation() {
    let report = with_faults(vec![Fault::LosePage(3), Fault::JobNeverEnds(1)]).await;
    assert_eq!((report.state(), report.cursor.generation), (State::Complete, 2), "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.accounts.totals.jobs_by_end["unknown"], 1);
}

/// Nothing was sent, so this is not an attempt at the users.
#[tokio::test(start_paused = true)]
async fn half_an_hour_without_a_network_loses_no_user() {
    let pipeline = Pipeline::new(HAS_AVATAR, users(450)).await;
    pipeline.way.close(Some("POST /bulk/users"));
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_mins(30)).await;
    assert_eq!(pipeline.world.state().items, 0);
    pipeline.way.close(None);
    pipeline.until_ended(&run).await.assert_complete();
}

/// A stopped run left a running job. The next plan's values must win.
#[tokio::test(start_paused = true)]
async fn run_waits_for_the_jobs_of_a_stopped_run() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { job_delay_s: 50, ..users(300) }).await;
    let first = pipeline.start(Value::Null).await;
    pipeline.until(|state| !state.jobs.is_empty()).await;
    let ledger = &pipeline.engine.clients.ledger;
    let run = ledger.run(&first).await.unwrap().unwrap();
    let now_ms = pipeline.engine.now_ms();
    assert!(control::cancel(ledger, &run, "by the test", now_ms).await.unwrap());
    let other = r#"
        name = "other"
        [set.custom_attributes."has avatar"]
        type = "bool"
        value = "user.avatar.image_url is not present"
    "#;
    let plan = intercom_bulk::plan::Plan::from_toml("plan.toml", other).unwrap();
    let time = jiff::Timestamp::from_millisecond(now_ms).unwrap();
    pipeline.engine.scroll(serde_json::json!({"plan": plan.to_json(), "time": time.to_string()})).await.unwrap();
    let second = intercom_bulk::domain::run::RunId::of("other", time.as_second());
    let second = pipeline.until_ended(&second).await;
    assert_eq!(second.state(), State::Complete, "{}", second.reason());
    let users = pipeline.world.users().into_iter().filter_map(intercom_bulk::domain::user::User::new);
    assert_eq!(users.filter(|user| plan.evaluate(user).patch.is_some()).count(), 0, "the older job came later");
}
