//! The starts of a story.

use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::{Value, json};

use crate::plans;
use crate::shape::Shape;
use crate::story::StartAt;

pub(crate) fn starts(rng: &mut SmallRng, shape: Shape) -> Vec<StartAt> {
    let count = if shape == Shape::Short { [1, 1, 1, 2, 2, 3][rng.random_range(0..6)] } else { rng.random_range(1..3) };
    let mut after_s = rng.random_range(0..60);
    (0..count)
        .map(|index| {
            let event = plans::start(rng, index);
            let start = StartAt {
                after: Duration::from_secs(after_s),
                event,
                listed: if rng.random_ratio(1, 14) { rng.random_range(1..45) } else { 0 },
                by_message: rng.random_ratio(1, 4),
                times: if rng.random_ratio(1, 6) { 2 } else { 1 },
                stored: false,
                goes_on_after: None,
            };
            after_s += rng.random_range(0..400);
            start
        })
        .collect()
}

/// Returns a start's event with random limits.
pub(crate) fn with_limits(rng: &mut SmallRng, mut event: Value) -> Value {
    let limits = match rng.random_range(0..16) {
        0 => json!({"max_errors": rng.random_range(0..4)}),
        1 => json!({"max_changes": {"users": rng.random_range(0..30)}}),
        2 => json!({"limit": rng.random_range(1..30)}),
        3 => json!({"dry_run": true}),
        _ => return event,
    };
    event["rails"] = limits;
    event
}

/// Gives the first start a limit that holds its parts back, or makes it a canary.
pub(crate) fn careful(start: &mut StartAt, rng: &mut SmallRng) {
    let mut limits = match rng.random_range(0..3) {
        0 => json!({"max_changes": {"users": rng.random_range(20..400)}}),
        1 => json!({"max_changes": {"percent": rng.random_range(40..=100)}}),
        _ => json!({}),
    };
    if rng.random_ratio(1, 3) {
        limits["max_errors"] = json!({"percent": rng.random_range(1..=20)});
    }
    if limits["max_changes"].is_null() || rng.random_ratio(1, 4) {
        limits["limit"] = json!(rng.random_range(1..30));
        limits["then_pause"] = json!(true);
        start.listed = 0;
        start.goes_on_after = rng.random_ratio(5, 6).then(|| Duration::from_secs(rng.random_range(1..200)));
    }
    start.event["rails"] = limits;
}

/// Gives a random start for all users a limit in percent, which needs no count. Returns true.
pub(crate) fn uncount(starts: &mut [StartAt], rng: &mut SmallRng) -> bool {
    let index = rng.random_range(0..starts.len());
    let start = &mut starts[index];
    start.listed = 0;
    start.by_message = true;
    start.event["rails"] = json!({"max_changes": {"percent": 50}});
    true
}

/// Adds a start with the first one's plan and second, but a different request.
pub(crate) fn again_in_the_same_second(starts: &mut Vec<StartAt>, rng: &mut SmallRng) {
    let mut start = starts[0].clone();
    start.after += Duration::from_millis(rng.random_range(0..2_000));
    start.by_message = true;
    if start.event["rails"]["max_changes"].is_null() {
        start.event["rails"] = json!({"max_errors": 1_000});
    } else {
        start.event["rails"] = json!({"limit": 3});
    }
    starts.push(start);
}
