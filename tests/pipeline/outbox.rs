//! A part is in the ledger before it is in the queue, so a lost message costs time only.

use std::time::Duration;

use intercom_bulk::domain::run::{FORMAT, RunId, State};
use intercom_bulk::domain::user::User;
use intercom_simulator::{Fault, Options};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::accident::Accident;
use crate::intercom::{Closed, Way};
use crate::pauses::DAY;
use crate::pipeline::{Pipeline, settings};
use crate::plans::{HAS_AVATAR, users, with_attributes};
use crate::report::Report;
use crate::unsettled::number;

/// The bound on the time that a lost message costs, in seconds. Three reads of the queue are a
/// minute apart, and the reads of the accounts before them too.
const LOST_COSTS_S: i64 = 15 * 60;

#[tokio::test(start_paused = true)]
async fn lost_message_of_a_part_is_sent_again() {
    for number in [1, 4, 9] {
        let accidents = vec![Accident::Lost { queue: "patches", number }];
        let report = Pipeline::with(HAS_AVATAR, users(900), settings(), accidents).await.run(Value::Null).await;
        report.assert_complete();
        assert_eq!(report.cursor.generation, 1, "no user was read again");
        assert_eq!(report.world.items, report.cursor.tally.patches, "no user was sent twice");
        assert!(report.seconds < LOST_COSTS_S, "{} s", report.seconds);
    }
}

/// A refused entry of a batch is sent again at once, and not after the minutes that a lost message costs.
#[tokio::test(start_paused = true)]
async fn refused_entries_of_a_batch_are_sent_again() {
    let run = async |accidents: Vec<Accident>| {
        let way = Way::of_version("2.17");
        let options = with_attributes(&["has avatar:boolean"], users(900));
        let report = Pipeline::on(way, HAS_AVATAR, options, settings(), accidents).await.run(Value::Null).await;
        report.assert_complete();
        assert_eq!(report.cursor.generation, 1, "no user was read again");
        assert_eq!(report.world.requests["PUT /contacts/{id}"], report.cursor.tally.patches, "none was sent twice");
        report.seconds
    };
    let undisturbed_s = run(Vec::new()).await;
    for refused in [vec![1], vec![2], vec![5, 7, 8]] {
        let took_s = run(refused.iter().copied().map(Accident::EntryRefused).collect()).await;
        assert!(took_s <= undisturbed_s + 60, "{refused:?}: {took_s} s, and {undisturbed_s} s without");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_follow_up_is_sent_again() {
    for number in 10..13 {
        let accidents = vec![Accident::Lost { queue: "patches", number }];
        let options = Options { faults: vec![Fault::ItemLimited(20.0)], ..users(900) };
        let report = Pipeline::with(HAS_AVATAR, options, settings(), accidents).await.run(Value::Null).await;
        report.assert_complete();
        assert_eq!(report.cursor.generation, 1, "no user was read again");
        assert!(report.seconds < LOST_COSTS_S, "{} s", report.seconds);
    }
}

/// A queue with more messages than parts without end does not show that one of them is lost. SQS deletes a
/// message after 14 days, so messages are sent again after 12. Only a run with a slow pace lasts as long: here
/// the deadline is moved.
#[tokio::test(start_paused = true)]
async fn messages_are_sent_again_before_sqs_deletes_them() {
    let accidents = vec![Accident::Lost { queue: "patches", number: 3 }];
    let pipeline = Pipeline::with(HAS_AVATAR, users(450), settings(), accidents).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.jobs.len() > 2).await;
    pipeline.stop().await;
    for mut item in pipeline.items().await {
        if item.contains_key("deadline_ms") {
            let deadline_ms = pipeline.engine.now_ms() + 40 * DAY.as_millis() as i64;
            item.insert("deadline_ms".to_owned(), number(deadline_ms));
            pipeline.put(item).await;
        }
    }
    // Messages of a newer version stay in the queue. They are so many that a part without a message shows
    // only by its age: otherwise it is sent again after one hour for each message.
    let mut newer: Vec<String> =
        (0..300).map(|part| json!({"v": FORMAT + 1, "run": run, "part": format!("{part:04}")}).to_string()).collect();
    for message in &newer {
        pipeline.send("patches", message).await;
    }
    pipeline.work();
    let waits = async |time: Duration| {
        pipeline.rest(time).await;
        sleep(Duration::from_mins(10)).await;
        pipeline.state(&run).await
    };
    assert_eq!(waits(DAY).await, Some(State::Draining), "the part without a message has no end");
    assert_eq!(waits(10 * DAY).await, Some(State::Draining));
    assert_eq!(waits(DAY).await, Some(State::Complete));
    let report = Report::of(&pipeline, &run).await;
    report.assert_complete();
    assert_eq!((report.run.generation, report.world.items), (1, report.cursor.tally.patches), "nothing was sent twice");
    let mut left = pipeline.sqs.bodies("patches");
    left.sort();
    newer.sort();
    assert_eq!(left, newer);
}

/// A rollback leaves a newer version's message in the queue, which is never empty then.
#[tokio::test(start_paused = true)]
async fn lost_follow_up_is_sent_again_although_a_newer_message_stays() {
    let accidents = vec![Accident::Lost { queue: "patches", number: 13 }];
    let options = Options { faults: vec![Fault::ItemLimited(20.0)], ..users(900) };
    let pipeline = Pipeline::with(HAS_AVATAR, options, settings(), accidents).await;
    pipeline.send("patches", &json!({"v": FORMAT + 1, "part": "0001"}).to_string()).await;
    let run = pipeline.start(Value::Null).await;
    while !pipeline.state(&run).await.is_some_and(State::ended) {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    let report = Report::of(&pipeline, &run).await;
    report.assert_complete();
    assert_eq!(report.cursor.generation, 1, "no user was read again");
    assert!((3_600..2 * 3_600).contains(&report.seconds), "{} s", report.seconds);
    assert_eq!(pipeline.sqs.bodies("patches").len(), 1, "the newer message stays");
}

/// One user's requests always fail, so its part is tried all the time. Four other parts have no message.
#[tokio::test(start_paused = true)]
async fn lost_messages_are_sent_again_although_a_part_is_tried() {
    let accidents = (5..9).map(|number| Accident::Lost { queue: "patches", number }).collect();
    let options = with_attributes(&["has avatar:boolean"], users(900));
    let way = Way::of_version("2.17");
    let pipeline =
        Pipeline::on(way, HAS_AVATAR, options, settings(), accidents).await.ticking(Duration::from_secs(20)).await;
    let failing = pipeline.world.users()[0]["id"].as_str().unwrap().to_owned();
    pipeline.way.disturb(format!("PUT /contacts/{failing}").leak(), Closed::Answers(503));
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_mins(90)).await;
    let users = pipeline.world.users().into_iter().filter_map(User::new);
    let lacking = users.filter(|user| pipeline.plan.evaluate(user).patch.is_some());
    assert_eq!(lacking.map(|user| user.id().to_string()).collect::<Vec<_>>(), [failing]);
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), report.errors.len()), (State::CompleteWithErrors, 1), "{}", report.reason());
}

/// Reads pages at the limit of 2016, until so many are requested. Then the process stops, and its
/// queues are lost.
async fn stopped_after(pages: u64, latency_ms: u64) -> (Pipeline, RunId) {
    let options = Options { rate_limit_per_10s: 83, latency_ms, ..users(900) };
    let mut pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.requests.get("GET /users/scroll").is_some_and(|count| *count >= pages)).await;
    pipeline.stop().await;
    pipeline.lose_queues().await;
    (pipeline, run)
}

fn assert_read_and_sent_once(report: &Report) {
    report.assert_complete();
    assert_eq!(
        (report.cursor.generation, report.world.requests["GET /users/scroll"]),
        (1, 10),
        "each page was read once"
    );
    assert_eq!(report.world.items, report.cursor.tally.patches, "no user was sent twice");
}

/// The queues of a laptop end with its process.
#[tokio::test(start_paused = true)]
async fn restart_sends_what_was_queued() {
    // The pages end long before the parts at this rate.
    let (pipeline, run) = stopped_after(10, 0).await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    assert_read_and_sent_once(&report);
}

#[tokio::test(start_paused = true)]
async fn restart_sends_parts_before_its_first_tick() {
    let (pipeline, run) = stopped_after(10, 0).await;
    pipeline.stop().await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let ledger = &pipeline.engine.clients.ledger;
    let stored = ledger.run(&run).await.unwrap().unwrap();
    let unended = ledger.unended_parts(&stored, 1, None).await.unwrap().unwrap().parts;
    assert!(unended.len() > 1, "{unended:?}");
    assert_eq!(pipeline.sqs.bodies("patches").len(), unended.len());
    let sent = ledger.resends(&run).await.unwrap();
    assert!(!sent.pending, "the next tick sends none of them again");
    pipeline.work();
    pipeline.until_ended(&run).await.assert_complete();
}

#[tokio::test(start_paused = true)]
async fn restart_goes_on_with_an_open_scroll() {
    let (pipeline, run) = stopped_after(4, 300).await;
    pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    let report = pipeline.until_ended(&run).await;
    assert_read_and_sent_once(&report);
}

/// The jobs of a part that is sent in pieces are recorded one by one, with the outcomes of their
/// users.
#[tokio::test(start_paused = true)]
async fn users_in_recorded_jobs_are_not_sent_again() {
    // A window has permits for 80 users, and parts have 100: each part needs two windows.
    let options = Options { rate_limit_per_10s: 100, ..users(400) };
    let mut pipeline = Pipeline::new(HAS_AVATAR, options).await;
    let run = pipeline.start(Value::Null).await;
    for jobs in 1..=4 {
        pipeline.until(|state| state.jobs.len() >= jobs).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        pipeline.crash().await;
        pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
    }
    let report = pipeline.until_ended(&run).await;
    report.assert_complete();
    let lost = report.accounts.totals.jobs_possibly_lost;
    let again = report.world.items - report.cursor.tally.patches.min(report.world.items);
    assert!(again <= 100 * lost, "{again} users were sent again, and {lost} jobs are possibly lost");
}

/// A message of a reading that was not committed has no effect.
#[tokio::test(start_paused = true)]
async fn part_of_a_void_reading_is_dropped() {
    let pipeline = Pipeline::new(HAS_AVATAR, Options { latency_ms: 300, ..users(300) }).await;
    let run = pipeline.start(Value::Null).await;
    pipeline.until(|state| state.jobs.len() > 1).await;
    let user = &pipeline.world.users()[0]["id"];
    let patch = json!({"u": user, "c": [{"t": {"attribute": "has avatar"}, "n": "void"}]});
    for reading in ["0.2", "999.1"] {
        let origin = json!({"page": {"page": 1, "part": 0, "reading": reading}});
        let part = json!({"v": 2, "run": run, "generation": 1, "origin": origin, "patches": [patch]});
        pipeline.send("patches", &part.to_string()).await;
    }
    let report = pipeline.until_ended(&run).await;
    assert_eq!(report.state(), State::Complete, "{}", report.reason());
    report.assert_complete();
    assert_eq!(report.world.items, report.cursor.tally.patches, "the void parts were not sent");
}
