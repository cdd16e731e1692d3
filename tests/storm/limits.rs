//! The rate limit and the tokens of a story.

use std::time::Duration;

use intercom_simulator::{Fault, Options, RateRemaining, RateReset};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::story::Story;

/// A new token in Parameter Store, and the revocation of the previous one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replacement {
    pub(crate) after: Duration,
    /// The time between the replacement and the revocation.
    pub(crate) revoked_after: Duration,
    /// The new token is of another workspace.
    pub(crate) is_foreign: bool,
}

/// Draws the form of the rate headers, another program's requests, and jobs that are invisible at
/// first.
pub(crate) fn of_workspace(rng: &mut SmallRng, mut options: Options) -> Options {
    if rng.random_ratio(1, 4) {
        options.rate_reset = RateReset::Exact;
    }
    if rng.random_ratio(1, 4) {
        options.rate_remaining = RateRemaining::After;
    }
    if rng.random_ratio(1, 8) {
        let most = u64::from(options.rate_limit_per_10s) * 2 / 5;
        options.faults.push(Fault::OthersSpend(rng.random_range(1..=most)));
    }
    if rng.random_ratio(1, 10) {
        options.job_visible_after_s = rng.random_range(1..600);
    }
    options
}

/// Replaces the token in about every eighth story, sometimes by one of another workspace and back.
pub(crate) fn tokens(rng: &mut SmallRng) -> (Vec<Replacement>, Option<(Duration, Duration)>) {
    if !rng.random_ratio(1, 8) {
        return (Vec::new(), None);
    }
    let first = Duration::from_millis(rng.random_range(500..180_000));
    let second = first + Duration::from_secs(rng.random_range(0..300));
    let mut one = |after, is_foreign| {
        let revoked_after = Duration::from_secs([0, 0, 0, 1, 60, 400][rng.random_range(0..6)]);
        Replacement { after, revoked_after, is_foreign }
    };
    let tokens = match one(first, false) {
        first if first.revoked_after.is_zero() => vec![first, one(second, false)],
        first => vec![first],
    };
    let is_foreign = rng.random_ratio(1, 3);
    let down = Duration::from_secs(rng.random_range(1..150));
    let store_down = rng.random_ratio(1, 3).then_some((first, down));
    if !is_foreign {
        return (tokens, store_down);
    }
    let foreign = Replacement { is_foreign, ..tokens[0] };
    (vec![foreign, Replacement { after: second, revoked_after: Duration::ZERO, is_foreign: false }], store_down)
}

/// Gives the starts of about every tenth story a pace, at which a run takes some minutes.
///
/// It draws from its own source, so that the other seeds repeat their stories.
pub(crate) fn paced(story: &mut Story) {
    let rng = &mut SmallRng::seed_from_u64(story.seed ^ 0x0000_9ACE);
    if !rng.random_ratio(1, 10) {
        return;
    }
    let users = story.options.users as u64;
    for start in &mut story.starts {
        start.event["rails"]["max_per_minute"] = json!(users / rng.random_range(2..8) + 1);
    }
}
