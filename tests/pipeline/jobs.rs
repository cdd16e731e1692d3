//! Faults of a bulk job after its request.

use std::time::Duration;

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

/// A new generation waits until check closes the job as unknown, after six hours. Then it evaluates
/// the job's users again.
#[tokio::test(start_paused = true)]
async fn endless_job_holds_the_next_generation_for_six_hours() {
    let report = with_faults(vec![Fault::LosePage(3), Fault::JobNeverEnds(1)]).await;
    assert_eq!((report.state(), report.cursor.generation), (State::Complete, 2), "{}", report.reason());
    report.assert_nobody_lost();
    assert_eq!(report.accounts.totals.jobs_by_end["unknown"], 1);
    assert!((21_600..23_500).contains(&report.seconds), "{}", report.seconds);
}
