use super::*;
use crate::domain::run::EXCLUSIVE_LIFE_MS;

fn cursor() -> Cursor {
    Cursor::first(RunId::of("p", 0), 0, EXCLUSIVE_LIFE_MS)
}

#[test]
fn only_the_previous_turn_repairs_the_chain() {
    let cursor = Cursor { turn: 5, ..cursor() };
    let standings: Vec<_> = (3..=6).map(|turn| cursor.standing(turn)).collect();
    assert_eq!(standings, [TurnOrder::Older, TurnOrder::Before, TurnOrder::Present, TurnOrder::Ahead]);
}

#[test]
fn generations_are_bounded() {
    let mut cursor = cursor();
    let mut generations = 1;
    while cursor.exhausted().is_none() {
        cursor.page = generations; // each gets further than the one before
        cursor = cursor.next_generation(0, true);
        generations += 1;
    }
    assert_eq!(generations, GENERATIONS_MAX);
}

#[test]
fn stalled_generations_end_the_run_sooner() {
    let mut cursor = cursor();
    let mut generations = 1;
    while cursor.exhausted().is_none() {
        cursor.page = 7;
        cursor = cursor.next_generation(0, true);
        generations += 1;
    }
    assert_eq!(generations, 4, "one that got to page 7, and three that got no further");
}

/// The next message may also be lost after the commit that begins a generation.
#[test]
fn a_new_generation_keeps_the_message_that_made_it() {
    let mut before = cursor();
    before.committed.message = Some("m".into());
    assert_eq!(before.next_generation(0, true).committed, before.committed);
}

#[test]
fn a_full_cursor_stays_under_a_kilobyte() {
    let mut full = cursor();
    full.position = Position::Scroll { param: "25b649f7-4d33-4ef6-88f5-60e5b8244309".into() };
    full.gaps = (1..=10).map(|n| n * 1000).collect();
    full.lease = Some(Lease { owner: "x".repeat(36), message: "y".repeat(36), until_ms: i64::MAX });
    full.committed.by = Some("x".repeat(36));
    full.committed.message = Some("y".repeat(36));
    (full.unanswered.times, full.unanswered.since_ms, full.resent_ms, full.settling.parts_left_ms) =
        (999, i64::MAX, i64::MAX, i64::MAX);
    assert!(serde_json::to_vec(&full).unwrap().len() < 1024);
}

#[test]
fn an_excused_generation_does_not_count() {
    let mut cursor = cursor();
    for _ in 0..100 {
        cursor.page = 7;
        cursor.excused = true;
        assert_eq!(cursor.exhausted(), None);
        cursor = cursor.next_generation(0, !cursor.excused);
    }
    assert_eq!((cursor.generation, cursor.counted, cursor.stalled, cursor.excused), (101, 1, 0, false));
    // It also keeps the count of earlier stalls.
    let stalled = Cursor { stalled: 2, furthest: 9, page: 7, excused: true, ..cursor };
    assert_eq!(stalled.next_generation(0, false).stalled, 2);
}

#[test]
fn an_expired_reading_is_excused_if_nothing_could_be_sent() {
    const SHORT: Unanswered = Unanswered { times: 1, since_ms: 95_000, spent_since_ms: 95_000 };
    let kept = |change: fn(&mut Cursor)| {
        let mut cursor = cursor();
        change(&mut cursor);
        cursor.was_kept_from_reading(100_000)
    };
    assert!(!kept(|_| {}));
    assert!(kept(|c| c.unanswered = Unanswered { times: 9, since_ms: 60_000, spent_since_ms: 0 }));
    assert!(!kept(|c| c.unanswered = SHORT), "five seconds expire no reading");
    assert!(kept(|c| c.unanswered = Unanswered { spent_since_ms: 60_000, ..SHORT }), "all windows were spent");
    assert!(kept(|c| c.resends = 1), "its message did not come");
    assert!(!kept(|c| (c.resends, c.leases) = (1, 1)), "it came, and its invocation died");
}
