use serde_json::{Value, json};

use super::{NOW_MS, cursor, lease, run};
use crate::domain::run::decide::{Delivery, is_stuck, not_leased};

#[test]
fn a_message_whose_turn_is_not_leased() {
    use Delivery::{Drop, Heal, Hide, Leave, Wait};
    let later = NOW_MS + 700;
    let made = |phase: &str| json!({"turn": 5, "committed_message": "m", "phase": phase, "not_before_ms": later});
    for (name, fields, turn, expected) in [
        ("made the commit", made("turning"), 4, Heal { delay_ms: Some(700) }),
        ("made a commit that settles", made("settling"), 4, Heal { delay_ms: Some(700) }),
        ("made the commit that ended the pages", made("ended"), 4, Heal { delay_ms: None }),
        ("duplicate of the one that made it", json!({"turn": 5, "committed_message": "other"}), 4, Drop),
        ("no message made the commit", json!({"turn": 5}), 4, Drop),
        ("older", made("turning"), 3, Drop),
        ("early", json!({"turn": 5, "not_before_ms": later}), 5, Wait { delay_ms: 700 }),
        (
            "early, under its own lease",
            { json!({"turn": 5, "not_before_ms": later, "claim": lease(NOW_MS + 9_000)}) },
            5,
            Hide { for_ms: 10_000 },
        ),
        (
            "under another message's lease",
            { json!({"turn": 5, "claim": {"owner": "o", "message": "other", "until_ms": NOW_MS}}) },
            5,
            Drop,
        ),
        ("early by a millisecond", json!({"turn": 5, "not_before_ms": NOW_MS + 1}), 5, Wait { delay_ms: 1 }),
        ("just in time", json!({"turn": 5, "not_before_ms": NOW_MS}), 5, Leave),
        ("ahead", json!({"turn": 5, "claim": lease(NOW_MS)}), 6, Hide { for_ms: 1_000 }),
    ] {
        assert_eq!(not_leased(&cursor(fields), turn, "m", NOW_MS), expected, "{name}");
    }
}

#[test]
fn a_turn_without_its_message_is_stuck_after_growing_times() {
    const FIRST_MS: i64 = 90_000;
    let since = |field: &str, ms: i64| {
        let mut fields = json!({"not_before_ms": 0});
        fields[field] = if field == "claim" { lease(NOW_MS - ms) } else { json!(NOW_MS - ms) };
        fields
    };
    let resent = |times: u32, ms: i64| json!({"nudges": times, "resent_ms": NOW_MS - ms});
    let at_work = json!({});
    let rows: [(&str, Value, Value, bool); 17] = [
        ("at its time", since("not_before_ms", 90_000), at_work.clone(), false),
        ("after its time", since("not_before_ms", 90_001), at_work.clone(), true),
        ("after the lease", since("claim", 90_001), at_work.clone(), true),
        ("under the lease", since("claim", 90_000), at_work.clone(), false),
        ("after the commit", since("committed_ms", 90_000), at_work.clone(), false),
        ("long after the commit", since("committed_ms", 90_001), at_work.clone(), true),
        ("sent once", resent(1, 180_000), at_work.clone(), false),
        ("sent once, long ago", resent(1, 180_001), at_work.clone(), true),
        ("sent twice", resent(2, 300_000), at_work.clone(), false),
        ("sent twice, long ago", resent(2, 300_001), at_work.clone(), true),
        ("sent often", resent(99, 300_000), at_work.clone(), false),
        ("sent often, long ago", resent(99, 300_001), at_work, true),
        ("resumed", json!({}), json!({"resumed_ms": NOW_MS - 90_000}), false),
        ("resumed long ago", json!({}), json!({"resumed_ms": NOW_MS - 90_001}), true),
        ("paused", json!({}), json!({"state": "paused"}), false),
        ("draining", json!({}), json!({"state": "draining"}), false),
        ("no pages left", json!({"phase": "ended"}), json!({}), false),
    ];
    for (name, fields, of_run, expected) in rows {
        assert_eq!(is_stuck(&run(of_run), &cursor(fields), FIRST_MS, NOW_MS), expected, "{name}");
    }
    assert!(is_stuck(&run(json!({})), &cursor(json!({})), 999_999, NOW_MS), "the setting may exceed the longest wait");
    assert!(!is_stuck(&run(json!({})), &cursor(json!({})), NOW_MS, NOW_MS), "the setting may exceed the longest wait");
}
