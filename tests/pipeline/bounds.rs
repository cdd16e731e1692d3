//! The chain of turns heals when a message is lost, and every run ends whatever happens.

use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_simulator::{Fault, Options};
use serde_json::Value;
use tokio::time::sleep;

use crate::accident::Accident;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users};

/// The tick sends the present turn's message again; by then the scroll has expired.
#[tokio::test(start_paused = true)]
async fn a_lost_message_of_the_chain_is_sent_again_by_the_tick() {
    for number in [1, 2, 5, 10, 11] {
        let lost = Accident::Lost { queue: "pages", number };
        let pipeline = Pipeline::with(HAS_AVATAR, users(900), settings(), vec![lost]).await;
        let report = pipeline.run(Value::Null).await;
        report.assert_complete();
        assert!(number == 11 || report.seconds >= 90, "message {number}: {} s", report.seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pages_queue_that_delivers_nothing_ends_the_run_at_its_deadline() {
    let lost = (1..=2_000).map(|number| Accident::Lost { queue: "pages", number }).collect();
    let pipeline = Pipeline::with(HAS_AVATAR, users(900), settings(), lost).await;
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_mins(30)).await;
    pipeline.rest(Duration::from_hours(25)).await;
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    let told = ["past its deadline", "was sent again", "scroll function's errors", "0 of 900 users were read"];
    assert!(told.iter().all(|text| report.reason().contains(text)), "{}", report.reason());
    report.assert_nobody_lost();
}

/// A part that no queue delivers has no end; the deadline ends the run and counts it.
#[tokio::test(start_paused = true)]
async fn a_part_that_is_lost_is_counted_at_the_deadline() {
    let lost = vec![Accident::Lost { queue: "patches", number: 3 }];
    let report = Pipeline::with(HAS_AVATAR, users(450), settings(), lost).await.run(Value::Null).await;
    assert_eq!(report.state(), State::Incomplete);
    assert!(report.reason().contains("1 parts"), "{}", report.reason());
    report.assert_nobody_lost();
    assert!((86_400..87_600).contains(&report.seconds), "{}", report.seconds);
}

/// Ten gaps are enough for a generation, and three generations that get no further for a run.
#[tokio::test(start_paused = true)]
async fn a_scroll_that_loses_every_page_ends_truthfully() {
    let faults = (2..=2_000).map(Fault::LosePage).collect();
    // Its second generation's first page is lost until the deadline.
    let pipeline = Pipeline::new(HAS_AVATAR, Options { faults, ..users(3_000) }).await;
    let pipeline = pipeline.ticking(Duration::from_mins(5)).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::Incomplete, "{}", report.reason());
    report.assert_nobody_lost();
    assert!(report.cursor.generation <= 5, "{}", report.cursor.generation);
    assert!(report.reason().contains("of 3000 users were read"), "{}", report.reason());
}

/// Every third page is lost, in each generation others: each gets further than the one before, or the bounds end it.
#[tokio::test(start_paused = true)]
async fn a_scroll_that_often_loses_pages_is_begun_again_within_bounds() {
    let faults = (1..=2_000).filter(|page| page % 3 == 0).map(Fault::LosePage).collect();
    let report = Pipeline::new(HAS_AVATAR, Options { faults, ..users(1_500) }).await.run(Value::Null).await;
    assert!(matches!(report.state(), State::Complete | State::Incomplete), "{}", report.reason());
    report.assert_nobody_lost();
    assert!(report.cursor.generation <= 20);
}

#[tokio::test(start_paused = true)]
async fn an_empty_workspace_is_complete_at_once() {
    let report = Pipeline::new(HAS_AVATAR, users(0)).await.run(Value::Null).await;
    report.assert_complete();
    assert!(report.seconds < 60);
}

/// A page that is exactly full is followed by an empty one; a short page is no end.
#[tokio::test(start_paused = true)]
async fn page_borders_lose_nobody() {
    for count in [1, 99, 100, 101, 200, 201] {
        Pipeline::new(HAS_AVATAR, users(count)).await.run(Value::Null).await.assert_complete();
    }
    let options = Options { page_size: 7, ..users(100) };
    Pipeline::new(HAS_AVATAR, options).await.run(Value::Null).await.assert_complete();
}
