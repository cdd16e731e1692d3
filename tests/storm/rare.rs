//! Rare combinations of faults: each fault alone is harmless, or rarely meets the others.

use std::time::Duration;

use intercom_simulator::Fault;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::accident::Accident;
use crate::limits;
use crate::operator::Act;
use crate::outage::{Down, Outage};
use crate::plans;
use crate::starts::careful;
use crate::story::Story;

/// Adds a rare combination to about every fifth story.
///
/// It draws from its own source, so that the kept seeds repeat their stories.
pub(crate) fn added(mut story: Story) -> Story {
    let rng = &mut SmallRng::seed_from_u64(story.seed ^ 0x00C0_4B67);
    match rng.random_range(0..100) {
        0..4 => crowded(rng, &mut story),
        4..8 => seen_early(&mut story),
        8..12 => but_some(rng, &mut story),
        12..22 => followed(rng, &mut story),
        _ => {}
    }
    // Another source, for later additions.
    let later = &mut SmallRng::seed_from_u64(story.seed ^ 0x00CA_4EF1);
    if later.random_ratio(1, 8) {
        careful(&mut story.starts[0], later);
    }
    limits::paced(&mut story);
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

/// A run is followed by one that sets the opposite values. The first is stopped, or its jobs are
/// slow, or Intercom carries out a request late. An operator may release it.
fn followed(rng: &mut SmallRng, story: &mut Story) {
    if story.endless || story.calm_after.is_none() || story.is_denied() {
        return;
    }
    for (accident, least) in [(Accident::LateEffect, 250), (Accident::LostAfter, 100)] {
        if rng.random_ratio(1, 2) {
            story.rates.raise(accident, least);
        }
    }
    if rng.random_ratio(1, 2) {
        let slow = |job| Fault::SlowJob { job, seconds: rng.random_range(600..12_000) };
        let slow: Vec<Fault> = (1..=3).map(slow).collect();
        // The simulated Intercom uses the first of several faults for one job.
        story.options.faults.splice(0..0, slow);
    }
    let first = &mut story.starts[0];
    first.event["plan"] = plans::json("has-avatar");
    first.event.as_object_mut().expect("an event is an object").remove("rails");
    (first.listed, first.stored) = (0, false);
    let mut second = first.clone();
    second.event["plan"] = plans::json(plans::OPPOSITE);
    second.after = first.after + Duration::from_secs(rng.random_range(0..300));
    story.starts.truncate(1);
    story.starts.push(second);
    if rng.random_ratio(2, 3) {
        let after = story.starts[0].after + Duration::from_millis(rng.random_range(500..60_000));
        let releases_after = rng.random_ratio(1, 3).then(|| Duration::from_millis(rng.random_range(0..90_000)));
        story.acts.push(Act { after, cancels: true, goes_on_after: None, releases_after });
    }
}

impl Story {
    /// Returns whether jobs of this story take longer than common runs last.
    pub(crate) fn has_slow_jobs(&self) -> bool {
        const SLOW_S: u64 = 500;
        self.options.faults.iter().any(|fault| matches!(fault, Fault::SlowJob { seconds, .. } if *seconds > SLOW_S))
    }
}
