//! The check of written values while Intercom does not return users.

use std::time::Duration;

use intercom_bulk::domain::run::{RunId, State};
use intercom_simulator::{Alteration, Fault, Options, Quirks, World};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::intercom::{Closed, TOKEN};
use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::users;
use crate::verifying::{READ, altered, note, patched, read_back, verifying};

fn noted() -> String {
    note("bool", "user.email is present")
}

/// Resumes a run with another token of its workspace: the check ends, and finds each value.
pub(crate) async fn resumes_with_a_token_of_its_own(pipeline: &Pipeline, run: &RunId) {
    pipeline.way.lead("dG9rOm5ldw", pipeline.world.clone());
    pipeline.way.store(Some("dG9rOm5ldw"));
    control(pipeline, json!({"resume": true}), "resumed").await;
    let report = pipeline.until_ended(run).await;
    report.assert_complete();
    assert_eq!(read_back(&report).kept, patched(&report));
}

#[tokio::test(start_paused = true)]
async fn user_that_cannot_be_read_is_left_out() {
    for how in [500, 404, 422].map(Closed::Answers).into_iter().chain([Closed::NoAnswer]) {
        for count in [30, 95] {
            let pipeline = Pipeline::new(&noted(), users(count)).await;
            let path = format!("GET /users/{}", pipeline.world.users()[7]["id"].as_str().unwrap());
            pipeline.way.disturb(path.leak(), how);
            let report = pipeline.run(Value::Null).await;
            report.assert_complete();
            let counted = read_back(&report);
            assert_eq!((counted.kept as usize, counted.unread), (count - 1, 1), "{how:?}");
            assert!(report.seconds < 400, "{how:?}: {} s", report.seconds);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn resource_that_is_missing_ends_the_check() {
    let (pipeline, run) = verifying(60, Closed::Answers(404)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Complete);
    let reason = report.reason();
    assert!(reason.starts_with("the written values were not all checked: 0 of ") && reason.contains("404"), "{reason}");
    assert!(report.seconds < 600, "{} s", report.seconds);
}

#[tokio::test(start_paused = true)]
async fn outage_of_an_hour_ends_the_check() {
    for how in [Closed::Answers(503), Closed::Unsent] {
        let (pipeline, run) = verifying(60, how).await;
        sleep(Duration::from_mins(1)).await;
        let progress = pipeline.engine.clients.ledger.read_back(&run).await.unwrap().unwrap();
        assert!(progress.failing().is_some(), "status names the reason: {progress:?}");
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.state(), State::Complete);
        let reason = report.reason();
        assert!(reason.contains("were not all checked: 0 of ") && reason.contains("no read worked"), "{reason}");
        assert!((3_600..4_500).contains(&report.seconds), "{} s", report.seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn short_refusal_does_not_end_the_check() {
    for status in [401, 403] {
        let (pipeline, run) = verifying(60, Closed::Answers(status)).await;
        sleep(Duration::from_mins(2)).await;
        assert_eq!(pipeline.state(&run).await, Some(State::Verifying), "{status}");
        pipeline.way.close(None);
        let report = pipeline.until_ended(&run).await;
        report.assert_complete();
        assert_eq!(read_back(&report).kept, patched(&report));
    }
}

#[tokio::test(start_paused = true)]
async fn values_that_differed_are_reported_by_a_stopped_check() {
    let pipeline = Pipeline::new(&noted(), altered(Alteration::Ignore, 30)).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.requests.get(READ).is_some_and(|count| *count >= 30)).await;
    sleep(Duration::from_secs(5)).await;
    pipeline.way.disturb("GET /users/5", Closed::Answers(403));
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::CompleteWithErrors);
    assert!(report.reason().contains("values of 30 users differed at their only read"), "{}", report.reason());
}

#[tokio::test(start_paused = true)]
async fn check_that_finds_nobody_says_so() {
    let (pipeline, run) = verifying(60, Closed::Answers(410)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), read_back(&report).gone), (State::Complete, patched(&report)));
    let reason = report.reason();
    assert!(reason.contains("not all checked: 0 of ") && reason.contains("returned none of them"), "{reason}");
}

/// Its answers may be those of another workspace, where all users seem to be gone.
#[tokio::test(start_paused = true)]
async fn token_of_an_unreported_workspace_reads_no_user_back() {
    let (pipeline, run) = verifying(40, Closed::Answers(503)).await;
    let quirks = Quirks { replace: vec![("\"app_id\"".to_owned(), "\"app\"".to_owned())], ..Quirks::default() };
    let other = World::new(Options { faults: vec![Fault::DenyMe], quirks, ..users(50) });
    pipeline.way.lead("dG9rOm90aGVy", other.clone());
    pipeline.way.store(Some("dG9rOm90aGVy"));
    pipeline.way.revoke(TOKEN);
    pipeline.way.close(None);
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Paused, "{}", report.reason());
    assert!(report.reason().contains("does not report which workspace"), "{}", report.reason());
    assert_eq!(other.state().requests.get(READ), None);
    resumes_with_a_token_of_its_own(&pipeline, &run).await;
}

/// A tick reads users back after it has polled jobs.
#[tokio::test(start_paused = true)]
async fn tick_counts_the_429s_of_its_reads() {
    let (pipeline, _) = verifying(60, Closed::Limited).await;
    pipeline.stop().await;
    sleep(Duration::from_mins(1)).await;
    let tick = pipeline.engine.check(json!({"tick": {}})).await.unwrap();
    assert!(tick["rate_limited"].as_u64().is_some_and(|count| count > 0), "{tick}");
}
