//! Alignment to wall time.

use std::cell::RefCell;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::watch;

use super::{every, next};

#[test]
fn next_time_is_a_later_multiple_of_the_period() {
    let minute = Duration::from_mins(1);
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    assert_eq!(next(minute, at("2016-11-24T10:05:59.9Z")), Some(at("2016-11-24T10:06:00Z")));
    assert_eq!(next(minute, at("2016-11-24T10:06:00Z")), Some(at("2016-11-24T10:07:00Z")));
    assert_eq!(next(minute * 15, at("2016-11-24T10:06:00Z")), Some(at("2016-11-24T10:15:00Z")));
    assert_eq!(next(Duration::ZERO, at("2016-11-24T10:06:00Z")), None);
    assert_eq!(next(minute, Timestamp::MAX), None);
}

#[tokio::test]
async fn each_period_invokes_once_until_the_stop() {
    let (stop, stopped) = watch::channel(false);
    let seen = RefCell::new(Vec::new());
    let handler = |event: serde_json::Value| {
        seen.borrow_mut().push(event.as_i64().unwrap());
        stop.send_replace(seen.borrow().len() == 3);
        std::future::ready(Err("an error ends no schedule".to_owned()))
    };
    let now = Timestamp::from_millisecond(3).unwrap();
    let input = |scheduled: Timestamp| json!(scheduled.as_millisecond());
    every(Duration::from_millis(20), now, input, handler, stopped).await;
    let seen = seen.into_inner();
    assert_eq!(seen[0], 20);
    assert!(seen.iter().all(|at| at % 20 == 0) && seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}
