use super::*;

fn user(number: u64) -> UserId {
    UserId::new(format!("5714dd359a3fd47136{number:06x}")).unwrap()
}

fn begin(generation: u32, sample: usize) -> ReadBack {
    let mut progress = ReadBack::begin(2, generation, Vec::new());
    progress.sampled(sample);
    progress
}

fn values(fate: Fate) -> Seen {
    Seen::Values(vec![
        (Target::Attribute("has avatar".to_owned()), fate),
        (Target::Field("name".to_owned()), Fate::Kept),
    ])
}

const LACKS: Fate = Fate::Old;

#[test]
fn value_that_differs_is_read_twice() {
    let mut progress = begin(1, 3);
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
    let said = "Intercom did not keep custom_attributes.\"has avatar\" as written, or another program set it back, for 1 of 3 users that were read back (";
    assert_eq!(reason.unwrap(), format!("{said}{})", user(2)));
}

#[test]
fn other_values_and_missing_users_are_counted_only() {
    let mut progress = begin(1, 4);
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
    let mut progress = begin(1, 1_000);
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
    let mut progress = begin(1, 2);
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
    let mut progress = begin(1, 100);
    for place in 0..40 {
        progress.record(place, &user(place as u64), values(Fate::Kept), 180);
    }
    let stopped = Some("the deadline passed");
    let said = "the written values were not all checked: 40 of 100 users were read back, because the deadline passed";
    assert_eq!(progress.end(State::Complete, None, stopped), (State::Complete, Some(said.to_owned())));
    assert_eq!(progress.end(State::Incomplete, Some("why".to_owned()), stopped).0, State::Incomplete);
    progress.record(40, &user(40), values(LACKS), 180);
    let (state, reason) = progress.end(State::Complete, None, stopped);
    let said = format!("{said}; the values of 1 users differed at their only read");
    assert_eq!((state, reason), (State::CompleteWithErrors, Some(said)));
}

#[test]
fn check_that_reads_no_value_says_so() {
    for seen in [Seen::Gone, Seen::Failed { again_ms: 0, alone: true }] {
        let mut progress = begin(1, 2);
        while !progress.is_done() {
            progress.due(0, 9).into_iter().for_each(|place| progress.record(place, &user(0), seen.clone(), 180));
        }
        let (state, reason) = progress.end(State::Complete, None, None);
        let reason = reason.unwrap();
        assert!(reason.starts_with("the written values were not all checked: 0 of 2 users"), "{reason}");
        assert_eq!(state, State::Complete);
    }
}

fn failed(now_ms: i64, refused: bool) -> FailedReads<'static> {
    FailedReads { now_ms, resumed_ms: 0, why: "503", refused }
}

const MINUTE_MS: i64 = 60_000;

#[test]
fn check_without_a_read_that_works_is_bounded() {
    for (refused, minutes) in [(false, 60), (true, 3)] {
        let mut progress = begin(1, 9);
        let stopped = (0..).find_map(|minute| Some((minute, progress.fails(failed(minute * MINUTE_MS, refused))?)));
        let (minute, why) = stopped.unwrap();
        assert!(minute == minutes && why.contains("503"), "{minute} {why}");
        progress.works();
        assert_eq!(progress.failing(), None);
        assert_eq!(progress.fails(failed(minute * MINUTE_MS, refused)), None);
    }
    let mut progress = begin(1, 9);
    assert_eq!(progress.fails(failed(0, false)), None);
    assert_eq!(progress.failing(), Some("503"));
    let paused = FailedReads { resumed_ms: 90 * MINUTE_MS, ..failed(91 * MINUTE_MS, true) };
    assert_eq!(progress.fails(paused), None, "a pause is no failure");
    // A burst of refusals is no proof.
    let mut progress = begin(1, 9);
    assert!((0..50).all(|second| progress.fails(failed(second * 1_000, true)).is_none()));
}

#[test]
fn user_that_fails_alone_is_compared_with_one_that_was_read() {
    let mut progress = begin(1, 3);
    assert_eq!(progress.witness(&[0, 1, 2]), None, "they were not read before");
    progress.record(0, &user(0), values(Fate::Kept), 180);
    progress.record(1, &user(1), values(LACKS), 180);
    progress.record(2, &user(2), Seen::Failed { again_ms: 10, alone: false }, 180);
    assert_eq!(progress.witness(&[2]), None);
    progress.fails(failed(0, false));
    assert_eq!((progress.witness(&[2]), progress.witness(&[1, 2])), (Some(0), Some(0)));
    progress.works();
    progress.record(2, &user(2), Seen::Failed { again_ms: 10, alone: true }, 180);
    assert_eq!((progress.witness(&[2]), progress.witness(&[1, 2])), (Some(0), None));
    let before = progress.clone();
    progress.record(0, &user(0), values(Fate::Kept), 180);
    assert_eq!(progress, before, "it counts once");
}

#[test]
fn progress_survives_its_stored_form() {
    let mut progress = begin(2, 3);
    progress.record(0, &user(0), values(LACKS), 180);
    progress.record(0, &user(0), values(LACKS), 180);
    progress.record(1, &user(1), values(LACKS), 180);
    let stored = serde_json::to_value(&progress).unwrap();
    assert_eq!(serde_json::from_value::<ReadBack>(stored).unwrap(), progress);
}
