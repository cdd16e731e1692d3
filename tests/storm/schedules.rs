//! Triggers: schedules that fire late, twice or not at all, starts, and foreign messages.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::accident::Accident;
use crate::await_point::Step;
use crate::functions::Functions;
use crate::storm::{BEGIN_MS, Storm};
use crate::story::{Nonsense, StartAt};

const MINUTE_MS: i64 = 60_000;
/// After this time without progress, a schedule may skip ticks. Otherwise six hours of waiting
/// would take too long.
const IDLE_MS: i64 = MINUTE_MS;
/// The interval of checks for parts in the queue.
const LOOK: Duration = Duration::from_millis(200);
const LOOKS: u32 = 300;

/// Invokes a function's tick each minute, until the story is over.
pub(crate) async fn ticks(functions: Arc<Functions>, step: Step) {
    loop {
        let storm = &functions.storm;
        let now_ms = storm.now_ms();
        let next_ms = (now_ms.div_euclid(MINUTE_MS) + missed(&functions) + 1) * MINUTE_MS;
        sleep(Duration::from_millis((next_ms - now_ms) as u64)).await;
        if storm.weather.strikes(Accident::TickMissed) {
            continue;
        }
        let times = if storm.weather.strikes(Accident::TickTwice) { 2 } else { 1 };
        for _ in 0..times {
            let late_s = if storm.weather.strikes(Accident::TickLate) { storm.weather.draw(1..=90) } else { 0 };
            let functions = functions.clone();
            storm.spawn(async move {
                sleep(Duration::from_secs(late_s)).await;
                // An error is in the trace; the next minute retries.
                let _ = functions.invoke(step, json!({"tick": {}})).await;
            });
        }
    }
}

/// Returns the number of skipped ticks while no progress happens.
fn missed(functions: &Functions) -> i64 {
    let storm = &functions.storm;
    // A first start waits for a tick, which reports the format that check reads.
    let idle_ms = storm.now_ms() - storm.promises.active_ms().max(BEGIN_MS);
    match idle_ms {
        _ if storm.weather.elapsed() < storm.story.ticks_all_until => 0,
        ..IDLE_MS => 0,
        ms if ms < 5 * IDLE_MS => storm.weather.draw(0..=4) as i64,
        ms if ms < 30 * IDLE_MS => storm.weather.draw(1..=8) as i64,
        _ => storm.weather.draw(5..=25) as i64,
    }
}

/// Sends a start as often as its schedule fires.
pub(crate) async fn start(functions: Arc<Functions>, sqs: aws_sdk_sqs::Client, start: StartAt) {
    sleep(start.after).await;
    let mut event = start.event;
    if start.listed > 0 {
        let users = functions.storm.world.0.users();
        let ids: Vec<Value> = users.iter().take(start.listed).map(|user| user["id"].clone()).collect();
        if !ids.is_empty() {
            event["users"] = json!(ids);
        }
    }
    if start.stored {
        let name = event["plan"]["name"].as_str().unwrap_or_default().to_owned();
        functions.storm.ledger.put_plan(&name, &event["plan"]).await.expect("the ledger takes a plan");
        event["plan"] = json!(name);
    }
    for _ in 0..start.times {
        if start.by_message {
            if let Some(bug) = functions.storm.promises.started(&event) {
                functions.storm.weather.bug(bug);
            }
            send(&sqs, "pages", &event.to_string()).await;
        } else {
            // Lambda tries an asynchronous event three times.
            for _ in 0..3 {
                if functions.invoke(Step::Scroll, event.clone()).await.is_ok() {
                    break;
                }
                sleep(Duration::from_mins(1)).await;
            }
        }
    }
}

/// Sends a resume event.
pub(crate) async fn resume(functions: Arc<Functions>, after: Duration) {
    sleep(after).await;
    let _ = functions.invoke(Step::Scroll, json!({"resume": true})).await;
}

/// Sends foreign messages to both queues, at once or when there are parts in the queue.
pub(crate) async fn nonsense(storm: Arc<Storm>, sqs: aws_sdk_sqs::Client, nonsense: Nonsense) {
    if !nonsense.after.is_zero() {
        sleep(nonsense.after).await;
        for _ in 0..LOOKS {
            if !storm.sqs.bodies("patches").is_empty() {
                break;
            }
            sleep(LOOK).await;
        }
    }
    for queue in ["pages", "patches"] {
        send(&sqs, queue, nonsense.body).await;
    }
}

async fn send(sqs: &aws_sdk_sqs::Client, queue: &str, body: &str) {
    let url = format!("http://sqs.model/000000000000/{queue}");
    let sent = sqs.send_message().queue_url(url).message_body(body).send().await;
    sent.expect("the model takes a message");
}
