//! Rare combinations of faults: each fault alone is harmless, or rarely meets the others.

use std::time::Duration;

use intercom_simulator::Fault;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::accident::Accident;
use crate::outage::{Down, Outage};
use crate::story::Story;

/// Adds a rare combination to about every eighth story.
///
/// It draws from its own source, so that the kept seeds repeat their stories.
pub(crate) fn added(mut story: Story) -> Story {
    let rng = &mut SmallRng::seed_from_u64(story.seed ^ 0x00C0_4B67);
    match rng.random_range(0..100) {
        0..4 => crowded(rng, &mut story),
        4..8 => seen_early(&mut story),
        8..12 => but_some(rng, &mut story),
        _ => {}
    }
    story
}

/// Other programs use more than our quota leaves, and the rate limit is low.
fn crowded(rng: &mut SmallRng, story: &mut Story) {
    let options = &mut story.options;
    options.rate_limit_per_10s = [40, 83][rng.random_range(0..2)];
    options.faults.retain(|fault| !matches!(fault, Fault::OthersSpend(_)));
    let limit = u64::from(options.rate_limit_per_10s);
    options.faults.push(Fault::OthersSpend(limit * rng.random_range(3..8) / 10));
}

/// Messages are delivered again during their invocation, and that invocation dies or freezes.
fn seen_early(story: &mut Story) {
    for (accident, least) in [(Accident::Early, 700), (Accident::Death, 10), (Accident::Freeze, 60)] {
        story.rates.raise(accident, least);
    }
}

/// An outage of bulk requests lets some users of one request through. It ends before submit gives
/// up a run's last users (three hours).
fn but_some(rng: &mut SmallRng, story: &mut Story) {
    if story.outage.is_some() || story.endless || story.calm_after.is_none() || story.has_poison() {
        return;
    }
    let from = Duration::from_secs(rng.random_range(0..30));
    let lasts = Duration::from_mins(rng.random_range(30..150));
    story.outage = Some(Outage { from, until: from + lasts, what: Down::BulkButSome });
}
