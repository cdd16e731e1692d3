//! The chain of turns recovers from a lost message, and every run ends.

use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_simulator::{Fault, Options};
use serde_json::Value;
use tokio::time::sleep;

use crate::accident::Accident;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users};

/// The tick resends the current turn's message. By then the scroll has expired.
#[tokio::test(start_paused = true)]
async fn lost_turn_message_is_resent_by_the_tick() {
    for number in [1, 2, 5, 10, 11] {
        let lost = Accident::Lost { queue: "pages", number };
        let pipeline = Pipeline::with(HAS_AVATAR, users(900), settings(), vec![lost]).await;
        let report = pipeline.run(Value::Null).await;
        report.assert_complete();
        assert!(number == 11 || report.seconds >= 90, "message {number}: {} s", report.seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn silent_pages_queue_ends_the_run_at_its_deadline() {
    let lost = (1..=2_000).map(|number| Accident::Lost { queue: "pages", number }).collect();
    let pipeline = Pipeline::with(HAS_AVATAR, users(900), settings(), lost).await;
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_mins(30)).await;
    pipeline.rest(Duration::from_hours(25)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    let told = ["past its deadline", "was resent", "scroll function's errors", "0 of 900 users were read"];
    assert!(told.iter().all(|text| report.reason().contains(text)), "{}", report.reason());
    report.assert_nobody_lost();
}

/// A part that no queue delivers never ends, also if its message is sent again. The deadline ends
/// the run and counts it.
#[tokio::test(start_paused = true)]
async fn lost_part_is_counted_at_the_deadline() {
    // A page of 100 users has one part. All later messages are repetitions of the fifth.
    let lost = (5..=2_000).map(|number| Accident::Lost { queue: "patches", number }).collect();
    let report = Pipeline::with(HAS_AVATAR, users(450), settings(), lost).await.run(Value::Null).await;
    assert_eq!(report.state(), State::Incomplete);
    assert!(report.reason().contains("1 parts"), "{}", report.reason());
    report.assert_nobody_lost();
    assert!((86_400..87_600).contains(&report.seconds), "{}", report.seconds);
}

/// The limits are ten gaps per generation, and three generations without progress per run.
#[tokio::test(start_paused = true)]
async fn scroll_that_loses_every_page_ends_truthfully() {
    let faults = (2..=2_000).map(Fault::LosePage).collect();
    // The first page of its second generation is lost until the deadline.
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(3_000) }).await;
    let pipeline = pipeline.ticking(Duration::from_mins(5)).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    report.assert_nobody_lost();
    assert!(report.cursor.generation <= 5, "{}", report.cursor.generation);
    assert!(report.reason().contains("of 3000 users were read"), "{}", report.reason());
}

/// Every third page is lost, different ones in each generation. Each generation gets further, or
/// the limits end the run.
#[tokio::test(start_paused = true)]
async fn scroll_that_often_loses_pages_restarts_within_limits() {
    let faults = (1..=2_000).filter(|page| page % 3 == 0).map(Fault::LosePage).collect();
    let report = Pipeline::new(HAS_AVATAR, Options { faults, ..users(1_500) }).await.run(Value::Null).await;
    assert!(matches!(report.state(), State::Complete | State::Incomplete), "{}", report.reason());
    report.assert_nobody_lost();
    assert!(report.cursor.generation <= 20);
}

#[tokio::test(start_paused = true)]
async fn empty_workspace_is_complete_at_once() {
    let report = Pipeline::new(HAS_AVATAR, users(0)).await.run(Value::Null).await;
    report.assert_complete();
    assert!(report.seconds < 60);
}

/// An exactly full page is followed by an empty one. A short page does not end the scroll.
#[tokio::test(start_paused = true)]
async fn page_borders_lose_no_user() {
    for count in [1, 99, 100, 101, 200, 201] {
        Pipeline::new(HAS_AVATAR, users(count)).await.run(Value::Null).await.assert_complete();
    }
    let options = Options { page_size: 7, ..users(100) };
    Pipeline::new(HAS_AVATAR, options).await.run(Value::Null).await.assert_complete();
}
