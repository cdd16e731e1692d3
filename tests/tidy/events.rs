//! The sample events: each parses as its name says, and each has a test.

use std::collections::BTreeSet;

use intercom_bulk::domain::run::{AtMost, Source};
use intercom_bulk::plan::Plan;
use intercom_bulk::queue::{Message, PagesMessage};
use intercom_bulk::runtime::event::{self, ControlEvent, Resume, ScrollEvent, StartEvent, Target};
use serde_json::Value;

use crate::source::{files, read};

/// A check of an event.
type Asked = fn(&Value);

/// The events by name.
const CASES: [(&str, Asked); 18] = [
    ("check-tick", |event| event::check(event).unwrap()),
    ("control-cancel", |event| match ControlEvent::read(event).unwrap() {
        ControlEvent::Cancel { target: Target::Run(_), reason: Some(_) } => {}
        other => panic!("no cancel of a run: {other:?}"),
    }),
    ("control-pause", |event| assert_eq!(ControlEvent::read(event).unwrap(), ControlEvent::Pause(Target::Active))),
    ("control-release", |event| {
        assert!(matches!(ControlEvent::read(event).unwrap(), ControlEvent::Release(_)));
    }),
    ("control-resume", |event| {
        assert!(matches!(ControlEvent::read(event).unwrap(), ControlEvent::Resume(Target::Run(_))));
    }),
    ("control-retry", |event| match ControlEvent::read(event).unwrap() {
        ControlEvent::Retry(request) => assert!(request.code.is_some() && request.time.is_some()),
        other => panic!("no retry: {other:?}"),
    }),
    ("control-undo", |event| match ControlEvent::read(event).unwrap() {
        ControlEvent::Undo(request) => assert!(!request.dry_run && request.time.is_some()),
        other => panic!("no undo: {other:?}"),
    }),
    ("eventbridge-scheduled", |event| {
        event::check(event).unwrap();
        assert_eq!(scroll(event), ScrollEvent::Tick);
    }),
    ("scroll-resume", |event| assert_eq!(scroll(event), ScrollEvent::Resume(Resume::Requested))),
    ("scroll-start-by-name", |event| {
        let start = start(event);
        assert_eq!((start.plan.as_str(), start.source()), (Some("has-avatar"), Source::All));
        assert!(start.time.is_some() && start.limits.max_changes.is_some() && start.limits.max_per_minute.is_some());
    }),
    ("scroll-start-canary", |event| {
        let limits = start(event).limits;
        assert_eq!((limits.limit, limits.then_pause), (Some(100), true));
        assert_eq!(limits.max_errors, Some(AtMost::Percent(5)));
    }),
    ("scroll-start-inline", |event| {
        let start = start(event);
        assert_eq!(Plan::from_json(&start.plan).unwrap().name(), "has-avatar");
        assert_eq!(start.limits.limit, Some(1_000));
    }),
    ("scroll-start-message", |event| match only(event).pages_message() {
        Ok(PagesMessage::Start(value)) => assert_eq!(StartEvent::read(&value).unwrap().plan, "has-avatar"),
        other => panic!("no start: {other:?}"),
    }),
    ("scroll-start-users", |event| assert!(matches!(start(event).source(), Source::Users(users) if users.len() == 2))),
    ("scroll-tick", |event| assert_eq!(scroll(event), ScrollEvent::Tick)),
    ("scroll-turn", |event| match only(event).pages_message() {
        Ok(PagesMessage::Turn(turn)) => assert_eq!(turn.turn, 3),
        other => panic!("no turn: {other:?}"),
    }),
    ("submit-mixed", |event| {
        let messages = event::submit(event).unwrap();
        let good: Vec<bool> = messages.iter().map(|message| message.part().is_ok()).collect();
        assert_eq!(good, [true, false]);
    }),
    ("submit-parts", |event| {
        let messages = event::submit(event).unwrap();
        let parts: Vec<_> = messages.iter().map(|message| message.part().unwrap()).collect();
        assert_eq!(parts.len(), 2);
        assert!(parts[0].run == parts[1].run && parts[0].id != parts[1].id);
        assert_eq!(messages.iter().map(|message| message.receives).collect::<Vec<_>>(), [1, 2]);
        // A missing, a null and a present old value are three cases in a patch.
        let replaced = parts.iter().flat_map(|part| &part.patches).flat_map(|patch| &patch.changes);
        let replaced: Vec<_> = replaced.map(|change| change.replaced.clone()).collect();
        assert_eq!(replaced, [Some(Value::Bool(false)), None, Some(Value::Null)]);
    }),
];

fn scroll(event: &Value) -> ScrollEvent {
    ScrollEvent::read(event).unwrap()
}

fn start(event: &Value) -> StartEvent {
    match scroll(event) {
        ScrollEvent::Start(start) => *start,
        other => panic!("no start: {other:?}"),
    }
}

/// Returns the only message of a batch of the pages queue.
fn only(event: &Value) -> Message {
    match scroll(event) {
        ScrollEvent::Messages(messages) if messages.len() == 1 => messages[0].clone(),
        other => panic!("not one message: {other:?}"),
    }
}

#[test]
fn each_sample_parses_as_its_name_says() {
    for (name, asked) in CASES {
        asked(&serde_json::from_str(&read(&format!("events/{name}.json"))).unwrap());
    }
}

#[test]
fn each_sample_has_a_test() {
    let there: BTreeSet<String> = files("events", "json").into_iter().collect();
    let tested: BTreeSet<String> = CASES.iter().map(|(name, _)| format!("events/{name}.json")).collect();
    assert_eq!(there, tested);
}

#[test]
fn samples_contain_no_personal_data() {
    for path in files("events", "json") {
        assert!(!read(&path).contains('@'), "{path} holds an e-mail address");
    }
}

#[test]
fn function_accepts_only_its_own_events() {
    for (name, _) in CASES {
        let event = serde_json::from_str(&read(&format!("events/{name}.json"))).unwrap();
        let tick = name.ends_with("-tick") || name.starts_with("eventbridge");
        assert_eq!(event::check(&event).is_ok(), tick, "{name}");
        let verb = name.starts_with("control-") || name == "scroll-resume";
        assert_eq!(ControlEvent::read(&event).is_ok(), verb, "{name}");
        assert!(!name.starts_with("control-") || ScrollEvent::read(&event).is_err(), "{name}");
        let records = Value::is_array(&event["Records"]);
        assert_eq!(event::submit(&event).is_ok(), records, "{name}");
    }
}
