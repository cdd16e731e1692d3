//! The starts of a story.

use std::time::Duration;

use rand::Rng;
use rand::rngs::SmallRng;
use serde_json::json;

use crate::plans;
use crate::story::{Shape, StartAt};

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
            };
            after_s += rng.random_range(0..400);
            start
        })
        .collect()
}

/// Gives a random start for all users a limit that needs a count. Returns true.
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
