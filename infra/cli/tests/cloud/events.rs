//! The events that check puts on EventBridge.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::world::{World, plan};

/// EventBridge: it refuses the first request as a whole, and the entry of the second one.
#[derive(Clone, Default)]
struct Bus(Arc<Mutex<Vec<Value>>>);

impl Bus {
    async fn serve(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(put).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    fn entries(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    /// Waits for this many entries.
    async fn until(&self, count: usize) -> Vec<Value> {
        for _ in 0..600 {
            if self.entries().len() >= count {
                return self.entries();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{count} entries are expected: {:?}", self.entries());
    }
}

async fn put(State(bus): State<Bus>, headers: HeaderMap, body: String) -> (StatusCode, String) {
    assert_eq!(headers["x-amz-target"], "AWSEvents.PutEvents");
    let mut body: Value = serde_json::from_str(&body).unwrap();
    let entries = body["Entries"].as_array_mut().unwrap();
    assert_eq!(entries.len(), 1);
    let mut seen = bus.0.lock().unwrap();
    seen.push(entries.remove(0));
    let (status, answer) = match seen.len() {
        1 => {
            (400, json!({"__type": "AccessDeniedException", "Message": "not authorized to perform: events:PutEvents"}))
        }
        2 => (200, json!({"FailedEntryCount": 1, "Entries": [{"ErrorCode": "InternalFailure"}]})),
        _ => (200, json!({"FailedEntryCount": 0, "Entries": [{"EventId": "e-1"}]})),
    };
    (StatusCode::from_u16(status).unwrap(), answer.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_and_end_are_put_until_accepted_and_not_again() {
    let bus = Bus::default();
    let address = bus.serve().await;
    let settings = [("EVENT_BUS", "default"), ("AWS_ENDPOINT_URL_EVENTBRIDGE", &address), ("STACK_NAME", "bulk-eu")];
    let world = World::with("1500", &settings).await;
    world.object(&["put", &plan("has-avatar.toml"), "--json"], 0).await;
    let started = world.object(&["start", "has-avatar", "--json"], 0).await;
    let run = started["run"].as_str().unwrap();
    while world.call(&["pause", "--stack", "bulk-eu", "--json"]).await.status.code() != Some(0) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let seen = bus.until(3).await;
    let event = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    let detail = |entry: &Value| serde_json::from_str::<Value>(entry["Detail"].as_str().unwrap()).unwrap();
    // The counts are those of the attempt.
    let about = |entry: &Value| (event(entry, "DetailType"), entry["Time"].clone(), detail(entry)["run"].clone());
    assert!(seen.iter().all(|entry| about(entry) == about(&seen[0])), "a refused event is put again: {seen:#?}");
    let keys = ["EventBusName", "Source", "DetailType"].map(|key| event(&seen[0], key));
    assert_eq!(keys, ["default", "intercom-bulk", "Run Paused"]);
    let paused = detail(&seen[0]);
    let told = ["stack", "run", "plan", "state", "reason"].map(|key| paused[key].as_str().unwrap());
    assert_eq!(told, ["bulk-eu", run, "has-avatar", "paused", "paused by an operator"]);

    world.object(&["resume", "--stack", "bulk-eu", "--json"], 0).await;
    let ended = bus.until(4).await.remove(3);
    assert_eq!(event(&ended, "DetailType"), "Run Ended");
    let ended = detail(&ended);
    let status = world.object(&["status", "--run", run, "--json"], 0).await;
    assert_eq!((&ended["state"], &ended["users"]), (&json!("complete"), &json!(1_500)), "{ended}");
    for count in ["written", "unchanged", "skipped", "failed", "pending"] {
        assert_eq!(ended["counts"][count], status[count], "{count}: {ended} {status}");
    }
    let ticks = world.invoked("check");
    while world.invoked("check") < ticks + 3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(bus.entries().len(), 4, "an accepted event is not put again");
}
