//! Writes of one user each, of API 2.x: when they begin, and answers that are lost.

use std::collections::BTreeSet;
use std::time::Duration;

use intercom_bulk::domain::run::State;
use intercom_simulator::{ContactOptions, MergedWrite, Options};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::contacts::{LEADS, picture, pipeline, workspace};
use crate::intercom::Closed;
use crate::pauses::control;
use crate::pipeline::Pipeline;
use crate::plans::users;
use crate::report::Report;

/// Returns the number of writes that reached the workspace.
fn puts(pipeline: &Pipeline) -> u64 {
    let requests = pipeline.world.state().requests;
    requests.iter().filter(|(name, _)| name.starts_with("PUT")).map(|(_, count)| count).sum()
}

/// The record of a part takes 20 s, while other users are written and others wait for their requests.
#[tokio::test(start_paused = true)]
async fn write_begins_soon_after_its_authorisation_or_not_at_all() {
    for begun in [250, 700, 1_100] {
        let pipeline = pipeline(Options { rate_limit_per_10s: 1_667, latency_ms: 110, ..workspace(2_000) }).await;
        pipeline.start(Value::Null).await;
        pipeline.until(|state| state.contacts.written >= begun).await;
        pipeline.guard.hang("submit", "TransactWriteItems", Duration::from_secs(20));
        sleep(Duration::from_millis(400)).await;
        control(&pipeline, json!({"cancel": true}), "cancelled").await;
        sleep(Duration::from_secs(2)).await;
        let before = puts(&pipeline);
        sleep(Duration::from_mins(2)).await;
        assert_eq!(puts(&pipeline), before, "a request began later than 2 s after the cancel");
    }
}

/// The answers to requests of a minute's last seconds come and are recorded in the next minute.
#[tokio::test(start_paused = true)]
async fn results_are_in_the_bucket_of_their_first_request() {
    const LATENCY_MS: i64 = 7_000;
    let options = Options { rate_limit_per_10s: 120, latency_ms: LATENCY_MS as u64, ..workspace(1_500) };
    let pipeline = pipeline(options).await;
    let report = pipeline.run(Value::Null).await;
    report.assert_complete_with(LEADS);
    let (now, now_ms) = (Instant::now(), pipeline.engine.now_ms());
    let sent_ms: Vec<i64> = pipeline.way.puts().iter().map(|at| now_ms - (now - *at).as_millis() as i64).collect();
    let ends_ms: BTreeSet<i64> = report.jobs.iter().map(|row| row.bucket.begins_ms() + 60_000).collect();
    let mut under_way = 0;
    for end_ms in ends_ms {
        let sent = sent_ms.iter().filter(|sent_ms| **sent_ms < end_ms).count() as u64;
        let jobs = report.jobs.iter().filter(|row| row.bucket.begins_ms() < end_ms);
        let in_buckets: u64 = jobs.map(|row| row.users).sum();
        assert!(in_buckets >= sent, "until {end_ms} {sent} users were sent, and {in_buckets} are in buckets");
        under_way += sent_ms.iter().filter(|sent_ms| (end_ms - LATENCY_MS..end_ms).contains(*sent_ms)).count();
    }
    assert!(under_way > 50, "{under_way} requests were under way at the ends of minutes");
}

/// Switches the avatars of all users, so that the plan's values are the opposite ones.
fn switch_avatars(pipeline: &Pipeline) {
    for user in pipeline.world.users() {
        let switch = |user: &mut Value| {
            let had = user["avatar"]["image_url"].is_string();
            user["avatar"]["image_url"] = if had { Value::Null } else { json!("https://example.com/a.png") };
        };
        pipeline.world.set_user(user["id"].as_str().unwrap(), switch);
    }
}

/// The end of the run whose writes take effect late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Cancelled,
    Complete,
}

/// The writes of a run are carried out 50 s after their senders gave up. The next run writes the
/// opposite values.
#[tokio::test(start_paused = true)]
async fn later_run_waits_for_writes_that_take_effect_late() {
    for ends in [Ends::Cancelled, Ends::Complete] {
        let pipeline = pipeline(workspace(300)).await;
        pipeline.way.disturb("PUT", Closed::Late(75));
        let first = pipeline.start(Value::Null).await;
        sleep(Duration::from_secs(20)).await;
        pipeline.way.close(None);
        if ends == Ends::Cancelled {
            pipeline.cancel(&first).await;
        }
        while !pipeline.state(&first).await.is_some_and(State::ended) {
            sleep(Duration::from_secs(1)).await;
        }
        let state = pipeline.state(&first).await;
        assert_eq!(state, Some(if ends == Ends::Complete { State::Complete } else { State::Cancelled }));
        let second = pipeline.start_opposite().await;
        sleep(Duration::from_secs(2)).await;
        let waits = pipeline.waits(&second).await;
        assert!(waits.starts_with(&format!("requests of {first}, which ended at")), "{ends:?}: {waits}");
        pipeline.opposite_wins(&second).await;
        // No late write comes after it.
        sleep(Duration::from_mins(2)).await;
        pipeline.opposite_wins(&second).await;
    }
}

/// The list begins again, and its second reading finds other values.
#[tokio::test(start_paused = true)]
async fn next_generation_waits_for_writes_that_take_effect_late() {
    let faults = vec!["refuse-cursor=3".parse().unwrap()];
    let pipeline = pipeline(Options { faults, ..workspace(300) }).await;
    pipeline.way.disturb("PUT", Closed::Late(75));
    let run = pipeline.start(Value::Null).await;
    sleep(Duration::from_secs(8)).await;
    pipeline.way.close(None);
    switch_avatars(&pipeline);
    let report = pipeline.until_ended(&run).await;
    assert_eq!((report.state(), report.run.generation), (State::Complete, 2), "{}", report.reason());
    sleep(Duration::from_mins(2)).await;
    assert_eq!(Report::of(&pipeline, &run).await.lacking.len(), 0, "a late write came later");
}

/// A proxy answers 404 or 410 without Intercom's error, for one user and for all of them.
#[tokio::test(start_paused = true)]
async fn refusal_of_a_proxy_ends_no_run() {
    for (status, for_all) in [(404, false), (410, false), (404, true)] {
        let pipeline = pipeline(workspace(300)).await;
        let lacks = |user: &&Value| user["custom_attributes"].get("has avatar").is_none();
        let one = pipeline.world.users().iter().find(lacks).unwrap()["id"].as_str().unwrap().to_owned();
        let path = if for_all { "PUT" } else { format!("PUT /contacts/{one}").leak() };
        pipeline.way.disturb(path, Closed::Bare(status));
        let run = pipeline.start(Value::Null).await;
        sleep(Duration::from_secs(30)).await;
        assert_eq!(pipeline.state(&run).await.map(State::ended), Some(false), "{status} {for_all}");
        pipeline.way.close(None);
        let report = pipeline.until_ended(&run).await;
        report.assert_complete_with(LEADS);
        assert_eq!(report.accounts.totals.gone, 0);
    }
}

/// A process that dies repeats the requests that were under way or not recorded, of both invocations.
#[tokio::test(start_paused = true)]
async fn few_requests_are_repeated_after_a_crash() {
    for written in [1, 40, 170, 333, 700] {
        let mut pipeline = pipeline(Options { rate_limit_per_10s: 1_667, latency_ms: 110, ..workspace(2_000) }).await;
        let run = pipeline.start(Value::Null).await;
        pipeline.until(|state| state.contacts.written >= written).await;
        pipeline.crash().await;
        pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
        let report = pipeline.until_ended(&run).await;
        report.assert_complete_with(LEADS);
        let again = report.world.contacts.written - report.cursor.tally.patches;
        assert!(again <= 2 * (32 + 32), "{written}: {again} users were written again");
    }
}

/// A failed read of the run neither loses results nor repeats requests.
#[tokio::test(start_paused = true)]
async fn failed_call_of_the_ledger_repeats_no_request() {
    for operation in ["GetItem", "TransactWriteItems"] {
        let pipeline = pipeline(Options { rate_limit_per_10s: 400, latency_ms: 110, ..workspace(1_200) }).await;
        let run = pipeline.start(Value::Null).await;
        pipeline.until(|state| state.contacts.written >= 150).await;
        pipeline.guard.refuse_once("submit", operation);
        let report = pipeline.until_ended(&run).await;
        assert!(!pipeline.guard.refuses(), "{operation}: no call was refused");
        report.assert_complete_with(LEADS);
        assert_eq!(report.world.contacts.written, report.cursor.tally.patches, "{operation}");
    }
}

/// Intercom answers a write of a merged contact with the contact that took its place.
#[tokio::test(start_paused = true)]
async fn answer_with_another_contact_is_an_error_at_once() {
    let options = workspace(600);
    let contacts = ContactOptions { merged_write: MergedWrite::Canonical, ..options.contacts.clone() };
    let faults = vec!["gone-contact=merged:3%".parse().unwrap()];
    let pipeline = pipeline(Options { faults, contacts, ..options }).await;
    let report = pipeline.run(Value::Null).await;
    assert_eq!(report.state(), State::CompleteWithErrors, "{}", report.reason());
    let merged = report.world.contacts.gone.len();
    assert!(merged > 3, "{merged}");
    assert_eq!(report.errors.len(), merged);
    assert!(report.errors.iter().all(|row| row.code == "other_contact"), "{:?}", report.errors);
    assert_eq!(puts(&pipeline), report.cursor.tally.patches, "each user was sent once");
}

/// The answers to 32 requests arrive at once. One of them is a 429, or the 50th refusal alike.
#[tokio::test(start_paused = true)]
async fn no_request_begins_after_an_answer_that_ends_them() {
    let latency = Duration::from_millis(110);
    let faults = vec!["limit-call=write:20".parse().unwrap()];
    let pipeline = pipeline(Options { faults, latency_ms: 110, ..workspace(200) }).await;
    pipeline.run(Value::Null).await.assert_complete_with(LEADS);
    let begins = pipeline.way.puts();
    let answered = begins[19] + latency;
    let after = begins.iter().filter(|begin| (answered..answered + 3 * latency).contains(begin)).count();
    assert_eq!(after, 0, "requests began after the 429");

    let options = Options { contacts: ContactOptions::default(), latency_ms: 110, ..users(100) };
    let pipeline = Pipeline::of_version("2.17", &picture(), options).await;
    pipeline.way.disturb("GET /data_attributes", Closed::Answers(403));
    let paused = pipeline.run(Value::Null).await;
    assert_eq!(paused.state(), State::Paused, "{}", paused.reason());
    assert_eq!(pipeline.way.puts().len(), 2 * 32, "requests began after the 50th refusal");
}

/// A process dies between the error of a user and the job of its part. Then Intercom accepts the user.
#[tokio::test(start_paused = true)]
async fn accepted_user_has_no_error_of_an_interrupted_attempt() {
    for (later, gone) in [(None, 0), (Some(Closed::NoUser), 1)] {
        let mut pipeline = pipeline(workspace(300)).await;
        let lacks = |user: &&Value| user["custom_attributes"].get("has avatar").is_none();
        let one = pipeline.world.users().iter().find(lacks).unwrap()["id"].as_str().unwrap().to_owned();
        let path: &str = format!("PUT /contacts/{one}").leak();
        pipeline.way.disturb(path, Closed::Answers(400));
        pipeline.guard.hang("submit", "TransactWriteItems", Duration::from_secs(20));
        let run = pipeline.start(Value::Null).await;
        pipeline.until_an_error_is_recorded().await;
        pipeline.crash().await;
        match later {
            Some(how) => pipeline.way.disturb(path, how),
            None => pipeline.way.close(None),
        }
        pipeline.engine.scroll(json!({"resume": "restarted"})).await.unwrap();
        let report = pipeline.until_ended(&run).await;
        assert_eq!(report.errors, [], "{later:?}");
        assert_eq!((report.state(), report.accounts.totals.gone), (State::Complete, gone), "{}", report.reason());
    }
}
