use serde_json::json;

use super::*;
use crate::domain::kept::Form;
use crate::domain::patch::Change;

fn user(number: u64) -> UserId {
    UserId::new(format!("5714dd359a3fd47136{number:06x}")).unwrap()
}

fn patch(number: u64, new: u64) -> Patch {
    let change = Change { target: Target::Attribute("x".to_owned()), new: json!(new), replaced: None };
    Patch { user: user(number), changes: vec![change] }
}

/// Samples `users` users in parts of 100. Returns the sample and the number of parts that are read.
fn sample(users: u64) -> (Vec<Patch>, usize) {
    let all: Vec<Patch> = (0..users).map(|number| patch(number, 1)).collect();
    let mut sampler = Sampler::of(users);
    let parts: Vec<&[Patch]> = all.chunks(100).filter(|part| sampler.wants(lowest_rank(part))).collect();
    parts.iter().flat_map(|part| part.iter().cloned()).for_each(|patch| sampler.add(patch));
    (sampler.without(&BTreeSet::new()), parts.len())
}

#[test]
fn sample_is_bounded_for_any_size_of_run() {
    for users in [1, 100, 1_000] {
        let (sample, _) = sample(users);
        assert_eq!(sample.len() as u64, users, "a small run is its own sample");
    }
    for users in [1_001, 5_000, 100_000] {
        let (sample, parts) = sample(users);
        assert!((900..=SAMPLE_MAX).contains(&sample.len()), "{users}: {}", sample.len());
        assert!(parts <= SAMPLE_MAX, "{users}: {parts}");
    }
}

#[test]
fn sample_is_the_same_for_any_order_and_unbiased() {
    let (sample, _) = sample(50_000);
    let number = |patch: &Patch| u64::from_str_radix(&patch.user.as_str()[18..], 16).unwrap();
    let early = sample.iter().filter(|patch| number(patch) < 25_000).count();
    assert!((early as f64 - sample.len() as f64 / 2.0).abs() < 80.0, "{early} of {}", sample.len());
    assert!(sample.is_sorted_by_key(|patch| rank(&patch.user)));
    let mut backwards = Sampler::of(50_000);
    (0..50_000).rev().for_each(|number| backwards.add(patch(number, 1)));
    assert_eq!(backwards.without(&BTreeSet::new()), sample);
    assert_eq!(rank(&user(1)), RANK_OF_ONE, "stored samples are compared by this order");
}

/// Computed independently of this code.
const RANK_OF_ONE: u64 = 0xf958_7ea0_8afe_333c;

#[test]
fn later_patch_of_a_user_replaces_the_earlier_one_and_failed_users_are_left_out() {
    let mut sampler = Sampler::of(3);
    for patch in [patch(1, 1), patch(2, 1), patch(1, 2)] {
        sampler.add(patch);
    }
    assert_eq!(sampler.users().len(), 2);
    assert_eq!(sampler.without(&BTreeSet::from([user(2).to_string()])), [patch(1, 2)]);
    let mut large = Sampler::of(100);
    for number in 0..100 {
        let mut patch = patch(number, 1);
        patch.changes[0].new = json!("x".repeat(20_000));
        large.add(patch);
    }
    assert_eq!(large.without(&BTreeSet::new()).len(), 52, "a megabyte");
}

fn values(fate: Fate) -> Seen {
    Seen::Values(vec![
        (Target::Attribute("has avatar".to_owned()), fate),
        (Target::Field("name".to_owned()), Fate::Kept),
    ])
}

const LACKS: Fate = Fate::NotKept(Form::Old);

#[test]
fn value_that_differs_is_read_twice() {
    let mut progress = ReadBack::begin(1, 3);
    assert_eq!(progress.due(0, 2), [0, 1]);
    progress.record(0, &user(0), values(Fate::Kept), 180);
    progress.record(1, &user(1), values(LACKS), 180);
    progress.record(2, &user(2), values(LACKS), 180);
    assert_eq!((progress.due(179, 9), progress.differing()), (vec![], Some((2, 180))));
    assert!(!progress.is_done());
    assert_eq!(progress.due(180, 9), [1, 2]);
    progress.record(1, &user(1), values(Fate::Kept), 360);
    progress.record(2, &user(2), values(LACKS), 360);
    assert!(progress.is_done());
    let totals = ReadBackTotals { users: 3, kept: 2, not_kept: 1, ..ReadBackTotals::default() };
    assert_eq!(progress.totals(), totals);
    let (state, reason) = progress.end(State::Complete, None, None);
    assert_eq!(state, State::CompleteWithErrors);
    let said =
        "Intercom did not keep custom_attributes.\"has avatar\" as written for 1 of 3 users that were read back (";
    assert_eq!(reason.unwrap(), format!("{said}{})", user(2)));
}

#[test]
fn other_values_and_missing_users_are_counted_only() {
    let mut progress = ReadBack::begin(1, 4);
    progress.record(0, &user(0), values(Fate::ChangedSince), 180);
    progress.record(1, &user(1), Seen::Gone, 180);
    progress.record(2, &user(2), values(LACKS), 180);
    progress.record(3, &user(3), Seen::Values(Vec::new()), 180);
    progress.record(2, &user(2), values(Fate::ChangedSince), 360);
    assert!(progress.is_done());
    let totals = ReadBackTotals { users: 4, kept: 1, changed_since: 2, gone: 1, ..ReadBackTotals::default() };
    assert_eq!(progress.totals(), totals);
    assert_eq!(progress.end(State::Complete, None, None), (State::Complete, None));
}

#[test]
fn at_most_five_ids_are_named() {
    let mut progress = ReadBack::begin(1, 1_000);
    assert_eq!(progress.users as usize, READ_BACK_MAX);
    for place in 0..READ_BACK_MAX {
        progress.record(place, &user(place as u64), values(LACKS), 0);
        progress.record(place, &user(place as u64), values(LACKS), 0);
    }
    let (state, reason) = progress.end(State::CompleteWithErrors, Some("2 users failed".to_owned()), None);
    let reason = reason.unwrap();
    assert_eq!(state, State::CompleteWithErrors);
    assert!(reason.starts_with("2 users failed; Intercom did not keep"), "{reason}");
    assert_eq!((reason.matches("5714dd").count(), reason.ends_with(", …)")), (5, true), "{reason}");
}

#[test]
fn failed_reads_are_repeated_and_bounded() {
    let mut progress = ReadBack::begin(1, 2);
    for _ in 0..40 {
        progress.record(0, &user(0), Seen::Failed { again_ms: 10, alone: false }, 180);
    }
    assert_eq!(progress.due(10, 9), [0, 1], "an outage is no fault of a user");
    for _ in 0..TRIES_MAX {
        progress.record(0, &user(0), Seen::Failed { again_ms: 10, alone: true }, 180);
    }
    progress.record(1, &user(1), values(Fate::Kept), 180);
    assert!(progress.is_done());
    assert_eq!(progress.totals(), ReadBackTotals { users: 1, kept: 1, unread: 1, ..ReadBackTotals::default() });
}

#[test]
fn end_says_that_values_were_not_checked() {
    let mut progress = ReadBack::begin(1, 100);
    for place in 0..40 {
        progress.record(place, &user(place as u64), values(Fate::Kept), 180);
    }
    progress.record(40, &user(40), values(LACKS), 180);
    let (state, reason) = progress.end(State::Complete, None, Some("the deadline passed"));
    let said = "the written values were not all checked: 40 of 100 users were read back, because the deadline passed";
    assert_eq!((state, reason.as_deref()), (State::Complete, Some(said)), "one read proves nothing");
    let (state, _) = progress.end(State::Incomplete, Some("why".to_owned()), None);
    assert_eq!(state, State::Incomplete);
}

#[test]
fn progress_survives_its_stored_form() {
    let mut progress = ReadBack::begin(2, 3);
    progress.record(0, &user(0), values(LACKS), 180);
    progress.record(0, &user(0), values(LACKS), 180);
    progress.record(1, &user(1), values(LACKS), 180);
    let stored = serde_json::to_value(&progress).unwrap();
    assert_eq!(serde_json::from_value::<ReadBack>(stored).unwrap(), progress);
}
