//! Events of the functions and messages of both queues: each input is read as each of them.

use intercom_bulk::domain::api::WRITE_USERS_MAX;
use intercom_bulk::domain::user::UserId;
use intercom_bulk::plan::Plan;
use intercom_bulk::queue::{Message, PagesMessage};
use intercom_bulk::runtime::event::{self, ControlEvent, EventError, ScrollEvent, StartEvent};
use serde_json::Value;

use crate::memory::within;

/// The maximum length of a reason: it is one line of a log.
const REASON_BYTES_MAX: usize = 4096;

pub(crate) fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    within((1 << 20) + 200 * text.len(), || {
        body(text);
        if let Ok(event) = serde_json::from_str(text) {
            whole(&event);
        }
    });
}

/// Reads it as an event of each function.
fn whole(event: &Value) {
    match ScrollEvent::read(event) {
        Ok(ScrollEvent::Messages(messages)) => messages.iter().for_each(delivered),
        Ok(ScrollEvent::Start(start)) => started(&start),
        Ok(ScrollEvent::Tick | ScrollEvent::Resume(_)) => {}
        Err(error) => refused(&error),
    }
    match event::submit(event) {
        Ok(messages) => {
            let failed: Vec<String> = messages.iter().map(|message| message.id.clone()).collect();
            assert_eq!(
                event::batch_response(&failed)["batchItemFailures"].as_array().map(Vec::len),
                Some(messages.len())
            );
        }
        Err(error) => refused(&error),
    }
    if let Err(error) = event::check(event) {
        refused(&error);
    }
    match ControlEvent::read(event) {
        Ok(verb) => assert!(ControlEvent::read(&verb.to_json()).is_ok(), "{verb:?}"),
        Err(error) => refused(&error),
    }
}

/// Reads it as the body of a message.
fn body(text: &str) {
    delivered(&Message { id: "m".to_owned(), receipt: "r".to_owned(), body: text.to_owned(), receives: 1 });
}

fn delivered(message: &Message) {
    match message.pages_message() {
        Ok(PagesMessage::Start(value)) => match StartEvent::read(&value) {
            Ok(start) => started(&start),
            Err(error) => refused(&error),
        },
        Ok(PagesMessage::Turn(turn)) => assert!(serde_json::to_string(&turn).is_ok()),
        Err(error) => reasoned(&error.to_string()),
    }
    match message.part() {
        Ok(part) => {
            assert!((1..=WRITE_USERS_MAX).contains(&part.patches.len()));
            assert!(part.patches.iter().all(|patch| !patch.changes.is_empty()));
            // A parsed part serializes to an equal part.
            let back = serde_json::to_string(&part).expect("a part that was read can be written");
            let back = Message { body: back, ..message.clone() };
            assert_eq!(back.part().as_ref(), Ok(&part));
            let keys = [part.run.to_string(), part.id.to_string()];
            assert!(keys.iter().all(|key| key.len() <= 300), "no key of the ledger: {keys:?}");
            let ids = part.patches.iter().map(|patch| patch.user.as_str());
            assert!(ids.clone().all(|id| UserId::new(id).is_some()), "{:?}", ids.collect::<Vec<_>>());
        }
        Err(error) => reasoned(&error.to_string()),
    }
}

fn started(start: &StartEvent) {
    let _ = (start.source(), start.limits.max_changes.map(|most| most.of(u64::MAX)));
    if start.plan.is_object()
        && let Err(error) = Plan::from_json(&start.plan)
    {
        assert!(!error.to_string().is_empty());
    }
}

fn refused(error: &EventError) {
    reasoned(&error.to_string());
}

fn reasoned(reason: &str) {
    assert!((1..=REASON_BYTES_MAX).contains(&reason.len()), "a reason of {} bytes", reason.len());
    assert!(!reason.contains('@'), "{reason}");
    assert!(!reason.contains(char::is_control), "{reason:?}");
}
