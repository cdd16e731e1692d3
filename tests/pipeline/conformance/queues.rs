//! Effects of a standard queue on messages.

use std::time::Duration;

use intercom_simulator::Options;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::{On, workspace};
use crate::accident::Accident;
use crate::pipeline::settings;
use crate::plans::HAS_AVATAR;
use crate::report::Report;

super::scenarios! {
    on_each_api: [
        duplicate_messages_change_nothing,
        lost_messages_are_sent_again,
        late_messages_lose_no_user,
        late_message_of_an_ended_run_is_dropped,
    ];
}

async fn with(on: On, latency_ms: u64, accidents: Vec<Accident>) -> Report {
    let options = Options { latency_ms, ..workspace(600) };
    let report = on.with(HAS_AVATAR, options, settings(), accidents).await.run(Value::Null).await;
    report.assert_complete();
    report
}

async fn duplicate_messages_change_nothing(on: On) {
    for accident in [Accident::SentTwice, Accident::DeliveredTwice] {
        for latency_ms in [0, 400] {
            let report = with(on, latency_ms, vec![accident]).await;
            let patches = report.cursor.tally.patches;
            assert_eq!(on.written(&report.world), patches, "{accident:?}: no user was written twice");
            // The scroll has one more that is empty, and the list is requested for its count.
            let pages = 600 / on.page_users + 1;
            assert_eq!(on.lists(&report.world), pages, "{accident:?}: each page was requested once");
        }
    }
}

async fn lost_messages_are_sent_again(on: On) {
    for (queue, number) in [("pages", 1), ("pages", 3), ("patches", 1), ("patches", 3)] {
        let report = with(on, 0, vec![Accident::Lost { queue, number }]).await;
        let patches = report.accounts.totals.written;
        assert_eq!(on.written(&report.world), patches, "{queue} {number}: no user was written twice");
        assert!(report.run.generation == 1 || queue == "pages", "{queue} {number}: no user was read again");
        assert!((60..900).contains(&report.seconds), "{queue} {number}: {} s", report.seconds);
    }
}

/// Some minutes: the scroll of API 1.x has expired by then.
async fn late_messages_lose_no_user(on: On) {
    for queue in ["pages", "patches"] {
        let from = Instant::now();
        let until = from + Duration::from_mins(4);
        let report = with(on, 300, vec![Accident::Held { queue, from, until }]).await;
        assert_eq!(on.written(&report.world), report.accounts.totals.written, "{queue}: no user was written twice");
        assert!((200..900).contains(&report.seconds), "{queue}: {} s", report.seconds);
    }
}

async fn late_message_of_an_ended_run_is_dropped(on: On) {
    let pipeline = on.pipeline(HAS_AVATAR, workspace(300)).await;
    let first = pipeline.run(Value::Null).await;
    first.assert_complete();
    let user = &pipeline.world.users()[0]["id"];
    let origin = json!({"page": {"page": 1, "part": 7}});
    let patch = json!({"u": user, "c": [{"t": {"attribute": "has avatar"}, "n": "void"}]});
    let part = json!({"v": first.run.v, "run": first.run.id, "generation": 1, "origin": origin, "patches": [patch]});
    pipeline.send("patches", &part.to_string()).await;
    pipeline.send("pages", &json!({"v": first.run.v, "run": first.run.id, "turn": 2}).to_string()).await;
    sleep(Duration::from_mins(5)).await;
    let second = pipeline.run(Value::Null).await;
    second.assert_complete();
    assert_eq!(on.writes(&second.world), on.writes(&first.world), "the part was not sent");
}
